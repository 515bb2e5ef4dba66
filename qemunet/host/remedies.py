"""What brings a missing thing: package names, commands, and the errors that carry them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from qemunet.errors import HostError, MissingRequirement, install_command
from qemunet.host.linux import TUN_DEVICE, may_make_namespaces
from qemunet.host.messages import Failure

QEMU_PACKAGES = {
    "aarch64": "qemu-system-arm",
    "arm": "qemu-system-arm",
    "i386": "qemu-system-x86",
    "mips64el": "qemu-system-mips",
    "ppc64": "qemu-system-ppc",
    "riscv64": "qemu-system-misc",
    "s390x": "qemu-system-misc",
    "x86_64": "qemu-system-x86",
}
"""QEMU's name of an architecture -> package of Debian 12 and Ubuntu 22.04."""

_NEWER_QEMU_PACKAGES = {"riscv64": "qemu-system-riscv", "s390x": "qemu-system-s390x"}
"""Where later releases have split the package."""

PROGRAM_PACKAGES = {
    "apt-cache": "apt",
    "apt-config": "apt",
    "apt-get": "apt",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "ip": "iproute2",
    "lz4": "lz4",
    "qemu-img": "qemu-utils",
    "tcpdump": "tcpdump",
    "xz": "xz-utils",
}


_USER_NAMESPACE_SWITCHES = (
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user.max_user_namespaces", "0", "15000"),
)
"""A kernel setting, its value that forbids user namespaces to ordinary users, and one that allows them."""


def as_root(command: str) -> str:
    """The command as this user has to type it."""
    return command if os.geteuid() == 0 else f"sudo {command}"


def qemu_package(arch: str, os_release: str | None = None) -> str | None:
    """The package of ``qemu-system-ARCH`` on this distribution, or None for an unknown architecture.

    Args:
        arch: As in the name of QEMU's program.
        os_release: Content of /etc/os-release, read from there if None.
    """
    if os_release is None:
        file = Path("/etc/os-release")
        os_release = file.read_text(encoding="utf-8") if file.exists() else ""
    settings = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    release = settings.get("VERSION_ID", "").strip('"').partition(".")[0]
    distribution = settings.get("ID", "").strip('"')
    newest_joint = {"debian": 12, "ubuntu": 22}.get(distribution)
    if newest_joint is not None and release.isdigit() and int(release) > newest_joint:
        return _NEWER_QEMU_PACKAGES.get(arch, QEMU_PACKAGES.get(arch))
    return QEMU_PACKAGES.get(arch)


def program_remedy(program: str) -> str | None:
    """The command that brings a program, or None if its package is not known."""
    name = os.path.basename(program)
    if name.startswith("qemu-system-"):
        package = qemu_package(name.removeprefix("qemu-system-"))
    else:
        package = PROGRAM_PACKAGES.get(name)
    return install_command(package) if package else None


def tun_remedy(number: int) -> str:
    """What makes /dev/net/tun usable after it was refused with errno ``number``."""
    if number in (errno.EACCES, errno.EPERM):
        return f"sudo chmod 0666 {TUN_DEVICE}, or run as root; or use attach=native, which needs no tap."
    return f"{as_root('modprobe tun')}; or use attach=native, which needs no tap."


def namespace_remedy(failure: Failure) -> str:
    """What allows the namespaces, or the mount, that were refused."""
    what = failure["what"]
    if what == "/proc":
        return "This container hides parts of /proc: start it with --security-opt systempaths=unconfined."
    if failure["errno"] == errno.ENOSPC:
        kind = {"mount": "mnt"}.get(what.split()[0], what.split()[0])
        return as_root(f"sysctl -w user.max_{kind}_namespaces=15000")
    if may_make_namespaces():
        return "Something forbids namespaces even to root, as seccomp does: in a container, start it with --privileged."
    for name, refusing, allowing in _USER_NAMESPACE_SWITCHES:
        file = Path("/proc/sys", *name.split("."))
        if file.exists() and file.read_text(encoding="ascii").strip() == refusing:
            return as_root(f"sysctl -w {name}={allowing}")
    return "Run as root, or allow user namespaces; in a container, start it with --privileged."


def start_error(failure: Failure) -> HostError:
    """The error for an init that could not set itself up."""
    what = failure["what"] or failure["stage"]
    return MissingRequirement(
        f"The Run's namespaces could not be made: {what}: {failure['error']}.", hint=namespace_remedy(failure)
    )


def spawn_error(name: str, argv0: str, failure: Failure) -> HostError:
    """The error for a program that could not be started."""
    number, stage = failure["errno"], failure["stage"]
    if stage == "exec" and number == errno.ENOENT:
        remedy = program_remedy(argv0)
        return MissingRequirement(
            f"{name}: the program {argv0!r} does not exist" + ("." if "/" in argv0 else " in PATH."),
            hint=remedy or f"Install what provides {argv0!r}, or correct its name.",
        )
    if stage == "exec" and number == errno.EACCES:
        return HostError(f"{name}: {argv0!r} may not be executed: {failure['error']}.", hint=f"ls -l {argv0}")
    return HostError(f"{name}: {argv0!r} could not be started ({stage}): {failure['what']}: {failure['error']}.")


def tun_error(number: int) -> MissingRequirement:
    """The error for a /dev/net/tun that cannot be opened."""
    return MissingRequirement(
        f"{TUN_DEVICE} cannot be opened: {os.strerror(number)}. Taps (attach=tapbridge) need it.",
        hint=tun_remedy(number),
    )


def network_error(action: str, failure: Failure) -> HostError:
    """The error for a bridge or tap that could not be made."""
    if failure["what"] == TUN_DEVICE:
        return tun_error(failure["errno"])
    if failure["stage"] == "import":
        return MissingRequirement(
            f"{action}: the Python module {failure['what']!r} cannot be imported: {failure['error']}.",
            hint="make setup (or: python3 -m pip install pyroute2)",
        )
    return HostError(f"{action} failed at {failure['what'] or failure['stage']}: {failure['error']}.")


def container_error(node: str, failure: Failure) -> HostError:
    """The error for a container that could not be started."""
    if failure["what"] == TUN_DEVICE:
        return tun_error(failure["errno"])
    what, said = failure["what"] or failure["stage"], failure["error"]
    hint = None
    if "namespace" in what:
        hint = namespace_remedy({**failure, "what": "user namespace"})
    elif what == "/bin/sh":
        hint = "A container needs a shell in the directory that image= names."
    return HostError(f"The container {node} could not be started: {what}: {said}.", hint=hint)

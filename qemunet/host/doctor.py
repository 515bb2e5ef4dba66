"""What a Run needs of this computer, what of it is there, and the command that brings the rest."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qemunet import native
from qemunet.errors import MissingRequirement, install_command
from qemunet.host import probe, remedies, software
from qemunet.plan.model import Plan

Importance = Literal["required", "optional", "information"]

MINIMAL_PYTHON = (3, 11)
DEFAULT_ARCHITECTURES = ("x86_64", "aarch64")
IMAGE_PROGRAMS = ("apt-get", "apt-cache", "apt-config", "dpkg-deb", "lz4")
_PYTHON_PACKAGES = ("cppyy", "pexpect", "pyroute2", "qemu.qmp", "pyyaml")
_IMAGE_CACHE_MIB = 1024
_HOST_MEMORY_MIB = 512
_MIB = 1 << 20


@dataclass(frozen=True)
class Requirement:
    """One thing that a Run needs, and whether it is here.

    Attributes:
        name: What it is.
        needed_for: What does not work without it.
        importance: ``required``; ``optional`` (something works less well, or one feature is missing); ``information``.
        present: Whether it is there and works.
        detail: What was seen: a version, a size, or the reason of a refusal.
        remedy: The exact command, or sentence, that brings it; None if it is there or nothing can.
    """

    name: str
    needed_for: str
    importance: Importance
    present: bool
    detail: str
    remedy: str | None = None


def check_requirements(
    plan: Plan | None = None, *, cache: Path | None = None, namespaces: bool = True
) -> list[Requirement]:
    """Look at everything, trying what can be tried; takes about half a second.

    Args:
        plan: What is to be run: what it does not use is optional. Without it, what the default topologies use counts.
        cache: Where images are kept, for its free space; its parents are looked at if it does not exist yet.
        namespaces: Try to make a Run's namespaces, which takes 0.1 s. Who is about to make them anyway need not.
    """
    if plan is None:
        architectures: Sequence[str] = DEFAULT_ARCHITECTURES
        memory_mib, bridged, containers = 0, False, False
    else:
        architectures = tuple(dict.fromkeys(guest.arch for guest in plan.guests if guest.type == "qemu"))
        memory_mib, bridged = sum(guest.memory_mib for guest in plan.guests), bool(plan.host.taps)
        containers = any(guest.type == "container" for guest in plan.guests)
    checks: list[Callable[[], Requirement]] = [
        _python,
        _python_packages,
        _ns3,
        _native,
        *(lambda arch=arch: _qemu(arch) for arch in architectures),
        lambda: _image_programs("required" if plan is None else "optional"),
        *([_namespaces] if namespaces else []),
        lambda: _tun(bridged or containers),
        lambda: _tap_creator(bridged),
        lambda: _container_programs(containers),
        _kvm,
        _realtime,
        _cores,
        lambda: _memory(memory_mib),
    ]
    if cache is not None:
        checks.append(lambda: _disk(cache))
    return [check() for check in checks]


def require(requirements: Iterable[Requirement]) -> None:
    """Refuse to go on without what is required.

    Raises:
        MissingRequirement: naming everything that is missing; the hint is the first remedy.
    """
    missing = [each for each in requirements if each.importance == "required" and not each.present]
    if missing:
        text = "; ".join(f"{each.name}: {each.detail}" for each in missing)
        remedy = next((each.remedy for each in missing if each.remedy), None)
        raise MissingRequirement(f"This computer lacks what the run needs: {text}", hint=remedy)


def _python() -> Requirement:
    wanted = ".".join(map(str, MINIMAL_PYTHON))
    present = sys.version_info[:2] >= MINIMAL_PYTHON
    remedy = None if present else install_command("python3 python3-venv") + f" (Debian 12, Ubuntu 24.04: {wanted})"
    return Requirement("Python", "everything", "required", present, sys.version.split()[0], remedy)


def _python_packages() -> Requirement:
    versions = {name: software.package_version(name) for name in _PYTHON_PACKAGES}
    missing = [name for name, version in versions.items() if version is None]
    detail = f"not installed: {', '.join(missing)}" if missing else _list(f"{n} {v}" for n, v in versions.items())
    remedy = f"make setup (or: {sys.executable} -m pip install {' '.join(missing)})" if missing else None
    return Requirement("Python packages", "guests and simulation", "required", not missing, detail, remedy)


def _ns3() -> Requirement:
    version, directory = software.package_version("ns3"), software.package_directory("ns3")
    core = [] if directory is None else sorted(directory.glob("lib64/libns3*-core.so"))
    detail = f"{version}, {core[0]}" if core else "its libraries are missing" if version else "not installed"
    remedy = None if core else f"make setup (or: {sys.executable} -m pip install --force-reinstall ns3==3.44.post0)"
    return Requirement("ns-3", "the simulation", "required", bool(core), detail, remedy)


def _native() -> Requirement:
    library = native.library()
    remedy = None if library else "make setup"
    detail = str(library) if library else "not built"
    return Requirement("native library", "the simulation", "required", library is not None, detail, remedy)


def _qemu(arch: str) -> Requirement:
    program = f"qemu-system-{arch}"
    version = software.qemu_version(arch)
    needed_for = f"guests with arch={arch}"
    if version is not None:
        return Requirement(program, needed_for, "required", True, version)
    detail = "does not start" if shutil.which(program) else "not installed"
    return Requirement(program, needed_for, "required", False, detail, remedies.program_remedy(program))


def _image_programs(importance: Importance) -> Requirement:
    missing = [program for program in IMAGE_PROGRAMS if shutil.which(program) is None]
    remedy = None
    if missing:
        packages = sorted({remedies.PROGRAM_PACKAGES[program] for program in missing})
        remedy = install_command(" ".join(packages)) + " (images are built from Debian packages, on Debian or Ubuntu)"
    detail = f"not installed: {', '.join(missing)}" if missing else _list(IMAGE_PROGRAMS)
    return Requirement("image tools", "building guest images", importance, not missing, detail, remedy)


def _container_programs(needed: bool) -> Requirement:
    present = shutil.which("ip") is not None
    importance: Importance = "required" if needed else "optional"
    detail = "installed" if present else "not installed"
    return Requirement("ip", "containers", importance, present, detail, remedies.program_remedy("ip"))


def _namespaces() -> Requirement:
    result = probe.probe_init()
    if isinstance(result, tuple):
        how = "as an ordinary user" if "user" in result else "as root"
        return Requirement("namespaces", "every run", "required", True, f"{how}: {', '.join(result)} (tried)")
    what = result["what"] or result["stage"]
    remedy = remedies.namespace_remedy(result)
    return Requirement("namespaces", "every run", "required", False, f"{what}: {result['error']}", remedy)


def _tun(needed: bool) -> Requirement:
    failure = probe.probe_tun()
    importance: Importance = "required" if needed else "optional"
    detail = "can be opened" if failure is None else f"cannot be opened: {failure['error']}"
    remedy = None if failure is None else remedies.tun_remedy(failure["errno"])
    return Requirement("/dev/net/tun", "attach=tapbridge, containers", importance, failure is None, detail, remedy)


def _tap_creator(needed: bool) -> Requirement:
    helper = software.tap_creator()
    importance: Importance = "required" if needed else "optional"
    present = helper is not None and os.access(helper, os.X_OK)
    detail = str(helper) if helper else "not in the ns3 package"
    remedy = None
    if not present:
        remedy = (
            f"chmod +x {helper}" if helper else f"{sys.executable} -m pip install --force-reinstall ns3==3.44.post0"
        )
    return Requirement("ns-3 tap-creator", "attach=tapbridge", importance, present, detail, remedy)


def _kvm() -> Requirement:
    device = Path("/dev/kvm")
    remedy = None
    if not device.exists():
        detail, remedy = "no /dev/kvm; guests run under software emulation (TCG)", remedies.as_root("modprobe kvm")
    elif not os.access(device, os.R_OK | os.W_OK):
        detail = "/dev/kvm may not be opened; guests run under software emulation (TCG)"
        remedy = "sudo usermod -aG kvm $USER, then log in again"
    else:
        detail = "/dev/kvm may be opened, which proves nothing: the first run boots a kernel to find out"
    present = detail.startswith("/dev/kvm may be")
    return Requirement("KVM", "faster guests of this computer's architecture", "information", present, detail, remedy)


def _realtime() -> Requirement:
    failure = probe.probe_realtime()
    remedy = None
    if failure is not None:
        limits = 'echo "$(id -un) - rtprio 50" | sudo tee /etc/security/limits.d/qemunet.conf, then log in again'
        remedy = limits if os.geteuid() != 0 else "In a container, start it with --cap-add SYS_NICE."
    detail = "allowed (tried)" if failure is None else failure["error"]
    return Requirement(
        "real-time scheduling", "less lag and skew (SCHED_FIFO)", "optional", failure is None, detail, remedy
    )


def _cores() -> Requirement:
    cores = len(os.sched_getaffinity(0))
    detail = f"{cores} usable" + ("" if cores > 1 else "; the simulator shares it with the guests")
    return Requirement("processor cores", "real-time emulation", "information", cores > 1, detail)


def _memory(wanted_mib: int) -> Requirement:
    available_mib = memory_available_bytes() // _MIB
    present = available_mib >= wanted_mib + _HOST_MEMORY_MIB
    needed_for = f"guests of {wanted_mib} MiB in all" if wanted_mib else "guests"
    remedy = None if present else "Use fewer guests or less memory= a guest, or end other programs."
    importance: Importance = "required" if wanted_mib else "information"
    return Requirement("memory", needed_for, importance, present, f"{available_mib} MiB available", remedy)


def _disk(cache: Path) -> Requirement:
    existing = next(path for path in (cache.absolute(), *cache.absolute().parents) if path.exists())
    free_mib = shutil.disk_usage(existing).free // _MIB
    present = free_mib >= _IMAGE_CACHE_MIB
    remedy = None if present else "Free some space, or set XDG_CACHE_HOME to a larger file system."
    return Requirement("disk space", "guest images", "optional", present, f"{free_mib} MiB free for {cache}", remedy)


def memory_available_bytes() -> int:
    """What the kernel says is available without swapping."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)

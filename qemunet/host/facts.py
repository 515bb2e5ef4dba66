"""What is worth knowing of the computer a run ran on: the content of host.json."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qemunet.host import software
from qemunet.host.doctor import memory_available_bytes
from qemunet.host.linux import may_make_namespaces
from qemunet.host.remedies import QEMU_PACKAGES

_PACKAGES = ("qemunet", "ns3", "cppyy", "trio", "pexpect", "pyroute2", "qemu.qmp")


def host_facts(architectures: Iterable[str] = tuple(QEMU_PACKAGES)) -> dict[str, Any]:
    """The facts, as JSON takes them; what cannot be found out is null.

    Args:
        architectures: QEMU's names of those whose QEMU is asked for its version, which takes about 0.1 s each.
    """
    memory = _key_values(Path("/proc/meminfo"))
    return {
        "hostname": platform.node(),
        "system": _os_release(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu_model": _cpu_model(),
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)),
        "memory_bytes": int(memory.get("MemTotal", "0 kB").split()[0]) * 1024,
        "memory_available_bytes": memory_available_bytes(),
        "load_average": list(os.getloadavg()),
        "cpu_governor": _read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "hypervisor": _hypervisor(),
        "python": sys.version.split()[0],
        "versions": {name: software.package_version(name) for name in _PACKAGES},
        "qemu": {arch: version for arch in architectures if (version := software.qemu_version(arch)) is not None},
        "user_id": os.geteuid(),
        "user_namespace": not may_make_namespaces(),
        "cgroup": _cgroup_limits(),
    }


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _key_values(path: Path) -> dict[str, str]:
    lines = (_read(path) or "").splitlines()
    return {key.strip(): value.strip() for key, found, value in (line.partition(":") for line in lines) if found}


def _os_release() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def _cpu_model() -> str | None:
    # Of the first processor; ARM kernels give numbers instead of a name.
    first = (_read(Path("/proc/cpuinfo")) or "").split("\n\n")[0]
    pairs = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    name = pairs.get("model name")
    return name or " ".join(f"{key} {pairs[key]}" for key in ("CPU implementer", "CPU part") if key in pairs) or None


def _hypervisor() -> bool | None:
    flags = _key_values(Path("/proc/cpuinfo")).get("flags")
    return None if flags is None else "hypervisor" in flags.split()


def _cgroup_limits() -> dict[str, str | None]:
    """CPU and memory limits of this process's cgroup (version 2), as the kernel words them."""
    own = next(
        (line[3:] for line in (_read(Path("/proc/self/cgroup")) or "").splitlines() if line.startswith("0::")), ""
    )
    directory = Path("/sys/fs/cgroup") / own.lstrip("/")
    return {name: _read(directory / name) for name in ("cpu.max", "memory.max", "memory.high", "pids.max")}

"""How busy this computer is: what the kernel has counted so far, so that two looks tell what happened between them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_USER_TO_STEAL = 8
"""Columns of a line of /proc/stat that do not count the same time twice: user, nice, system, idle, iowait, irq, softirq, steal."""
_IDLE, _IOWAIT, _STEAL = 3, 4, 7
_SOME = "some"


@dataclass(frozen=True)
class HostLook:
    """What the kernel has counted by an instant.

    Attributes:
        host_ns: Host monotonic time.
        ticks: Per core that this process may use: time that passed, in clock ticks.
        idle: Of these, per core, time in which it had nothing to do.
        steal: Of these, per core, time that the hypervisor gave to others.
        pressure_us: Time in which some task waited for a processor, in us; None where the kernel does not say.
        throttled_us: Time in which this process's control group was kept from its processors, in us; None as above.
        load: Load average of the last minute.
    """

    host_ns: int
    ticks: tuple[int, ...]
    idle: tuple[int, ...]
    steal: tuple[int, ...]
    pressure_us: int | None
    throttled_us: int | None
    load: float


def look_at_host(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> HostLook | None:
    """Look now, which takes a fraction of a millisecond; None where there is no /proc/stat to look at."""
    try:
        lines = (proc / "stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    cores = [
        [int(word) for word in words[1 : _USER_TO_STEAL + 1]]
        for words in map(str.split, lines)
        if words[:1] and words[0] in usable
    ]
    if not cores or any(len(core) < _USER_TO_STEAL for core in cores):
        return None
    return HostLook(
        time.monotonic_ns(),
        tuple(map(sum, cores)),
        tuple(core[_IDLE] + core[_IOWAIT] for core in cores),
        tuple(core[_STEAL] for core in cores),
        _pressure_us(proc / "pressure" / "cpu"),
        _throttled_us(proc, cgroups),
        os.getloadavg()[0],
    )


@dataclass(frozen=True)
class InterfaceCounters:
    """What the kernel has counted at an interface.

    Attributes:
        received: Frames that came in; of a tap, those that were written to it.
        sent: Frames that went out; of a tap, those that were kept for who reads it.
        dropped: Frames that should have gone out and did not; of a tap, those that were not read in time.
    """

    received: int
    sent: int
    dropped: int


def interface_counters(pid: int, proc: Path = _PROC) -> Mapping[str, InterfaceCounters]:
    """Counters by name of the interface, of all in a network namespace.

    Args:
        pid: A process in the network namespace, as it is called here; of one that has gone nothing is known.
        proc: Where /proc is.
    """
    found = {}
    with suppress(OSError, ValueError, IndexError):
        for line in (proc / str(pid) / "net" / "dev").read_text(encoding="utf-8").splitlines()[2:]:
            name, _, numbers = line.partition(":")
            # Received: bytes packets errs drop fifo frame compressed multicast; then transmitted, in the same order.
            counted = [int(word) for word in numbers.split()]
            found[name.strip()] = InterfaceCounters(counted[1], counted[9], counted[11])
    return found


def _pressure_us(path: Path) -> int | None:
    with suppress(OSError, ValueError, StopIteration):
        words = next(line.split() for line in path.read_text(encoding="ascii").splitlines() if line.startswith(_SOME))
        return next(int(word.removeprefix("total=")) for word in words if word.startswith("total="))
    return None


def _throttled_us(proc: Path, cgroups: Path) -> int | None:
    with suppress(OSError, ValueError, StopIteration):
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
        own = next(line[3:] for line in lines if line.startswith("0::"))
        stat = (cgroups / own.lstrip("/") / "cpu.stat").read_text(encoding="ascii").splitlines()
        return next(int(value) for name, value in map(str.split, stat) if name == "throttled_usec")
    return None

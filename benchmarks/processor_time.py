"""Processor time of a run's processes, thread by thread, as the kernel's scheduler counts it (ns)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_SOFTIRQ_FIELD = 7  # of /proc/stat's first line


@dataclass(frozen=True)
class ProcessorTime:
    """Processor time so far, or between two looks, in ns.

    Attributes:
        vcpu: Of the threads in which guests run.
        machines: Of QEMU's other threads.
        simulator: Of all threads of the simulator.
        ksoftirqd: Of the kernel's threads for network work that nobody's system call does; of the whole computer.
        softirq: In such work wherever it was done, also what is in the others already; in ticks of the clock, and of
            the whole computer.
    """

    vcpu: int = 0
    machines: int = 0
    simulator: int = 0
    ksoftirqd: int = 0
    softirq: int = 0

    def __sub__(self, before: ProcessorTime) -> ProcessorTime:
        return ProcessorTime(*(getattr(self, name) - getattr(before, name) for name in self.__dataclass_fields__))

    @property
    def outside(self) -> int:
        """Of QEMU without its vCPU threads, and of the simulator: what it costs to carry the guests' frames."""
        return self.machines + self.simulator


def look(root: int) -> ProcessorTime:
    """Processor time of the machines and the simulator among the descendants of a process.

    Machines have to run with ``-name ...,debug-threads=on``, which names their threads.
    """
    times = dict.fromkeys(ProcessorTime.__dataclass_fields__, 0)
    for process in _descendants(root):
        words = (process / "cmdline").read_bytes().split(b"\0")
        machine = os.path.basename(words[0]).startswith(b"qemu-system")
        if machine or b"qemunet.simulation.worker" in words:
            for name, taken_ns in _threads(process):
                vcpu = machine and name.startswith("CPU ")
                times["vcpu" if vcpu else "machines" if machine else "simulator"] += taken_ns
    for process in _kernel_threads():
        times["ksoftirqd"] += _taken_ns(process)
    total = (PROC / "stat").read_text().split("\n", 1)[0].split()
    times["softirq"] = int(total[_SOFTIRQ_FIELD]) * _NS_PER_TICK
    return ProcessorTime(**times)


def _descendants(root: int) -> Iterator[Path]:
    for task in (PROC / str(root) / "task").iterdir():
        for child in (task / "children").read_text().split():
            yield PROC / child
            yield from _descendants(int(child))


def _threads(process: Path) -> Iterator[tuple[str, int]]:
    for thread in (process / "task").iterdir():
        try:
            yield (thread / "comm").read_text().strip(), _taken_ns(thread)
        except FileNotFoundError:  # It has ended: QEMU's workers come and go.
            continue


def _taken_ns(task: Path) -> int:
    return int((task / "schedstat").read_text().split()[0])


def _kernel_threads() -> Iterator[Path]:
    # kthreadd is process 2 of a computer, and there is none in a container.
    children = PROC / "2" / "task" / "2" / "children"
    for child in children.read_text().split() if children.exists() else ():
        if (PROC / child / "comm").read_text().startswith("ksoftirqd/"):
            yield PROC / child


def as_dict(time: ProcessorTime) -> Mapping[str, int]:
    """The fields by name, and ``outside``."""
    return {name: getattr(time, name) for name in (*time.__dataclass_fields__, "outside")}

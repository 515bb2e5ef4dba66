"""What a run measures of its own fidelity beside what the simulator does: host load, the kernel's drops, start skew."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from qemunet.host.load import InterfaceCounters, interface_counters, look_at_host
from qemunet.plan.model import GuestPlan, TimingPlan
from qemunet.results.fidelity import CpuUse, DoorDrops, Measured
from qemunet.results.load import Look, host_load
from qemunet.simulation.messages import DoorCounters
from qemunet.simulation.report import LagTimeline, Load, SimulationReport
from qemunet.tasks.protocols import TaskEvent
from qemunet.testbed.clock import SimulationClock

LOOK_S = 1.0
"""So long between two looks at the computer."""

MOST_LOOKED_AT = 64
"""Of so many network namespaces the kernel's drops are looked at as often; of more, which would take long, only at the end."""

_SUFFERED = {
    "in_malformed": ("in", "malformed", True),
    "out_dropped": ("out", "queue", True),
    "out_unreachable": ("out", "unreachable", False),
}
"""The counters of a native door that are of frames dropped: direction, reason, whether they count for the verdict."""


@dataclass(frozen=True)
class Queue:
    """Where the kernel holds frames at a door until they are read: a tap, seen from a process in its network namespace.

    Attributes:
        door: Number of the door.
        direction: ``in`` is from the guest, ``out`` to it.
        pid: The process, as it is called here.
        interface: Its name there.
        only: The simulator does not count what passes the door, so the kernel's counters tell that too.
    """

    door: int
    direction: str
    pid: int
    interface: str
    only: bool = False


def queues_of(guests: Sequence[GuestPlan], first_processes: Mapping[str, int], run_pid: int) -> list[Queue]:
    """The kernel's queues at the doors of guests.

    Args:
        guests: The plan's.
        first_processes: PID 1 of each container, by node.
        run_pid: A process in the Run's network namespace, where taps of TapBridges are.
    """
    found = []
    for guest in guests:
        for interface in guest.interfaces:
            if interface.attach == "tapbridge":
                found.append(Queue(interface.door, "in", run_pid, f"qn-sim{interface.door}", only=True))
                if interface.host_tap is not None:
                    found.append(Queue(interface.door, "out", run_pid, interface.host_tap))
            elif guest.node in first_processes:
                found.append(Queue(interface.door, "in", first_processes[guest.node], interface.name))
    return found


class Measuring:
    """Measures from time 0 (when it is made) to ``end``.

    Attributes:
        clock: Tells simulation time.
    """

    def __init__(
        self, clock: SimulationClock, guests: Sequence[GuestPlan], queues: Sequence[Queue], timing: TimingPlan
    ) -> None:
        self._clock = clock
        self._doors = {each.door: f"{guest.node}:{each.name}" for guest in guests for each in guest.interfaces}
        self._queues = queues
        self._timing = timing
        self._looks: list[Look] = []
        self._often = len({queue.pid for queue in queues}) <= MOST_LOOKED_AT
        self._before = self._count()
        self._kernel: dict[Queue, InterfaceCounters] = {}
        self._most_dropped: tuple[int, float | None] = (0, None)
        self._last_drops = (_dropped(self._before), self._clock.now_s())
        self._fired_at_s: dict[str, float] = {}
        self._skews: list[tuple[int, float, str]] = []
        self._look()

    async def watch(self) -> None:
        """Look at the computer now and then, until cancelled."""
        while True:
            await trio.sleep(LOOK_S)
            self._look()
            if self._often:
                self._compare(self._count())

    def observe(self, event: TaskEvent) -> None:
        """Take what a Task tells of its start."""
        if event.task is None:
            return
        written_ns = event.details.get("written_ns")
        if event.kind == "fired":
            self._fired_at_s.setdefault(event.task, event.at_s)
        elif event.kind == "skew" and isinstance(written_ns, int):
            self._skews.append((written_ns, self._fired_at_s.pop(event.task, event.at_s), event.task))

    def end(self) -> None:
        """Measure no more; the guests still live."""
        self._look()
        now = self._count()
        self._compare(now)
        for queue, before in self._before.items():
            if queue in now:
                after = now[queue]
                self._kernel[queue] = InterfaceCounters(
                    after.received - before.received, after.sent - before.sent, after.dropped - before.dropped
                )

    def result(self, report: SimulationReport) -> Measured:
        """All that was measured, with what the simulator says about itself."""
        lag, load = report.counters.lag, report.load
        counted = report.counters.doors
        drops = self._drops(counted)
        frames = sum(
            door.in_frames + door.in_malformed + door.out_frames + door.out_dropped for door in counted.values()
        )
        frames += sum(each.received + each.sent for queue, each in self._kernel.items() if queue.only)
        skew = max(self._skews, default=None)
        return Measured(
            lag_p50_ns=lag.p50_ns,
            lag_p99_ns=lag.p99_ns,
            lag_p999_ns=lag.p999_ns,
            lag_max_ns=lag.max_ns,
            events=lag.events,
            door_frames=frames + _dropped(self._kernel),
            door_drops=sum(each.frames for each in drops if each.counts),
            start_skews_ns=[skew_ns for skew_ns, _, _ in self._skews],
            lag_max_at_s=lag.max_at_ns / 1e9,
            lag_p99_at_s=_worst_at_s(report.lag),
            start_skew_at_s=None if skew is None else skew[1],
            start_skew_task=None if skew is None else skew[2],
            door_drops_at_s=self._worst_drops_at_s(load),
            drops=drops,
            deadline_ns=self._timing.deadline_ns,
            missed=report.missed,
            looks=lag.count,
            cpu=CpuUse(
                load.wall_ns / 1e9,
                load.thread_ns / 1e9,
                load.process_ns / 1e9,
                load.busiest_cpu_ns / load.busiest_wall_ns if load.busiest_wall_ns else None,
                load.busiest_at_ns / 1e9 if load.busiest_wall_ns else None,
            ),
            host=host_load(self._looks),
            scheduling=dataclasses.asdict(report.scheduling),
        )

    def _look(self) -> None:
        look = look_at_host()
        if look is not None:
            values = {field.name: getattr(look, field.name) for field in dataclasses.fields(look)}
            at_s = self._clock.to_simulation_s(values.pop("host_ns"))
            self._looks.append(Look(at_s=at_s, **values))

    def _compare(self, counted: Mapping[Queue, InterfaceCounters]) -> None:
        """Keep the instant from which on the kernel dropped most, between two looks."""
        before, at_s = self._last_drops
        total = _dropped(counted)
        if total - before > self._most_dropped[0]:
            self._most_dropped = (total - before, at_s)
        self._last_drops = (total, self._clock.now_s())

    def _worst_drops_at_s(self, load: Load) -> float | None:
        """When most frames were dropped: by the kernel, or at the simulator's end of the doors."""
        if self._most_dropped[0] > load.most_drops:
            return self._most_dropped[1]
        return load.most_drops_at_ns / 1e9 if load.most_drops else None

    def _count(self) -> dict[Queue, InterfaceCounters]:
        by_pid = {pid: interface_counters(pid) for pid in {queue.pid for queue in self._queues}}
        return {
            queue: by_pid[queue.pid][queue.interface] for queue in self._queues if queue.interface in by_pid[queue.pid]
        }

    def _drops(self, counted: Mapping[int, DoorCounters]) -> list[DoorDrops]:
        found = [
            DoorDrops(self._doors[queue.door], queue.direction, "kernel", counters.dropped)
            for queue, counters in self._kernel.items()
            if counters.dropped
        ]
        for door, counters in counted.items():
            for name, (direction, reason, counts) in _SUFFERED.items():
                frames = getattr(counters, name)
                if frames:
                    found.append(DoorDrops(self._doors[door], direction, reason, frames, counts))
        return found


def _dropped(counted: Mapping[Queue, InterfaceCounters]) -> int:
    return sum(counters.dropped for counters in counted.values())


def _worst_at_s(lag: LagTimeline) -> float | None:
    """When the interval began in which 99 % of the events ran latest."""
    if not lag.p99_ns:
        return None
    return max(range(len(lag.p99_ns)), key=lag.p99_ns.__getitem__) * lag.interval_ns / 1e9

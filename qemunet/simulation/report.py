"""What the simulation says about itself at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qemunet.simulation.messages import DoorCounters, Lag, LinkCounters


@dataclass(frozen=True)
class Counters:
    """A snapshot while the simulation runs.

    Attributes:
        lag: How late events ran.
        doors: By number of the door (native doors only).
        links: By name of the link: (first to second end, back) for a wire, one for a csma channel.
    """

    lag: Lag
    doors: Mapping[int, DoorCounters]
    links: Mapping[str, tuple[LinkCounters, ...]]


@dataclass(frozen=True)
class Scheduling:
    """Under which policy the simulation ran.

    Attributes:
        policy: ``SCHED_FIFO`` or ``SCHED_OTHER``.
        reason: Why not SCHED_FIFO, or None.
        demoted: SCHED_FIFO was taken away because the simulation did not sleep for two seconds.
    """

    policy: str
    reason: str | None
    demoted: bool


@dataclass(frozen=True)
class Pcap:
    """A file of recorded frames.

    Attributes:
        frames: Frames in it.
        dropped: Frames that are missing: they came faster than the disk took them, or it had no room to spare.
    """

    frames: int
    dropped: int


@dataclass(frozen=True)
class LagTimeline:
    """How late events ran in the course of simulation time: a bounded number of intervals from time 0 on.

    Attributes:
        interval_ns: How long each of them is; they get longer with the run.
        events: Number of events that were due in each.
        p99_ns: 99 % of them ran at most this late.
        max_ns: The latest.
    """

    interval_ns: int
    events: Sequence[int]
    p99_ns: Sequence[int]
    max_ns: Sequence[int]


@dataclass(frozen=True)
class Load:
    """What the simulation cost from time 0 to its end, and its worst seconds.

    Attributes:
        wall_ns: How long it ran.
        thread_ns: CPU time of the simulation's thread.
        process_ns: CPU time of all threads of the worker, those of TapBridges among them.
        busiest_cpu_ns, busiest_wall_ns, busiest_at_ns: CPU time of the thread in the second in which it had most to do,
            how long that was, and the simulation time at which it began; 0 in a run of less than half a second.
        most_drops, most_drops_at_ns: Frames dropped at the doors in the worst second, and when that began.
    """

    wall_ns: int
    thread_ns: int
    process_ns: int
    busiest_cpu_ns: int
    busiest_wall_ns: int
    busiest_at_ns: int
    most_drops: int
    most_drops_at_ns: int


@dataclass(frozen=True)
class SimulationReport:
    """The end of a run.

    Attributes:
        counters: The last ones.
        scheduling: As it was.
        cpu_user_s, cpu_system_s: CPU time of the worker while it ran, from ready to stop.
        max_rss_mib: The most memory it held.
        metrics: What the experiment's ``extend`` returned.
        lag: How late events ran in the course of the run.
        missed: Events later than the plan's deadline.
        load: What it cost.
        pcaps: By name of the file.
    """

    counters: Counters
    scheduling: Scheduling
    cpu_user_s: float
    cpu_system_s: float
    max_rss_mib: float
    metrics: Mapping[str, Any]
    lag: LagTimeline
    missed: int
    load: Load
    pcaps: Mapping[str, Pcap] = field(default_factory=dict)

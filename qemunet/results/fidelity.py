"""The verdict on a run's timing fidelity: did the emulated network keep real time well enough to be believed?

A run over one of its limits is *unfaithful*, and says which, by how much and when it was worst. The limits have defaults
that a topology changes by ``option``; the numbers themselves are measured by the simulator (lag, frames dropped at the
doors, its own use of a processor), by the Tasks (spread of the instants at which commands were released), and by looks at
the computer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from qemunet.results.load import HostLoad
from qemunet.units import parse_share, parse_time_ns

_MANY = 100


@dataclass(frozen=True)
class Limits:
    """What a faithful run may show at most.

    Attributes:
        lag_p99_ns: 99 % of the simulator's events ran at most this late (option ``lag_p99``); where there were fewer
            than a hundred, half of them.
        lag_max_ns: Every event ran at most this late (option ``lag_max``).
        door_drops: Share of the frames at the doors that were dropped there (option ``door_drops``).
        start_skew_ns: Between the first and the last release of a Task's commands (option ``start_skew``).
        deadline_misses: Share of the events that were later than the deadline (option ``deadline_misses``).
        simulator_cpu: Share of a processor that the simulator's thread used (option ``simulator_cpu``). The default
            bounds nothing: one that is busy all the time is late, and found by that.
        host_saturation: Share of the run in which the computer had no processor free (option ``host_saturation``); likewise.
    """

    lag_p99_ns: int = 2_000_000
    lag_max_ns: int = 100_000_000
    door_drops: float = 0.001
    start_skew_ns: int = 5_000_000
    deadline_misses: float = 0.001
    simulator_cpu: float = 1.0
    host_saturation: float = 1.0


_PARSERS: Mapping[str, Callable[[str], float]] = {
    "lag_p99_ns": parse_time_ns,
    "lag_max_ns": parse_time_ns,
    "start_skew_ns": parse_time_ns,
}


def limits_from_options(options: Mapping[str, str]) -> Limits:
    """The defaults, changed by what the topology's options say (already checked when the topology was read)."""
    changed = {
        field.name: _PARSERS.get(field.name, parse_share)(options[option])
        for field in fields(Limits)
        if (option := field.name.removesuffix("_ns")) in options
    }
    return Limits(**changed)  # type: ignore[arg-type]


@dataclass(frozen=True)
class DoorDrops:
    """Frames dropped at a door.

    Attributes:
        door: ``node:interface``.
        direction: ``in`` is from the guest, ``out`` to it.
        reason: ``kernel`` (in: the simulator did not read in time; out: QEMU did not), ``malformed`` (in: no Ethernet
            header, longer than the MTU allows, or not for this link), ``queue`` (out: the guest did not read in time),
            ``unreachable`` (out: nobody was there).
        frames: How many.
        counts: Whether they count for the verdict: those that find nobody at the other end do not.
    """

    door: str
    direction: str
    reason: str
    frames: int
    counts: bool = True


@dataclass(frozen=True)
class CpuUse:
    """Processor time of the simulator from time 0 to its end.

    Attributes:
        wall_s: How long that was.
        thread_s: Of the thread that runs the events.
        process_s: Of its process, which has other threads where there are TapBridges or frames are recorded.
        busiest: Share of a processor that the thread used in its busiest second; None in a run of less than half a second.
        busiest_at_s: Simulation time at which that second began.
    """

    wall_s: float
    thread_s: float
    process_s: float
    busiest: float | None
    busiest_at_s: float | None

    @property
    def share(self) -> float:
        """Of a processor, that the thread used."""
        return self.thread_s / self.wall_s if self.wall_s else 0.0


@dataclass(frozen=True)
class Measured:
    """What a run measured of itself. Instants are simulation time; those of what is not known are None.

    Attributes:
        lag_p50_ns, lag_p99_ns, lag_p999_ns, lag_max_ns: How late events ran.
        events: Number of events.
        door_frames: Frames that came to the doors, both directions.
        door_drops: Of these, dropped at the doors.
        start_skews_ns: One per Task: last release minus first.
        lag_max_at_s: When the latest event was due.
        lag_p99_at_s: When the interval began in which 99 % of the events ran latest.
        start_skew_at_s, start_skew_task: When the Task with the largest skew was released, and its name.
        door_drops_at_s: When the second began in which most frames were dropped at the doors.
        drops: Where frames were dropped.
        deadline_ns: What events were held to.
        missed: Events and looks at the clock that were later.
        looks: Events and looks at the clock: what lag was measured of.
        cpu: Of the simulator.
        host: The computer's load.
        scheduling: Under which policy the simulator ran, why not under SCHED_FIFO, whether that was taken away.
    """

    lag_p50_ns: int
    lag_p99_ns: int
    lag_p999_ns: int
    lag_max_ns: int
    events: int
    door_frames: int
    door_drops: int
    start_skews_ns: Sequence[int]
    lag_max_at_s: float | None = None
    lag_p99_at_s: float | None = None
    start_skew_at_s: float | None = None
    start_skew_task: str | None = None
    door_drops_at_s: float | None = None
    drops: Sequence[DoorDrops] = ()
    deadline_ns: int = 0
    missed: int = 0
    looks: int = 0
    cpu: CpuUse | None = None
    host: HostLoad | None = None
    scheduling: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Violation:
    """A limit that a run went over.

    Attributes:
        limit: Its name, as in ``Limits``.
        measured, allowed: In the limit's unit.
        at_s: Simulation time of the worst, None if that is not known.
        reason: The same in words.
    """

    limit: str
    measured: float
    allowed: float
    at_s: float | None
    reason: str

    @property
    def factor(self) -> float:
        """How many times the limit it was."""
        return self.measured / self.allowed if self.allowed else math.inf


def judge(measured: Measured, limits: Limits) -> dict[str, object]:
    """The ``fidelity`` part of run.json: verdict, reasons, the numbers and the limits they were held to."""
    violations = _violations(measured, limits)
    worst = max(violations, key=lambda each: each.factor, default=None)
    reasons = [each.reason for each in violations]
    skew_ns = max(measured.start_skews_ns, default=0)
    numbers = (
        f"lag p99 {_ms(measured.lag_p99_ns)}, max {_ms(measured.lag_max_ns)};"
        f" {measured.door_drops} door drops; start skew {_ms(skew_ns)}"
    )
    host, cpu = measured.host, measured.cpu
    saturated = (
        f" (the host was saturated for {host.saturated_s:.3g} of {host.measured_s:.3g} s)"
        if host and host.saturated_s
        else ""
    )
    return {
        "faithful": not violations,
        "reasons": reasons,
        "summary": f"unfaithful: {'; '.join(reasons)}{saturated}" if violations else f"faithful ({numbers})",
        "violations": [
            {"limit": each.limit, "measured": each.measured, "allowed": each.allowed, "at_s": each.at_s}
            for each in violations
        ],
        "worst": None if worst is None else {"limit": worst.limit, "at_s": worst.at_s},
        "lag_ns": {
            "p50": measured.lag_p50_ns,
            "p99": measured.lag_p99_ns,
            "p999": measured.lag_p999_ns,
            "max": measured.lag_max_ns,
            "max_at_s": measured.lag_max_at_s,
            "events": measured.events,
        },
        "deadline": {
            "deadline_ns": measured.deadline_ns,
            "missed": measured.missed,
            "of": measured.looks,
            "share": measured.missed / measured.looks if measured.looks else 0.0,
        },
        "doors": {
            "frames": measured.door_frames,
            "dropped": measured.door_drops,
            "where": [asdict(each) for each in measured.drops],
        },
        "start_skew_ns": {"max": skew_ns, "tasks": len(measured.start_skews_ns), "task": measured.start_skew_task},
        "simulator_cpu": None if cpu is None else {"share": cpu.share, **asdict(cpu)},
        "scheduling": None if measured.scheduling is None else dict(measured.scheduling),
        "host": None if host is None else asdict(host),
        "limits": asdict(limits),
    }


def _violations(measured: Measured, limits: Limits) -> list[Violation]:
    found = []

    def over(limit: str, value: float, allowed: float, at_s: float | None, words: str, task: str = "") -> None:
        when = "" if at_s is None else f", {'in the second from' if limit == 'door_drops' else 'worst at'} {at_s:.3f} s"
        found.append(Violation(limit, value, allowed, at_s, f"{words}{when}{task}"))

    # One late event of fewer than a hundred is no per cent: then most of them have to be late.
    which, held_ns = ("p99", measured.lag_p99_ns) if measured.events >= _MANY else ("p50", measured.lag_p50_ns)
    if held_ns > limits.lag_p99_ns:
        words = f"lag {which} {_ms(held_ns)} over its limit of {_ms(limits.lag_p99_ns)}"
        over("lag_p99_ns", held_ns, limits.lag_p99_ns, measured.lag_p99_at_s, words)
    if measured.lag_max_ns > limits.lag_max_ns:
        words = f"lag max {_ms(measured.lag_max_ns)} over its limit of {_ms(limits.lag_max_ns)}"
        over("lag_max_ns", measured.lag_max_ns, limits.lag_max_ns, measured.lag_max_at_s, words)
    # Likewise: one of fewer than a thousand is no per mille.
    if measured.missed > math.ceil(limits.deadline_misses * measured.looks):
        share = measured.missed / measured.looks
        words = (
            f"{measured.missed} of {measured.looks} events later than the deadline of {_ms(measured.deadline_ns)},"
            f" {_percent(share)} over the limit of {_percent(limits.deadline_misses)}"
        )
        over("deadline_misses", share, limits.deadline_misses, measured.lag_max_at_s, words)
    share = measured.door_drops / measured.door_frames if measured.door_frames else 0.0
    if share > limits.door_drops:
        most = max((each for each in measured.drops if each.counts), key=lambda each: each.frames, default=None)
        where = "" if most is None else f", most at {most.door} ({most.direction}, {most.reason}: {most.frames})"
        words = (
            f"{measured.door_drops} of {measured.door_frames} frames dropped at the doors,"
            f" {_percent(share)} over the limit of {_percent(limits.door_drops)}{where}"
        )
        over("door_drops", share, limits.door_drops, measured.door_drops_at_s, words)
    skew_ns = max(measured.start_skews_ns, default=0)
    if skew_ns > limits.start_skew_ns:
        words = f"start skew {_ms(skew_ns)} over its limit of {_ms(limits.start_skew_ns)}"
        task = "" if measured.start_skew_task is None else f", Task {measured.start_skew_task}"
        over("start_skew_ns", skew_ns, limits.start_skew_ns, measured.start_skew_at_s, words, task)
    cpu, host = measured.cpu, measured.host
    if cpu is not None and cpu.share > limits.simulator_cpu and limits.simulator_cpu < 1:
        words = f"the simulator used {_percent(cpu.share)} of a processor, over the limit of {_percent(limits.simulator_cpu)}"
        over("simulator_cpu", cpu.share, limits.simulator_cpu, cpu.busiest_at_s, words)
    if host is not None and host.saturated > limits.host_saturation:
        words = (
            f"the host was saturated for {host.saturated_s:.3g} of {host.measured_s:.3g} s,"
            f" {_percent(host.saturated)} over the limit of {_percent(limits.host_saturation)}"
        )
        over("host_saturation", host.saturated, limits.host_saturation, host.worst_at_s, words)
    return found


def _ms(value_ns: float) -> str:
    return f"{value_ns / 1e6:.3g} ms" if value_ns < 1e9 else f"{value_ns / 1e6:.0f} ms"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"

"""The computer's load over a run, from what the kernel had counted at some instants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SATURATED = 0.95
"""A computer whose processors are together busy for this share of an interval has none free."""
STOLEN = 0.05
"""So is one that another of its hypervisor's guests, or its control group, keeps from this share of its processors."""


@dataclass(frozen=True)
class Look:
    """What the kernel had counted by an instant.

    Attributes:
        at_s: Simulation time.
        ticks, idle, steal: Per core, in clock ticks: time that passed, was idle, was given to others by the hypervisor.
        pressure_us: Time in which some task waited for a processor, in us; None if that is not known.
        throttled_us: Time in which our control group was kept from its processors, in us; None as above.
        load: Load average of the last minute.
    """

    at_s: float
    ticks: Sequence[int]
    idle: Sequence[int]
    steal: Sequence[int]
    pressure_us: int | None
    throttled_us: int | None
    load: float


@dataclass(frozen=True)
class HostLoad:
    """The computer's load from time 0 to the end of a run. Shares are 0 to 1.

    Attributes:
        measured_s: How long it was looked at.
        saturated_s: For how much of that no processor was free.
        saturated: The same as a share.
        worst_at_s: When the busiest of the intervals between two looks began, in simulation time.
        worst_busy: Share of the processors' time that was used then.
        busy: Share of the processors' time that was used, of the whole run.
        cores_busy: The same of each processor that the run could use.
        steal: Share of the processors' time that the hypervisor gave to others.
        pressure: Share of the time in which some task waited for a processor (/proc/pressure/cpu); None if not known.
        throttled_s: How long the run's control group was kept from its processors; None if not known.
        load_average: Of the last minute of the run.
    """

    measured_s: float
    saturated_s: float
    saturated: float
    worst_at_s: float
    worst_busy: float
    busy: float
    cores_busy: tuple[float, ...]
    steal: float
    pressure: float | None
    throttled_s: float | None
    load_average: float


def host_load(looks: Sequence[Look]) -> HostLoad | None:
    """What the looks say, in order of time; None if they are fewer than two, or no time passed between them."""
    # Processors may come and go; what is compared are the same ones.
    looks = [look for look in looks if len(look.ticks) == len(looks[0].ticks)]
    intervals = [(one, other) for one, other in pairwise(looks) if sum(other.ticks) > sum(one.ticks)]
    if not intervals:
        return None
    saturated_s, worst_at_s, worst_busy = 0.0, intervals[0][0].at_s, -1.0
    for one, other in intervals:
        length_s, busy = other.at_s - one.at_s, _busy(one, other)
        stolen = max(_steal(one, other), (_gone_s(one.throttled_us, other.throttled_us) or 0.0) / max(length_s, 1e-9))
        if busy >= SATURATED or stolen >= STOLEN:
            saturated_s += length_s
        if busy > worst_busy:
            worst_at_s, worst_busy = one.at_s, busy
    first, last = intervals[0][0], intervals[-1][1]
    measured_s = last.at_s - first.at_s
    waited_s = _gone_s(first.pressure_us, last.pressure_us)
    return HostLoad(
        measured_s=measured_s,
        saturated_s=min(saturated_s, measured_s),  # Sums of parts are rounded.
        saturated=min(1.0, saturated_s / measured_s) if measured_s > 0 else 0.0,
        worst_at_s=worst_at_s,
        worst_busy=worst_busy,
        busy=_busy(first, last),
        cores_busy=tuple(
            1 - (idle - idle_before) / max(1, ticks - ticks_before)
            for ticks_before, ticks, idle_before, idle in zip(
                first.ticks, last.ticks, first.idle, last.idle, strict=True
            )
        ),
        steal=_steal(first, last),
        pressure=None if waited_s is None or measured_s <= 0 else min(1.0, waited_s / measured_s),
        throttled_s=_gone_s(first.throttled_us, last.throttled_us),
        load_average=last.load,
    )


def _busy(one: Look, other: Look) -> float:
    """Share of the time between two looks in which the processors were not idle."""
    return 1 - (sum(other.idle) - sum(one.idle)) / (sum(other.ticks) - sum(one.ticks))


def _steal(one: Look, other: Look) -> float:
    return (sum(other.steal) - sum(one.steal)) / (sum(other.ticks) - sum(one.ticks))


def _gone_s(before_us: int | None, after_us: int | None) -> float | None:
    return None if before_us is None or after_us is None else (after_us - before_us) / 1e6

"""The verdict on a run's timing fidelity: did the emulated network keep real time well enough to be believed?

A run over one of its limits is *unfaithful*, and says which and by how much. The limits have defaults that a topology
changes by ``option``; the numbers themselves are measured by the simulator (lag, frames dropped at the doors) and by
the Tasks (spread of the instants at which commands were released).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

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
    """

    lag_p99_ns: int = 2_000_000
    lag_max_ns: int = 100_000_000
    door_drops: float = 0.001
    start_skew_ns: int = 5_000_000


def limits_from_options(options: Mapping[str, str]) -> Limits:
    """The defaults, changed by what the topology's options say (already checked when the topology was read)."""
    default = Limits()
    return Limits(
        lag_p99_ns=parse_time_ns(options["lag_p99"]) if "lag_p99" in options else default.lag_p99_ns,
        lag_max_ns=parse_time_ns(options["lag_max"]) if "lag_max" in options else default.lag_max_ns,
        door_drops=parse_share(options["door_drops"]) if "door_drops" in options else default.door_drops,
        start_skew_ns=parse_time_ns(options["start_skew"]) if "start_skew" in options else default.start_skew_ns,
    )


@dataclass(frozen=True)
class Measured:
    """What a run measured of itself.

    Attributes:
        lag_p50_ns, lag_p99_ns, lag_p999_ns, lag_max_ns: How late events ran.
        events: Number of events.
        door_frames: Frames that came to the doors, both directions.
        door_drops: Of these, dropped at the doors.
        start_skews_ns: One per Task: last release minus first.
    """

    lag_p50_ns: int
    lag_p99_ns: int
    lag_p999_ns: int
    lag_max_ns: int
    events: int
    door_frames: int
    door_drops: int
    start_skews_ns: Sequence[int]


def judge(measured: Measured, limits: Limits) -> dict[str, object]:
    """The ``fidelity`` part of run.json: verdict, reasons, the numbers and the limits they were held to."""
    reasons = []
    # One late event of fewer than a hundred is no per cent: then most of them have to be late.
    which, held_ns = ("p99", measured.lag_p99_ns) if measured.events >= _MANY else ("p50", measured.lag_p50_ns)
    if held_ns > limits.lag_p99_ns:
        reasons.append(f"lag {which} {_ms(held_ns)} over its limit of {_ms(limits.lag_p99_ns)}")
    if measured.lag_max_ns > limits.lag_max_ns:
        reasons.append(f"lag max {_ms(measured.lag_max_ns)} over its limit of {_ms(limits.lag_max_ns)}")
    share = measured.door_drops / measured.door_frames if measured.door_frames else 0.0
    if share > limits.door_drops:
        reasons.append(
            f"{measured.door_drops} of {measured.door_frames} frames dropped at the doors,"
            f" {100 * share:.3g} % over the limit of {100 * limits.door_drops:.3g} %"
        )
    skew_ns = max(measured.start_skews_ns, default=0)
    if skew_ns > limits.start_skew_ns:
        reasons.append(f"start skew {_ms(skew_ns)} over its limit of {_ms(limits.start_skew_ns)}")
    numbers = (
        f"lag p99 {_ms(measured.lag_p99_ns)}, max {_ms(measured.lag_max_ns)};"
        f" {measured.door_drops} door drops; start skew {_ms(skew_ns)}"
    )
    return {
        "faithful": not reasons,
        "reasons": reasons,
        "summary": f"faithful ({numbers})" if not reasons else f"unfaithful: {'; '.join(reasons)}",
        "lag_ns": {
            "p50": measured.lag_p50_ns,
            "p99": measured.lag_p99_ns,
            "p999": measured.lag_p999_ns,
            "max": measured.lag_max_ns,
            "events": measured.events,
        },
        "doors": {"frames": measured.door_frames, "dropped": measured.door_drops},
        "start_skew_ns": {"max": skew_ns, "tasks": len(measured.start_skews_ns)},
        "limits": asdict(limits),
    }


def _ms(value_ns: int) -> str:
    return f"{value_ns / 1e6:.3g} ms"

"""The report of a run: what was measured of its timing, and what that was held to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qemunet.drawing.charts import draw_lag
from qemunet.report.figures import for_paper, inline
from qemunet.report.page import span, whole
from qemunet.report.run_data import RunData
from qemunet.report.text import one_line

_QUANTILES = [("50 %", "p50"), ("99 %", "p99"), ("99.9 %", "p999"), ("all", "max")]
_MOST_PLACES = 200  # of drops


def fidelity_tables(fidelity: object) -> dict[str, Any] | None:
    """Return what the section shows beside its chart; None if the run measured nothing."""
    if not isinstance(fidelity, Mapping):
        return None
    limits = fidelity.get("limits") or {}
    violations = fidelity.get("violations")
    violated = None if violations is None else {each.get("limit"): each.get("at_s") for each in violations}
    rows = []
    for name, limit, value, write in _measures(fidelity):
        allowed = limits.get(limit)
        if value is None or allowed is None:
            continue
        held = value <= allowed if violated is None else limit not in violated
        at_s = (violated or {}).get(limit)
        rows.append(
            {
                "name": name,
                "measured": write(value),
                "limit": write(allowed),
                "held": held,
                "at": "" if at_s is None else f"at {at_s:.3f} s",
            }
        )
    lag = fidelity.get("lag_ns") or {}
    return {
        "summary": f"{str(fidelity.get('summary', '')).capitalize()}.",
        "limits": rows,
        "lag": [
            *((share, _ms(lag[name])) for share, name in _QUANTILES if isinstance(lag.get(name), int)),
            ("events", whole(lag.get("events"))),
        ],
        "load": _load(fidelity),
        "drops": [
            {
                "door": one_line(str(each.get("door")), 60),
                "direction": "from the guest" if each.get("direction") == "in" else "to the guest",
                "reason": str(each.get("reason")),
                "frames": whole(each.get("frames")),
            }
            for each in ((fidelity.get("doors") or {}).get("where") or ())[:_MOST_PLACES]
        ],
    }


def _measures(fidelity: Mapping[str, Any]) -> list[tuple[str, str, float | None, Callable[[float], str]]]:
    """Return each measure: its name, its limit's, its value and how it is written."""
    lag, doors, skew, deadline, cpu, host = (
        fidelity.get(name) or {} for name in ("lag_ns", "doors", "start_skew_ns", "deadline", "simulator_cpu", "host")
    )
    frames, dropped = doors.get("frames", 0), doors.get("dropped", 0)
    late = _ms(deadline["deadline_ns"]) if deadline.get("deadline_ns") else ""
    return [
        ("Lag, 99 % of events", "lag_p99_ns", lag.get("p99"), _ms),
        ("Lag, every event", "lag_max_ns", lag.get("max"), _ms),
        (f"Events later than {late}", "deadline_misses", deadline.get("share"), _percent),
        ("Frames dropped at doors", "door_drops", dropped / frames if frames else 0.0, _percent),
        ("Start skew of a Task", "start_skew_ns", skew.get("max"), _ms),
        ("Simulator's CPU", "simulator_cpu", cpu.get("share"), _percent),
        ("Host saturated", "host_saturation", host.get("saturated"), _percent),
    ]


def _load(fidelity: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the simulator and the computer had to do."""
    cpu, host = fidelity.get("simulator_cpu") or {}, fidelity.get("host") or {}
    rows = []
    if cpu:
        rows.append(("simulator's thread", f"{cpu['thread_s']:.3g} of {cpu['wall_s']:.3g} s"))
        if cpu.get("busiest") is not None:
            rows.append(("its busiest second", f"{_percent(cpu['busiest'])}, from {cpu['busiest_at_s']:.3g} s"))
    if host:
        rows += [
            ("no processor free", f"{host['saturated_s']:.3g} of {host['measured_s']:.3g} s"),
            ("busiest", f"{_percent(host['worst_busy'])}, from {host['worst_at_s']:.3g} s"),
            ("each processor", ", ".join(map(_percent, host["cores_busy"]))),
            ("taken by the hypervisor", _percent(host["steal"])),
            ("load average", f"{host['load_average']:.3g}"),
        ]
        if host.get("pressure") is not None:
            rows.append(("some task waited", f"{_percent(host['pressure'])} of the time"))
        if host.get("throttled_s"):
            rows.append(("held by its control group", span(host["throttled_s"])))
    return rows


def lag_figure(data: RunData, figures: dict[str, str]) -> tuple[str, str]:
    """Return the chart of lag over time and what it shows in words; of a run without, why there is none."""
    lag = data.lag
    interval_ns, events = lag.get("interval_ns"), lag.get("events")
    if not isinstance(interval_ns, int) or not isinstance(events, list) or not events:
        return "", "Lag over time is not known: lag.json is written when the simulation ends."
    fidelity = data.record.get("fidelity") or {}
    limits, measured = fidelity.get("limits") or {}, fidelity.get("lag_ns") or {}
    named = {"p99": limits.get("lag_p99_ns"), "max": limits.get("lag_max_ns")}
    known = {name: value / 1e6 for name, value in named.items() if isinstance(value, int)}
    at_s, latest_ns = measured.get("max_at_s"), measured.get("max")
    worst = (float(at_s), latest_ns / 1e6) if isinstance(at_s, (int, float)) and latest_ns else None
    p99_ms, max_ms = _in_ms(lag["p99_ns"], events), _in_ms(lag["max_ns"], events)
    svg = draw_lag(interval_ns / 1e9, p99_ms, max_ms, known, worst)
    figures["lag.svg"] = for_paper(svg)
    words = (
        f"How late the simulator's events ran, in intervals of {span(interval_ns / 1e9)}: the latest, and 99 % of them."
    )
    if worst is not None:
        words += f" The latest of all was {worst[1]:.3g} ms late, at {worst[0]:.3f} s."
    return inline(svg, name="lag", title="Lag of the simulator over time", about=words), words


def _in_ms(values: Sequence[int], events: Sequence[int]) -> list[float | None]:
    return [value / 1e6 if count else None for value, count in zip(values, events, strict=True)]


def _ms(value_ns: float) -> str:
    return f"{value_ns / 1e6:.3g} ms" if value_ns < 1e9 else f"{value_ns / 1e6:.0f} ms"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"

"""The report of a batch: what its page shows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qemunet.drawing.charts import draw_metric
from qemunet.report.batch_charts import MOST_CHARTS, Chart, charts_of, counts
from qemunet.report.batch_data import BatchData, Run
from qemunet.report.figures import for_paper, inline
from qemunet.report.page import host_rows, look_of, render, short
from qemunet.report.text import first_line, one_line
from qemunet.results.statistics import CONFIDENCE, is_number, summarize

_METRICS_A_TABLE = 6
_MOST_RUNS = 1000  # of a table
_STATUSES = ("passed", "failed", "unfaithful", "error", "interrupted", "cut", "lost", "running", "planned")


def batch_page(data: BatchData, target: Path) -> tuple[str, dict[str, str]]:
    """Return the page of a batch, and its figures as SVG files by name.

    Args:
        data: The batch.
        target: Where the page will be: links to runs are relative to it.
    """
    figures: dict[str, str] = {}
    charts = list(islice(charts_of(data), MOST_CHARTS))
    metrics = data.metrics
    troubled = [run for run in data.runs if run.counted is not None and run.counted.status != "passed"]
    cut = [
        attempt
        for run in data.runs
        for attempt in run.attempts
        if attempt is not run.counted and attempt.status != "running"
    ]
    batch: dict[str, Any] = {
        "name": data.name,
        "tiles": _tiles(data),
        "words": _words(data),
        "facts": _facts(data),
        "constant": [(name, short(text)) for name, text in data.constant.items()],
        "varying": data.varying,
        "charts": _by_metric(charts, figures),
        "charts_cut": len(charts) == MOST_CHARTS,
        "confidence": f"{100 * CONFIDENCE:g} %",
        "tables": [
            {"metrics": metrics[first : first + _METRICS_A_TABLE], "points": list(_points(data, first))}
            for first in range(0, max(1, len(metrics)), _METRICS_A_TABLE)
        ],
        "troubled": [_run_row(data, run, target) for run in troubled[:_MOST_RUNS]],
        "troubled_left_out": max(0, len(troubled) - _MOST_RUNS),
        "cut": [
            {
                "run": attempt.run,
                "attempt": attempt.attempt,
                "look": look_of(attempt.status, attempt.verdict),
                "why": one_line(attempt.why, 300),
                "link": _link(data, attempt.directory, target),
                "directory": attempt.directory or "–",
            }
            for attempt in cut[:_MOST_RUNS]
        ],
        "sweep": data.sweep,
        "host": host_rows(data.host),
        "again": data.again,
        "resume": data.resume,
        "open": sum(run.counted is None for run in data.runs),
    }
    sections = [
        ("charts", "Charts", batch["charts"]),
        ("points", "Points", True),
        ("troubled", "Runs that did not pass", batch["troubled"]),
        ("attempts", "Other attempts", batch["cut"]),
        ("sweep", "Sweep", True),
        ("machine", "Machine", True),
        ("repeat", "Run it again", True),
    ]
    context = {"batch": batch, "sections": [(anchor, name) for anchor, name, there in sections if there]}
    title = f"Batch {data.name}: {sum(data.counts.values())} runs"
    return render("batch", context, title=title, origin=f"The batch is in {data.directory}."), figures


def _tiles(data: BatchData) -> list[dict[str, object]]:
    """How many runs ended how; failed, unfaithful and error always, also where there is none."""
    count = data.counts
    always = ("passed", "failed", "unfaithful", "error")
    tiles: list[dict[str, object]] = [
        {"name": "points", "count": len(data.points), "colour": ""},
        {"name": "runs planned", "count": len(data.runs), "colour": ""},
    ]
    for status in (*_STATUSES, *sorted(set(count) - set(_STATUSES))):
        if status in always or count[status]:
            look = look_of(status)
            colour = look["colour"] if count[status] and look["colour"] in ("bad", "warn", "good") else ""
            name = "… still planned" if status == "planned" else f"{look['sign']} {status}"
            tiles.append({"name": name, "count": count[status], "colour": colour})
    return tiles


def _words(data: BatchData) -> str:
    count, total = data.counts, len(data.runs)
    open_ = count["planned"] + count["running"]
    if open_:
        return f"{total - open_} of {total} runs have a result; --resume runs the other {open_}."
    if count["passed"] == total:
        return f"All {total} runs passed, and kept time."
    return f"All {total} runs have a result; {total - count['passed']} of them did not pass."


def _facts(data: BatchData) -> list[tuple[str, str]]:
    meta = data.meta
    facts = [
        ("Topology", meta.get("topology", "–")),
        ("Experiment", meta.get("experiment", "–")),
        ("Seed", meta.get("seed", "–")),
        ("Begun", meta.get("created", "–").replace("T", " ")[:19]),
        ("Repetitions", _repeat(meta.get("repeat", ""))),
        ("qemunet", str(data.about.get("qemunet", "–"))),
    ]
    return [(name, Path(text).name if "/" in text and ":" not in text else text) for name, text in facts]


def _repeat(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, Mapping):
        return str(value) if value is not None else "–"
    least, most = (value.get(name, value.get(f"{name}imum")) for name in ("min", "max"))
    span = f"{least}" if least == most else f"{least} to {most}"
    until = value.get("until")
    if not isinstance(until, Mapping):
        return span
    error = until.get("relative_error")
    goal = f"{100 * error:g} %" if is_number(error) else short(until.get("absolute_error"))
    return f"{span}, until {until.get('metric')} is known to {goal}"


def _by_metric(charts: list[Chart], figures: dict[str, str]) -> list[dict[str, Any]]:
    groups: dict[str, list[dict[str, str]]] = {}
    for index, each in enumerate(charts):
        chart = each.chart
        svg = draw_metric(chart)
        file = each.file
        while file in figures:  # names that differ in characters that no file should have
            file = f"_{file}"
        figures[file] = for_paper(svg)
        words = f"{chart.metric} over {chart.parameter}"
        if chart.legend:
            words += f", by {chart.legend}"
        if chart.facet:
            words += f", where {chart.facet}"
        if each.pooled:
            words += f"; all values of {', '.join(each.pooled)} taken together"
        groups.setdefault(chart.metric, []).append(
            {"svg": inline(svg, name=f"chart-{index}", title=words), "words": words}
        )
    return [{"metric": metric or "(no name)", "charts": drawn} for metric, drawn in groups.items()]


def _points(data: BatchData, first: int) -> Iterator[dict[str, Any]]:
    by_point: dict[int, list[Run]] = {point: [] for point in data.points}
    for run in data.runs:
        by_point.setdefault(run.point, []).append(run)
    for point, runs in by_point.items():
        parameters = data.points.get(point, {})
        statuses = [run.status for run in runs]
        values = []
        for metric in data.metrics[first : first + _METRICS_A_TABLE]:
            found = [
                run.counted.metrics[metric]
                for run in runs
                if run.counted is not None and counts(run) and is_number(run.counted.metrics.get(metric))
            ]
            values.append(_mean(found, data.pilots.get(metric)))
        others = [
            status for status in statuses if status not in ("passed", "failed", "unfaithful", "planned", "running")
        ]
        yield {
            "point": point,
            "parameters": [short(parameters.get(name)) for name in data.varying],
            "planned": len(runs),
            "n": statuses.count("passed"),
            "failed": statuses.count("failed"),
            "unfaithful": statuses.count("unfaithful"),
            "broken": len(others),
            "values": values,
        }


def _mean(values: list[float], pilot: int | None) -> dict[str, str]:
    if not values:
        return {"mean": "–", "interval": ""}
    summary = summarize(values, pilot=pilot)
    interval = "" if summary.low is None else f"[{summary.low:.5g}, {summary.high:.5g}]"
    of = "" if summary.n > 1 else "one run"
    return {"mean": f"{summary.mean:.5g}", "interval": interval or of}


def _run_row(data: BatchData, run: Run, target: Path) -> dict[str, Any]:
    counted = run.counted
    assert counted is not None
    message = str(counted.error.get("message") or counted.why)
    parameters = data.points.get(run.point, {})
    return {
        "run": run.run,
        "repetition": run.repetition,
        "seed": run.seed,
        "parameters": ", ".join(f"{name}={parameters.get(name)}" for name in data.varying),
        "look": look_of(counted.status, counted.verdict),
        "attempts": len(run.attempts),
        "message": first_line(message),
        "link": _link(data, counted.directory, target),
        "directory": counted.directory or "–",
    }


def _link(data: BatchData, directory: str | None, target: Path) -> str:
    """The address of a run's directory from where the page is; empty where it has none."""
    if not directory:
        return ""
    path = os.path.relpath(data.directory / directory, target.resolve().parent)
    return quote(path) + "/"

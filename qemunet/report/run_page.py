"""The report of a run: what its page shows."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from qemunet.drawing import draw_topology
from qemunet.errors import InputError
from qemunet.report.fidelity import fidelity_tables, lag_figure
from qemunet.report.figures import for_paper, inline
from qemunet.report.page import host_rows, look_of, render, short, size, span, whole
from qemunet.report.run_data import RunData, repeat_command
from qemunet.report.svg import standalone
from qemunet.report.text import first_line, one_line
from qemunet.report.timeline import Command, TaskSpan
from qemunet.report.timeline_svg import MOST_BANDS, MOST_BARS, draw_timeline
from qemunet.topology import parse_topology

_MOST_ROWS = 2000  # of a table
_MOST_OPEN = 3  # outputs of commands that failed, which are shown unfolded


def run_page(data: RunData) -> tuple[str, dict[str, str]]:
    """Return the page of a run, and its figures as SVG files by name."""
    figures: dict[str, str] = {}
    record = data.record
    heading = f"{record.get('experiment')} #{record.get('number')}"
    network, network_words = _network(data, figures)
    lag_chart, lag_words = lag_figure(data, figures)
    timeline = draw_timeline(data.timeline) if data.timeline.commands else ""
    if timeline:
        figures["timeline.svg"] = standalone(timeline)
    repeat, repeat_own = repeat_command(data)
    lanes = {node: place for place, node in enumerate(data.timeline.nodes)}
    run: dict[str, Any] = {
        "heading": heading,
        "look": look_of(str(record.get("status")), record.get("verdict")),
        "reason": _reason(data),
        "facts": _facts(data),
        "error": _error(record.get("error")),
        "metrics": _rows(record.get("metrics")),
        "parameters": [*_rows(record.get("parameters")), ("seed", short(record.get("seed")))],
        "network": network,
        "network_words": network_words,
        "timeline": timeline,
        "timeline_words": _timeline_words(data),
        "tasks": [_task_row(task, lanes) for task in data.timeline.tasks[:_MOST_ROWS]],
        "groups": _groups(data),
        "outputs_left_out": data.outputs_left_out,
        "fidelity": fidelity_tables(record.get("fidelity")),
        "lag_chart": lag_chart,
        "lag_words": lag_words,
        "links": list(_links(record.get("links") or {}))[:_MOST_ROWS],
        "notes": data.notes,
        "logs": data.logs,
        "host": host_rows(data.host),
        "repeat": repeat,
        "repeat_own": repeat_own,
    }
    sections = [
        ("error", "What went wrong", run["error"]),
        ("result", "Metrics and parameters", True),
        ("network", "Network", True),
        ("tasks", "Tasks", True),
        ("outputs", "Outputs", run["groups"]),
        ("fidelity", "Fidelity", True),
        ("links", "Links", run["links"]),
        ("events", "Events", run["notes"]),
        ("logs", "Logs", run["logs"]),
        ("machine", "Machine", True),
        ("repeat", "Run it again", True),
    ]
    context = {"run": run, "sections": [(anchor, name) for anchor, name, there in sections if there]}
    title = f"{heading}: {run['look']['text']}"
    return render("run", context, title=title, origin=f"The run is in {data.directory}."), figures


def _reason(data: RunData) -> str:
    record = data.record
    error, fidelity = record.get("error"), record.get("fidelity")
    if record.get("status") == "unfaithful" and isinstance(fidelity, Mapping):
        return "; ".join(map(str, fidelity.get("reasons") or ())) or str(fidelity.get("summary"))
    if isinstance(error, Mapping):
        return first_line(str(error.get("message")))
    if record.get("status") == "interrupted":
        cut = "; its record ends where it was cut" if data.timeline.cut else ""
        return f"The run was ended from outside before its experiment was over{cut}."
    if record.get("status") == "running":
        return "The run is still going on; this is what it has written so far."
    summary = str(fidelity.get("summary")) if isinstance(fidelity, Mapping) else ""
    return f"The experiment returned. Its timing was {summary}." if summary else "The experiment returned."


def _facts(data: RunData) -> list[tuple[str, str]]:
    record = data.record
    began, ended = _when(record.get("started")), _when(record.get("ended"))
    guests = data.boots or dict.fromkeys(data.timeline.nodes)
    slowest = f", the last booted in {span(max(data.boots.values()))}" if data.boots else ""
    facts = [
        ("Topology", str(record.get("topology"))),
        ("Experiment", str(record.get("experiment"))),
        ("Seed", short(record.get("seed"))),
        ("Began", began.strftime("%Y-%m-%d %H:%M:%S %Z") if began else "–"),
        ("Took", span((ended - began).total_seconds()) if began and ended else "–"),
        ("Simulated", span(data.timeline.end_s) if data.timeline.end_s else "–"),
        ("Guests", f"{len(guests)}{slowest}" if guests else "–"),
        ("Tasks and commands", f"{len(data.timeline.tasks)} and {len(data.timeline.commands)}"),
    ]
    batch = record.get("batch")
    if isinstance(batch, Mapping):
        facts.append(("Of a batch", f"run {batch.get('run')}, attempt {batch.get('attempt')}"))
    return facts


def _when(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _error(error: object) -> dict[str, str] | None:
    if not isinstance(error, Mapping):
        return None
    names = ("type", "layer", "node", "message", "hint", "traceback")
    return {name: str(error.get(name) or "")[:20_000] for name in names}


def _rows(values: object) -> list[tuple[str, str]]:
    return [(str(name), short(value)) for name, value in values.items()] if isinstance(values, Mapping) else []


def _network(data: RunData, figures: dict[str, str]) -> tuple[str, str]:
    """The drawing of what was built; in words where it cannot be drawn."""
    path = data.directory / "network.txt"
    try:
        topology = parse_topology(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, InputError) as error:
        reason = error.message if isinstance(error, InputError) else "the run has no network.txt"
        return "", f"The network cannot be drawn: {one_line(reason)}."
    topology = dataclasses.replace(topology, name=one_line(str(data.record.get("topology"))))
    target = io.StringIO()
    draw_topology(topology, target)
    svg = target.getvalue()
    figures["network.svg"] = for_paper(svg)
    kinds: dict[str, int] = {}
    for node in topology.nodes.values():
        kinds[node.type] = kinds.get(node.type, 0) + 1
    nodes = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    words = f"{_counted(len(topology.nodes), 'node')} ({nodes}) and {_counted(len(topology.links), 'link')}, as built."
    return inline(svg, name="network", title=f"Network {topology.name}", about=words), words


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _timeline_words(data: RunData) -> str:
    broken = [task for task in data.timeline.tasks if task.broken]
    skews = [task.written_ns for task in data.timeline.tasks if task.written_ns is not None]
    many = len(data.timeline.commands) > MOST_BARS
    words = "Each lane is a guest" + (", the darker the more of the time commands ran." if many else ".")
    if len(data.timeline.tasks) <= MOST_BANDS:
        words += " A band is a Task, from the first command armed to its barrier."
    if skews:
        words += f" Commands of a Task were released within {max(skews) / 1000:.3g} µs at worst."
    if broken:
        words += f" {len(broken)} Task{'s' * (len(broken) > 1)} did not reach the barrier."
    if data.timeline.cut and data.record.get("status") != "running":
        words += " The record ends before the run did: what was going on then has no end here."
    return words


def _task_row(task: TaskSpan, lanes: Mapping[str, int]) -> dict[str, str]:
    nodes = sorted(task.nodes, key=lanes.__getitem__)
    if task.broken:
        end, colour = f"✕ broken: {task.error or ''}"[:160], "bad"
        if task.missing:
            end += f" (missing: {', '.join(task.missing[:6])}{'…' if len(task.missing) > 6 else ''})"
    elif task.end_s is None:
        end, colour = "■ no end yet, or cut", "warn"
    else:
        end, colour = "✓ barrier", "good"
    fired = task.fired_s
    return {
        "name": task.name,
        "guests": ", ".join(nodes) if len(nodes) <= 6 else f"{len(nodes)}: {', '.join(nodes[:5])}, …",
        "end": end,
        "colour": colour,
        "fired": f"{fired:.6f}" if fired is not None else "–",
        "took": f"{task.end_s - fired:.3f}" if fired is not None and task.end_s is not None else "–",
        "written": f"{task.written_ns / 1000:.1f}" if task.written_ns is not None else "–",
        "begun": f"{task.begun_ns / 1000:.0f}" if task.begun_ns is not None else "–",
    }


def _groups(data: RunData) -> list[dict[str, Any]]:
    """Commands by Task, those of verbs together between them, as they came."""
    groups: list[dict[str, Any]] = []
    opened = 0
    last: object = ()
    for command in data.timeline.commands.values():
        output = data.outputs.get(command.number)
        if output is None and data.outputs_left_out:
            continue
        if command.task != last:
            task = None if command.task is None else data.timeline.tasks[command.task]
            title = "Commands outside of Tasks" if task is None else f"Task {task.index + 1}: {task.name}"
            groups.append({"title": title, "commands": [], "troubled": 0, "open": False})
            last = command.task
        troubled = command.outcome in ("failed", "lost") or (command.outcome == "stopped" and not command.daemon)
        unfold = troubled and opened < _MOST_OPEN
        opened += unfold
        groups[-1]["troubled"] += troubled
        groups[-1]["open"] |= unfold
        groups[-1]["commands"].append(
            {
                "node": command.node,
                "text": one_line(command.text, 200),
                "open": unfold,
                "colour": "bad" if troubled else "calm" if command.outcome == "unknown" else "good",
                "end": _end(command),
                "times": _times(command),
                "size": size(output.shown.bytes) if output else "no output",
                "output": output,
            }
        )
    return groups


def _end(command: Command) -> str:
    sign = {"ok": "✓", "failed": "✕", "lost": "✕", "stopped": "■", "unknown": "?"}[command.outcome]
    kind = "Daemon, " if command.daemon else ""
    return f"{sign} {kind}{command.ending}"


def _times(command: Command) -> str:
    if command.started_s is None:
        return "not begun"
    began = f"began {command.started_s:.3f} s"
    return began if command.ended_s is None else f"{began}, took {span(command.ended_s - command.started_s)}"


def _links(links: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for name, directions in links.items():
        for each in directions:
            drops = {reason: count for reason, count in (each.get("drops") or {}).items() if count}
            source, target = each.get("source"), each.get("target")
            rows.append(
                {
                    "name": name,
                    "direction": f"{source} → {target}" if source else "all ends",
                    "frames": whole(each.get("frames")),
                    "bytes": whole(each.get("bytes")),
                    "delivered": whole(each.get("delivered_frames")),
                    "delivered_bytes": whole(each.get("delivered_bytes")),
                    "drops": ", ".join(f"{reason} {whole(count)}" for reason, count in drops.items()) or "0",
                    "duplicated": whole(each.get("duplicated")),
                    "reordered": whole(each.get("reordered")),
                }
            )
    return rows

"""Runs as they lie on disk, without running anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def command(
    task: str | None, node: str, number: int, at_s: float, *, text: str = "true", **how: Any
) -> list[dict[str, Any]]:
    """The events of a command: armed, fired, started, and ended as ``how`` says (``end``, ``status``, ``took_s``)."""
    about = {"task": task, "node": node, "number": number, "command": text}
    end = how.get("end", "ended")
    events = [{"event": kind, "simulation_s": at_s + ms / 1000, **about} for ms, kind in enumerate(STEPS)]
    if end is None:
        return events
    status = {"exit_status": how.get("status", 0)} if end == "ended" else {}
    return [*events, {"event": end, "simulation_s": at_s + how.get("took_s", 0.5), **about, **status}]


STEPS = ("armed", "fired", "started")


def make_run(
    directory: Path,
    events: Iterable[Mapping[str, Any]],
    tasks: Iterable[Mapping[str, Any]] = (),
    **record: Any,
) -> Path:
    """Write a run's directory."""
    directory.mkdir(parents=True)
    whole = {
        "schema": 1,
        "status": "passed",
        "verdict": "passed",
        "experiment": "job",
        "number": 1,
        "topology": "pair.txt",
        "metrics": {},
        "parameters": {},
        "seed": 1,
        "started": "2026-01-02T03:04:05.000+00:00",
        "ended": "2026-01-02T03:04:15.000+00:00",
        "error": None,
        "fidelity": None,
        "links": {},
    } | record
    (directory / "run.json").write_text(json.dumps(whole))
    lines = [{"event": "time-0", "simulation_s": 0.0, "host_ns": 10**9}, *events]
    (directory / "events.jsonl").write_text("".join(json.dumps({"host_ns": 10**9, **line}) + "\n" for line in lines))
    (directory / "tasks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in tasks))
    return directory

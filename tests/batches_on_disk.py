"""Batches as their index has them, without running anything."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qemunet.batch.index import TABLES


@dataclass
class Made:
    """A run to put into an index; ``cut`` attempts come before the one that counts. Without a status it is planned."""

    point: int
    status: str | None = "passed"
    metrics: Mapping[str, Any] = field(default_factory=dict)
    message: str | None = None
    cut: int = 0


def make_batch(directory: Path, points: Sequence[Mapping[str, str]], runs: Sequence[Made], *, sweep: str = "") -> Path:
    """Write an index of schema 1 and the files beside it."""
    directory.mkdir(parents=True)
    meta = {
        "schema": 1,
        "name": directory.name,
        "seed": 1,
        "created": "2026-01-02T03:04:05+00:00",
        "parameters": json.dumps(list(points[0])),
        "topology": "/home/u/pair.txt",
        "experiment": "/home/u/ping.py",
        "repeat": "5",
    }
    with closing(sqlite3.connect(directory / "index.sqlite")) as index:
        index.executescript(TABLES)
        index.executemany("INSERT INTO meta VALUES (?, ?)", [(key, str(value)) for key, value in meta.items()])
        index.executemany(
            "INSERT INTO points VALUES (?, ?)", [(at, json.dumps(point)) for at, point in enumerate(points, 1)]
        )
        for number, run in enumerate(runs, 1):
            done = run.status is not None
            counted = run.cut + 1 if done else None
            state = "done" if done else "planned"
            index.execute(
                "INSERT INTO runs VALUES (?, ?, 0, ?, ?, ?, ?)", (number, run.point, 7, number, state, counted)
            )
            for attempt in range(1, run.cut + 1 + done):
                counts = attempt == counted
                error = None if run.message is None else json.dumps({"layer": "task", "message": run.message})
                index.execute(
                    "INSERT INTO attempts VALUES (?, ?, ?, ?, NULL, ?, NULL, '', NULL, 'local', ?, NULL, ?)",
                    (
                        number,
                        attempt,
                        f"ping/{number}",
                        run.status if counts else "cut",
                        "" if counts else "the batch was killed",
                        json.dumps(run.metrics) if counts else None,
                        error if counts else None,
                    ),
                )
        index.commit()
    (directory / "sweep.yaml").write_text(sweep)
    about = {"schema": 1, "qemunet": "0.1.0", "sources": {"sweep": "/home/u/my sweep.yaml"}}
    (directory / "batch.json").write_text(json.dumps(about))
    return directory

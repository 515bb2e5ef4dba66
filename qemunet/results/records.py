"""What runs and batches came to, as records; a batch may still be going on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qemunet.errors import HostError, InputError
from qemunet.results.conditions import Condition
from qemunet.results.places import INDEX, pilots_of, reading, runs_and_batches
from qemunet.results.record import read_run
from qemunet.topology.problems import PartError

BEFORE, AFTER = ("run", "point", "repetition"), ("status", "verdict", "seed", "directory", "attempts")
"""The columns of a table of runs before its parameters, and after its metrics."""
COUNTED = ("passed", "failed", "unfaithful", "error")
"""What is counted at each point; whatever else a run came to is ``other``."""

_TAKEN = {*BEFORE, *AFTER, *COUNTED, "missing", "other", "source"}
_QUERY = """
SELECT run, runs.point, repetition, points.parameters, metrics, status, verdict, seed, directory, state
FROM runs JOIN points USING (point) LEFT JOIN attempts USING (run, attempt) ORDER BY runs.point, repetition
"""


@dataclass
class Source:
    """Where records are from.

    Attributes:
        name: A batch's name; of plain runs their experiment and topology.
        pilots: Of a batch, as ``pilots_of`` says.
        records: Its runs, as ``read_results`` returns them; ``status`` is None of a planned one that has no result yet.
    """

    name: str
    pilots: Mapping[str, int] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)


def read_sources(path: str | Path) -> list[Source]:
    """Read a run directory, a batch directory, or a directory with several of both below it.

    Raises:
        InputError: there are none, or an index or a run.json cannot be read.
        HostError: the disk does not let an index be read.
    """
    path = Path(path)
    if path.is_file():
        inside = path.name in ("run.json", INDEX)
        raise InputError(
            f"{path} is a file", hint=f"name its directory: {path.parent}" if inside else "name the directory of runs"
        )
    if not path.is_dir():
        raise InputError(f"{path}: there is no such directory", hint="name the directory of runs or of a batch")
    sources: dict[str, Source] = {}
    for found in runs_and_batches(path.resolve()):
        if (found / INDEX).is_file():
            sources[str(found)] = _batch(found)
        else:
            name, record = _plain(found)
            sources.setdefault(name, Source(name)).records.append(record)
    if not sources:
        raise InputError(
            f"{path} holds neither a run (run.json) nor a batch ({INDEX})",
            hint="runs are in runs/EXPERIMENT/NUMBER, batches in runs/SWEEP",
        )
    return list(sources.values())


def counted(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """The records that have a result."""
    return [record for source in sources for record in source.records if record["status"] is not None]


def read_results(path: str | Path) -> list[dict[str, Any]]:
    """The counted runs of a path, as ``read_sources`` takes it.

    Returns:
        Of each: run, point, repetition (None where it is no run of a batch), parameters, metrics, status, verdict, seed,
        directory (absolute), attempts.

    Raises:
        InputError, HostError: as ``read_sources``.
    """
    return counted(read_sources(path))


def row_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as a row of a table: a column for each parameter and each metric.

    A parameter whose name is taken is called ``parameter.NAME``, such a metric ``metric.NAME``.
    """
    row = {name: record[name] for name in BEFORE}
    row |= {column_of(name): text for name, text in record["parameters"].items()}
    for name, value in record["metrics"].items():
        row[f"metric.{name}" if name in row or name in AFTER else name] = value
    return row | {name: record[name] for name in AFTER}


def column_of(parameter: str) -> str:
    """The name of a parameter's column."""
    return f"parameter.{parameter}" if parameter in _TAKEN else parameter


def choose(rows: Sequence[Mapping[str, Any]], where: str | None) -> list[int]:
    """The places of the rows for which a condition (see ``Condition``) holds.

    Raises:
        InputError: it is none, or cannot be told.
    """
    if where is None or not rows:
        return list(range(len(rows)))
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        condition = Condition(where, names, what="column")
        return [place for place, row in enumerate(rows) if condition.holds(row)]
    except PartError as error:
        raise InputError(
            f"--where, column {error.offset + 1}: {error}", hint="such as: N > 4 and status == 'passed'"
        ) from None


def _plain(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        run = read_run(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path / 'run.json'} cannot be read: {error}") from None
    parameters = run.get("parameters") or {}
    record = {
        **dict.fromkeys(BEFORE),
        "parameters": {name: each if isinstance(each, str) else json.dumps(each) for name, each in parameters.items()},
        "metrics": run.get("metrics") or {},
        # One that is running has no result yet.
        "status": None if run["status"] == "running" else run["status"],
        "verdict": run.get("verdict"),
        "seed": run.get("seed"),
        "directory": str(path),
        "attempts": 1,
    }
    return f"{run.get('experiment')} on {run.get('topology')}", record


def _batch(path: Path) -> Source:
    try:
        with reading(path / INDEX) as index:
            meta = dict(index.execute("SELECT key, value FROM meta").fetchall())
            tries = dict(index.execute("SELECT run, count(*) FROM attempts GROUP BY run").fetchall())
            rows = index.execute(_QUERY).fetchall()
    except sqlite3.Error as error:
        if (error.sqlite_errorcode or 0) & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL):
            # Beside what a batch was writing a reader writes a little, too.
            raise HostError(
                f"{path / INDEX} cannot be read: {error}", hint="if the disk is full make room, then do it again"
            ) from None
        raise InputError(f"{path / INDEX} cannot be read as the index of a batch: {error}") from None
    records = [
        {
            "run": run,
            "point": point,
            "repetition": repetition,
            "parameters": json.loads(parameters),
            "metrics": json.loads(metrics or "{}"),
            "status": status if state == "done" else None,
            "verdict": verdict,
            "seed": seed,
            "directory": None if directory is None else str(path / directory),
            "attempts": tries.get(run, 0),
        }
        for run, point, repetition, parameters, metrics, status, verdict, seed, directory, state in rows
    ]
    return Source(meta.get("name") or path.name, pilots_of(meta), records)

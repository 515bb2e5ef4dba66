"""Runs and batches as records and as pandas DataFrames; a batch may still be going on."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import quote

from qemunet.errors import InputError
from qemunet.results.record import read_run
from qemunet.results.statistics import Method, summarize

if TYPE_CHECKING:
    import pandas as pd

INDEX = "index.sqlite"
"""The index of a batch, which makes a directory one."""

STATUSES = ("passed", "failed", "unfaithful", "error")
"""What is counted at each point; whatever else a run came to is ``other``."""

_DEEPEST = 4
_BEFORE, _AFTER = ("run", "point", "repetition"), ("status", "verdict", "seed", "directory", "attempts")
_TAKEN = {*_BEFORE, *_AFTER, *STATUSES, "missing", "other"}
_QUERY = """
SELECT run, runs.point, repetition, points.parameters, metrics, status, verdict, seed, directory, state
FROM runs JOIN points USING (point) LEFT JOIN attempts USING (run, attempt) ORDER BY runs.point, repetition
"""


def read_results(path: str | Path) -> list[dict[str, Any]]:
    """The counted runs of a run directory, a batch directory, or a directory with several of both below it.

    Returns:
        Of each: run, point, repetition (None where it is no run of a batch), parameters, metrics, status, verdict, seed,
        directory (absolute), attempts.

    Raises:
        InputError: there are none, or an index cannot be read.
    """
    return [
        {key: value for key, value in record.items() if key != "batch"}
        for record in _records(Path(path))
        if record["status"] is not None
    ]


def missing_runs(path: str | Path) -> int:
    """How many planned runs of batches have no result yet; errors as ``read_results``."""
    return sum(record["status"] is None for record in _records(Path(path)))


def run_frame(path: str | Path, *, where: str | None = None) -> pd.DataFrame:
    """One row a counted run: a column for each parameter and each metric; the name of a metric that is taken already has
    ``metric.`` before it. Columns of numbers are numbers.

    Args:
        path: As for ``read_results``.
        where: Condition in the words of ``DataFrame.query``, such as ``N > 4 and status == 'passed'``.

    Raises:
        InputError: as ``read_results``, or the condition cannot be told.
    """
    return chosen(frame_of(read_results(path)), where)


def frame_of(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What ``read_results`` returned, as ``run_frame`` does it."""
    import pandas as pd

    frame = pd.DataFrame([_row(each) for each in results], columns=None if results else [*_BEFORE, *_AFTER])
    for parameter in dict.fromkeys(name for each in results for name in each["parameters"]):
        numbers = pd.to_numeric(frame[_column(parameter, "parameter")], errors="coerce")
        if numbers.notna().all():
            frame[_column(parameter, "parameter")] = numbers
    return frame


def chosen(frame: pd.DataFrame, where: str | None) -> pd.DataFrame:
    """The rows for which a condition holds.

    Raises:
        InputError: it cannot be told.
    """
    if where is None:
        return frame
    # Only what the words of a condition need: no Python beyond them, no local variables (@).
    try:
        if "@" in where or "__" in where:
            raise ValueError("it has nothing but columns, numbers, texts, comparisons, and, or, not")
        found = frame.query(where, engine="python")
    except Exception as error:  # noqa: BLE001 - pandas raises whatever its parser meets
        raise InputError(
            f"--where {where!r}: {type(error).__name__}: {error}",
            hint=f"columns are {', '.join(map(str, frame.columns))}",
        ) from None
    return found.reset_index(drop=True)


def point_frame(
    path: str | Path, *, where: str | None = None, confidence: float = 0.95, method: Method = "t"
) -> pd.DataFrame:
    """One row a point: its parameters, how many runs came to what, and of each metric mean, median, std, n, low and high.

    Values are those of runs that passed. ``missing`` is how many planned runs have no result yet. The interval of the
    metric that a batch's stopping rule looked at is that of the rule.

    Args:
        path: As for ``read_results``.
        where: Condition on the points, as for ``run_frame``.
        confidence: Of the intervals.
        method: Student's t, or bootstrap.

    Raises:
        InputError: as ``run_frame``.
    """
    import pandas as pd

    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in _records(Path(path)):
        key = (record["batch"], record["point"], tuple(record["parameters"].items()))
        groups.setdefault(key, []).append(record)
    metrics = dict.fromkeys(
        name
        for records in groups.values()
        for record in records
        for name, value in record["metrics"].items()
        if record["status"] == "passed" and _is_number(value)
    )
    rules = {batch: _rule(batch) for batch, *_ in groups if batch is not None}
    rows = []
    for (batch, point, parameters), records in groups.items():
        counts = Counter("missing" if each["status"] is None else each["status"] for each in records)
        row: dict[str, Any] = {"point": point, **{_column(name, "parameter"): text for name, text in parameters}}
        row |= {name: counts.pop(name, 0) for name in (*STATUSES, "missing")} | {"other": counts.total()}
        for metric in metrics:
            values = [each["metrics"].get(metric) for each in records if each["status"] == "passed"]
            numbers = [float(value) for value in values if _is_number(value)]
            pilot = rules[batch].get(metric) if batch is not None else None
            row |= {f"{metric}.{name}": value for name, value in _summary(numbers, confidence, method, pilot).items()}
        rows.append(row)
    frame = pd.DataFrame(rows)
    for name in dict.fromkeys(_column(name, "parameter") for _, _, parameters in groups for name, _ in parameters):
        converted = pd.to_numeric(frame[name], errors="coerce")
        if converted.notna().all():
            frame[name] = converted
    return chosen(frame, where)


def _summary(
    values: list[float], confidence: float, method: Method, pilot: int | None
) -> dict[str, float | int | None]:
    if not values:
        return {"mean": None, "median": None, "std": None, "n": 0, "low": None, "high": None}
    found = summarize(values, confidence=confidence, method=method, pilot=pilot)
    return {
        "mean": found.mean,
        "median": found.median,
        "std": found.std,
        "n": found.n,
        "low": found.low,
        "high": found.high,
    }


def _row(result: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: result[name] for name in _BEFORE}
    row |= {_column(name, "parameter"): text for name, text in result["parameters"].items()}
    last = {name: result[name] for name in _AFTER}
    for name, value in (result["metrics"] or {}).items():
        row[f"metric.{name}" if name in row or name in last else name] = value
    return row | last


def _column(name: str, what: str) -> str:
    return f"{what}.{name}" if name in _TAKEN else name


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _records(path: Path) -> list[dict[str, Any]]:
    """Every planned run; ``status`` is None of one that has no result yet, ``batch`` is the batch's directory."""
    if not path.is_dir():
        raise InputError(f"{path}: there is no such directory", hint="name the directory of runs or of a batch")
    records = list(_below(path.resolve(), _DEEPEST))
    if not records:
        raise InputError(
            f"{path} holds neither a run (run.json) nor a batch ({INDEX})",
            hint="runs are in runs/EXPERIMENT/NUMBER, batches in runs/SWEEP",
        )
    return records


def _below(path: Path, depth: int) -> Iterator[dict[str, Any]]:
    if (path / INDEX).is_file():
        yield from _of_batch(path)
    elif (path / "run.json").is_file():
        yield _of_run(path)
    elif depth:
        for entry in sorted(path.iterdir(), key=_order):
            if entry.is_dir() and not entry.is_symlink():
                yield from _below(entry, depth - 1)


def _order(path: Path) -> tuple[int, int, str]:
    return (1, int(path.name), "") if path.name.isdecimal() else (0, 0, path.name)


def _of_run(path: Path) -> dict[str, Any]:
    try:
        record = read_run(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path / 'run.json'} cannot be read: {error}") from None
    texts = {name: _text(value) for name, value in (record.get("parameters") or {}).items()}
    rest = {name: record.get(name) for name in ("verdict", "seed")}
    status = record["status"]
    return {
        **dict.fromkeys(_BEFORE),
        "parameters": texts,
        "metrics": record.get("metrics") or {},
        # One that is running has no result yet.
        "status": None if status == "running" else status,
        **rest,
        "directory": str(path),
        "attempts": 1,
        "batch": None,
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _of_batch(path: Path) -> list[dict[str, Any]]:
    try:
        with closing(_open(path / INDEX)) as index:
            tries = dict(index.execute("SELECT run, count(*) FROM attempts GROUP BY run").fetchall())
            rows = index.execute(_QUERY).fetchall()
    except sqlite3.Error as error:
        raise InputError(f"{path / INDEX} cannot be read as the index of a batch: {error}") from None
    return [
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
            "batch": path,
        }
        for run, point, repetition, parameters, metrics, status, verdict, seed, directory, state in rows
    ]


def _rule(batch: Path) -> dict[str, int]:
    """The metric of a batch's stopping rule, and how many runs of each point are its pilot."""
    with closing(_open(batch / INDEX)) as index:
        found = index.execute("SELECT value FROM meta WHERE key = 'repeat'").fetchone()
    repeat = json.loads(found[0]) if found else {}
    until = repeat.get("until") if isinstance(repeat, dict) else None
    return {until["metric"]: max(2, repeat["minimum"])} if until else {}


def _open(path: Path) -> sqlite3.Connection:
    """Read only; where even the files beside an index cannot be made (a medium that is read only), as it lies there."""
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        connection = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=10)
        try:
            connection.execute("SELECT key FROM meta LIMIT 1").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            continue
        return connection
    raise sqlite3.OperationalError("it cannot be opened")

"""Runs and points as pandas DataFrames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from qemunet.results.records import COUNTED, Source, choose, column_of, read_results, read_sources, row_of
from qemunet.results.statistics import CONFIDENCE, Method, is_number, summarize

_NOTHING = {"n": 0} | dict.fromkeys(("mean", "median", "std", "low", "high"))


def run_frame(path: str | Path, *, where: str | None = None) -> pd.DataFrame:
    """One row a counted run: a column for each parameter and each metric, as ``row_of`` names them.

    Columns of numbers are numbers.

    Args:
        path: Of a run, a batch, or a directory with several of both below it.
        where: Condition on the columns, such as ``N > 4 and status == 'passed'``.

    Raises:
        InputError: nothing is there, or cannot be read, or the condition cannot be told.
    """
    rows = [row_of(record) for record in read_results(path)]
    return table([rows[place] for place in choose(rows, where)])


def frame_of(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What ``read_results`` returned, as ``run_frame`` does it."""
    return table([row_of(record) for record in results])


def point_frame(
    path: str | Path, *, where: str | None = None, confidence: float = CONFIDENCE, method: Method = "t"
) -> pd.DataFrame:
    """One row a point, as ``point_rows`` says.

    Args:
        path: As for ``run_frame``.
        where: Condition on the columns, as for ``run_frame``.
        confidence: Of the intervals.
        method: Student's t, or bootstrap.

    Raises:
        InputError: as ``run_frame``.
    """
    rows = point_rows(read_sources(path), confidence=confidence, method=method)
    return table([rows[place] for place in choose(rows, where)])


def point_rows(sources: Sequence[Source], *, confidence: float, method: Method) -> list[dict[str, Any]]:
    """A row for each point: its parameters, how many runs came to what, and of each metric mean, median, std, n, low, high.

    Values are those of runs that passed. ``missing`` is how many planned runs have no result yet. Where there are several
    sources, ``source`` says which one a point is of. Plain runs are of one point where their experiment, topology and
    parameters are the same. The interval of a metric that a stopping rule looked at is the rule's.
    """
    metrics = dict.fromkeys(
        name
        for source in sources
        for record in source.records
        for name, value in record["metrics"].items()
        if record["status"] == "passed" and is_number(value)
    )
    rows = []
    for source in sources:
        points: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for record in source.records:
            points.setdefault((record["point"], *record["parameters"].items()), []).append(record)
        for (point, *parameters), records in points.items():
            counts = Counter("missing" if each["status"] is None else each["status"] for each in records)
            row: dict[str, Any] = {"source": source.name} if len(sources) > 1 else {}
            row |= {"point": point} | {column_of(name): text for name, text in parameters}
            row |= {name: counts.pop(name, 0) for name in (*COUNTED, "missing")}
            row["other"] = counts.total()
            for metric in metrics:
                values = [each["metrics"].get(metric) for each in records if each["status"] == "passed"]
                numbers = [float(value) for value in values if is_number(value)]
                pilot = source.pilots.get(metric)
                found = (
                    asdict(summarize(numbers, confidence=confidence, method=method, pilot=pilot))
                    if numbers
                    else _NOTHING
                )
                row |= {f"{metric}.{name}": value for name, value in found.items()}
            rows.append(row)
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a DataFrame; columns of texts that are all numbers are numbers."""
    frame = pd.DataFrame([{name: _shown(value) for name, value in row.items()} for row in rows])
    for name in frame.columns:
        column = frame[name]
        texts = [value for value in column if isinstance(value, str)]
        if texts and len(texts) == column.notna().sum():
            numbers = pd.to_numeric(column, errors="coerce")
            if numbers.notna().sum() == len(texts):
                frame[name] = numbers
    return frame


def _shown(value: Any) -> Any:
    """A value that a DataFrame takes: pandas has no text for bytes that are no UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value

"""All that a batch's index says, as far as a report shows it. The batch may still be going on."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qemunet.report.jsonl import read_object
from qemunet.results.places import INDEX, pilots_of, reading
from qemunet.results.statistics import is_number


@dataclass(frozen=True)
class Attempt:
    """One try of a run.

    Attributes:
        run, attempt: Which.
        directory: Of the run, relative to the batch's; None where it has none.
        status: As in run.json, or ``running``, ``cut``, ``lost``.
        verdict, why, error, executor: As in the index.
        metrics: By name.
    """

    run: int
    attempt: int
    directory: str | None
    status: str
    verdict: str | None
    why: str
    error: Mapping[str, Any]
    metrics: Mapping[str, Any]
    executor: str


@dataclass
class Run:
    """One planned run, its tries, and the one that counts, if there is one already."""

    run: int
    point: int
    repetition: int
    seed: int
    state: str
    counted: Attempt | None = None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The counted try's, else ``planned`` or ``running``."""
        return self.counted.status if self.counted is not None else self.state


@dataclass
class BatchData:
    """A batch.

    Attributes:
        directory: Its directory, absolute.
        meta: The index's, by key.
        about: batch.json's content.
        points: Parameters as text, by number of the point.
        runs: In order of their numbers.
        sweep: The sweep file's text.
        host: host.json of a run, for the machine and the versions.
    """

    directory: Path
    meta: dict[str, str]
    about: dict[str, Any]
    points: dict[int, dict[str, str]]
    runs: list[Run]
    sweep: str
    host: dict[str, Any]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.meta.get("name") or self.directory.name

    @property
    def counts(self) -> Counter[str]:
        """Runs by status."""
        return Counter(run.status for run in self.runs)

    @property
    def varying(self) -> list[str]:
        """Parameters that are not the same at all points, in the order of the sweep file."""
        names = _listed(self.meta.get("parameters")) or [name for each in self.points.values() for name in each]
        return [
            name
            for name in dict.fromkeys(names)
            if len({parameters.get(name) for parameters in self.points.values()}) > 1
        ]

    @property
    def constant(self) -> dict[str, str]:
        """Parameters that are the same at all points."""
        varying = set(self.varying)
        first = next(iter(self.points.values()), {})
        return {name: text for name, text in first.items() if name not in varying}

    @property
    def metrics(self) -> list[str]:
        """Metrics that are numbers, in order of their appearance."""
        found: dict[str, None] = {}
        for run in self.runs:
            if run.counted is not None:
                found |= {name: None for name, value in run.counted.metrics.items() if is_number(value)}
        return list(found)

    @property
    def pilots(self) -> dict[str, int]:
        """How many runs of a point its stopping rule takes as a pilot, by the rule's metric."""
        return pilots_of(self.meta)

    @property
    def source(self) -> str:
        """The sweep file, as it was named when the batch was begun."""
        sources = self.about.get("sources")
        named = sources.get("sweep") if isinstance(sources, Mapping) else None
        return str(named or self.directory / "sweep.yaml")

    @property
    def resume(self) -> str:
        """The command that goes on with it."""
        return shlex.join(["qemunet", "batch", self.source, "--runs-dir", str(self.directory.parent), "--resume"])

    @property
    def again(self) -> str:
        """The command that runs all of it in another directory; in its own it would be refused."""
        return shlex.join(["qemunet", "batch", self.source, "--runs-dir", f"{self.directory.parent}-again"])


def read_batch_data(directory: Path) -> BatchData:
    """Read a batch's index and what lies beside it.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    directory = directory.resolve()
    try:
        with reading(directory / INDEX) as index:
            meta = {str(key): str(value) for key, value in index.execute("SELECT key, value FROM meta")}
            points = {
                int(point): {str(name): str(text) for name, text in _object(parameters).items()}
                for point, parameters in index.execute("SELECT point, parameters FROM points ORDER BY point")
            }
            runs = _runs(index)
    except sqlite3.Error as error:
        raise ValueError(f"{INDEX}: {error}") from error
    try:
        sweep = (directory / "sweep.yaml").read_text(encoding="utf-8", errors="backslashreplace")
    except OSError:
        sweep = ""
    about = read_object(directory / "batch.json")
    host = next(filter(None, (_host(directory, run) for run in runs)), {})
    return BatchData(directory, meta, about, points, runs, sweep, host)


def _runs(index: sqlite3.Connection) -> list[Run]:
    counted = {}
    runs: dict[int, Run] = {}
    for run, point, repetition, seed, state, attempt in index.execute(
        "SELECT run, point, repetition, seed, state, attempt FROM runs ORDER BY run"
    ):
        runs[run] = Run(run, point, repetition, seed, state)
        counted[run] = attempt
    for run, attempt, directory, status, verdict, why, executor, metrics, error in index.execute(
        "SELECT run, attempt, directory, status, verdict, why, executor, metrics, error FROM attempts"
        " ORDER BY run, attempt"
    ):
        if run not in runs:
            continue
        one = Attempt(
            run, attempt, directory, status, verdict, why or "", _object(error), _object(metrics), executor or ""
        )
        runs[run].attempts.append(one)
        if counted[run] == attempt:
            runs[run].counted = one
    return list(runs.values())


def _host(directory: Path, run: Run) -> dict[str, Any]:
    if run.counted is None or not run.counted.directory:
        return {}
    return read_object(directory / run.counted.directory / "host.json")


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _listed(text: str | None) -> list[str]:
    try:
        value = json.loads(text or "[]")
    except ValueError:
        return []
    return [str(name) for name in value] if isinstance(value, list) else []

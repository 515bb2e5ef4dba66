"""Sweep files: YAML into a Sweep, with every mistake at its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar, cast

from qemunet.batch.axes import Axes
from qemunet.batch.model import Repeat, Retry, Sweep, Until
from qemunet.batch.space import Point, product
from qemunet.errors import SweepError
from qemunet.results.conditions import Condition
from qemunet.topology.formats.tree import Mapping, Scalar, Tree, what_is
from qemunet.topology.formats.yaml_tree import read_tree
from qemunet.topology.problems import PartError, Place, Problems, did_you_mean, shown

MOST_RUNS = 1_000_000
"""Runs that a batch may have."""

KEYS = (
    *("topology", "experiment", "parameters", "zip", "sample", "exclude"),
    *("repeat", "seed", "order", "timeout_s", "retry", "jobs"),
)
"""What a sweep file has at its top."""

_LARGEST_SEED = 2**63 - 1
_T = TypeVar("_T")


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file; paths in it are relative to it.

    Raises:
        SweepError: it cannot be read, or every mistake in it.
    """
    problems = Problems(SweepError)
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SweepError([f"{name}:1:1: not UTF-8 at byte {error.start}"]) from None
    except OSError as error:
        raise SweepError([f"{name}:1:1: {error.strerror}"], hint="name a sweep file (YAML)") from None
    root = read_tree(text, name, problems, what="sweep")
    problems.raise_if_any()
    start = Place(name, 1, 1)
    if not isinstance(root, Mapping):
        said = "nothing" if root is None else what_is(root)
        raise SweepError(
            [f"{start if root is None else root.place}: {said}; a sweep is a mapping of {', '.join(KEYS)}"]
        )
    reader = _Reader(root, path, problems, start)
    sweep = reader.read()
    problems.raise_if_any()
    return sweep


class _Reader:
    def __init__(self, root: Mapping, path: Path, problems: Problems, start: Place) -> None:
        self._root = root
        self._folder = path.resolve().parent
        self._problems = problems
        self._start = start

    def read(self) -> Sweep:
        """Read all of it; mistakes are noted."""
        self._known(self._root, KEYS, "a sweep")
        topology = self._topology()
        experiment = Path(self._source("experiment", "an experiment script (*.py)") or ".")
        seed = self._number("seed", lambda text: _whole(text, 0, _LARGEST_SEED), 1)
        order = cast(Literal["grid", "random"], self._choice(self._root, "order", ("grid", "random")))
        timeout_s = self._number("timeout_s", lambda text: _positive(text, "a number of seconds"), None)
        jobs = self._number("jobs", _jobs, None)
        repeat = self._repeat(self._root.get("repeat"))
        retry = self._retry(self._root.get("retry"))
        axes, points = self._space(seed, repeat)
        names = tuple(axes.names)
        return Sweep(topology, experiment, names, points, repeat, retry, seed, order, timeout_s, jobs, axes.places)

    def _topology(self) -> str:
        value = self._root.get("topology")
        if isinstance(value, Scalar) and value.text.startswith("topohub:"):
            return value.text
        return self._source("topology", "a topology file, or topohub:...")

    def _source(self, key: str, what: str) -> str:
        value = self._root.get(key)
        if not isinstance(value, Scalar) or value.null:
            place = self._start if value is None else value.place
            said = "is missing" if value is None else f"is {what_is(value)}"
            self._problems.add(place, f"{key} {said}; it names {what}")
            return ""
        path = self._folder / value.text
        if not path.is_file():
            near = did_you_mean(path.name, _files_beside(path))
            self._problems.add(value.place, f"{key} {shown(value.text)}: there is no file {path}{near}")
        return str(path.resolve())

    def _space(self, seed: int, repeat: Repeat) -> tuple[Axes, tuple[Point, ...]]:
        axes = Axes(self._problems)
        axes.read_parameters(self._root.get("parameters"))
        axes.read_zip(self._root.get("zip"))
        axes.read_sample(self._root.get("sample"))
        conditions = self._conditions(self._root.get("exclude"), axes.names)
        # What is wrong so far may be the number of values itself.
        self._problems.raise_if_any()
        runs = axes.count() * repeat.maximum
        if runs > MOST_RUNS:
            self._problems.add(self._start, f"{runs:,} runs (at most) are planned; a batch may have {MOST_RUNS:,}")
            return axes, ()
        points = tuple(self._kept(product(axes.parts(seed)), conditions))
        if not points and not self._problems:
            self._problems.add(conditions[0][0], "every point is excluded; nothing is left to run")
        return axes, points

    def _conditions(self, value: Tree | None, names: Sequence[str]) -> list[tuple[Place, Condition]]:
        conditions = []
        for item in _items(value):
            if not isinstance(item, Scalar) or item.null:
                self._problems.add(
                    item.place, f"{what_is(item)}; exclude is a list of conditions such as N > 16 and rate > 5"
                )
                continue
            try:
                conditions.append((item.place, Condition(item.text, names)))
            except PartError as error:
                self._problems.add(_at(item, error.offset), str(error))
        return conditions

    def _kept(self, points: Iterable[Point], conditions: Sequence[tuple[Place, Condition]]) -> Iterator[Point]:
        for point in points:
            try:
                if not any(condition.holds(point) for _, condition in conditions):
                    yield point
            except PartError as error:
                values = ", ".join(f"{name}={text}" for name, text in point.items())
                self._problems.add(conditions[0][0], f"exclude cannot be told for {values}: {error}")
                return

    def _repeat(self, value: Tree | None) -> Repeat:
        if value is None:
            return Repeat()
        if isinstance(value, Scalar):
            times = self._take(value, "repeat", lambda text: _whole(text, 1, MOST_RUNS), 1)
            return Repeat(times, times)
        if not isinstance(value, Mapping):
            self._problems.add(value.place, f"repeat is {what_is(value)}; it is a number, or {{min, max, until}}")
            return Repeat()
        self._known(value, ("min", "max", "until"), "repeat")
        minimum = self._take(value.get("min"), "min", lambda text: _whole(text, 1, MOST_RUNS), None)
        maximum = self._take(value.get("max"), "max", lambda text: _whole(text, 1, MOST_RUNS), None)
        until = self._until(value.get("until"))
        if until is None and maximum is not None and maximum != (minimum or 1):
            self._problems.add(
                value.place, "repeat has max, but no rule (until) by which a point has enough before that"
            )
        if until is not None and maximum is None:
            self._problems.add(
                value.place, "repeat has until, but no max: a point that never has enough would go on forever"
            )
        minimum = minimum or (2 if until else 1)
        maximum = maximum or minimum
        if maximum < minimum:
            self._problems.add(value.place, f"repeat has max {maximum} below min {minimum}")
        return Repeat(minimum, max(minimum, maximum), until)

    def _until(self, value: Tree | None) -> Until | None:
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self._problems.add(value.place, f"until is {what_is(value)}; it is {{metric, confidence, relative_error}}")
            return None
        self._known(value, ("metric", "confidence", "relative_error", "absolute_error", "method"), "until")
        metric = self._take(value.get("metric"), "metric", _text, "")
        if value.get("metric") is None:
            self._problems.add(value.place, "until names no metric")
        confidence = self._take(value.get("confidence"), "confidence", _between_0_and_1, 0.95)
        relative = self._take(value.get("relative_error"), "relative_error", _error, None)
        absolute = self._take(value.get("absolute_error"), "absolute_error", _error, None)
        if (value.get("relative_error") is None) == (value.get("absolute_error") is None):
            self._problems.add(value.place, "until has one of relative_error and absolute_error")
        method = self._choice(value, "method", ("t", "bootstrap"))
        return Until(metric, confidence, relative, absolute, cast(Literal["t", "bootstrap"], method))

    def _retry(self, value: Tree | None) -> Retry:
        if value is None:
            return Retry()
        kinds = ("host", "guest", "simulation", "unfaithful")
        if not isinstance(value, Mapping):
            self._problems.add(value.place, f"retry is {what_is(value)}; it is a mapping of {', '.join(kinds)}")
            return Retry()
        self._known(value, kinds, "retry")
        given = {}
        for key, inner in value:
            if key.text in kinds:
                given[key.text] = self._take(inner, key.text, lambda text: _whole(text, 0, 1000), 0)
        return Retry(**given)

    def _choice(self, mapping: Mapping, key: str, choices: Sequence[str]) -> str:
        def choose(text: str) -> str:
            if text not in choices:
                raise ValueError(f"{shown(text)} is not {' or '.join(choices)}{did_you_mean(text, choices)}")
            return text

        return self._take(mapping.get(key), key, choose, choices[0])

    def _number(self, key: str, parse: Callable[[str], _T], default: _T) -> _T:
        return self._take(self._root.get(key), key, parse, default)

    def _take(self, value: Tree | None, key: str, parse: Callable[[str], _T], default: _T) -> _T:
        """Parse a single value; a mistake is noted, and the default taken."""
        if value is None or (isinstance(value, Scalar) and value.broken):
            return default
        if not isinstance(value, Scalar) or value.null:
            self._problems.add(value.place, f"{key} is {what_is(value)}; it is a single value")
            return default
        try:
            return parse(value.text)
        except ValueError as error:
            self._problems.add(value.place, f"{key}: {error}")
            return default

    def _known(self, mapping: Mapping, keys: Sequence[str], what: str) -> None:
        for key, _ in mapping:
            if key.text not in keys:
                near = did_you_mean(key.text, keys) or f"; there are {', '.join(keys)}"
                self._problems.add(key.place, f"{shown(key.text)} is no key of {what}{near}")


def _items(value: Tree | None) -> Sequence[Tree]:
    """The items of a list; a single value is a list of one."""
    if value is None:
        return ()
    return (value,) if isinstance(value, (Scalar, Mapping)) else value.items


def _at(value: Scalar, offset: int) -> Place:
    return Place(value.place.file, value.place.line, value.place.column + value.quote + offset)


def _files_beside(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return []


def _whole(text: str, least: int, most: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise ValueError(f"{shown(text)} is not a whole number from {least} to {most}")
    return value


def _jobs(text: str) -> int | Literal["auto"] | None:
    try:
        return "auto" if text == "auto" else _whole(text, 1, 10_000)
    except ValueError as error:
        raise ValueError(f"{error}, nor auto") from None


def _positive(text: str, what: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise ValueError(f"{shown(text)} is not {what} above 0")
    return value


def _error(text: str) -> float | None:
    return _positive(text, "a number")


def _between_0_and_1(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise ValueError(f"{shown(text)} is not between 0 and 1, such as 0.95")
    return value


def _text(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text

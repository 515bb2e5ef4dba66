"""The points of a parameter space: ranges, samples, products, and the seeds of their runs."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Scale = Literal["lin", "log"]
Point = dict[str, str]

_NUMBER = re.compile(r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?P<unit>[A-Za-z%]*)")
_SAMPLE_DIGITS = 6
_RANGE_DIGITS = 12
_FINEST = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "bps": 1,
    "kbps": 10**3,
    "Mbps": 10**6,
    "Gbps": 10**9,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 10,
    "GiB": 1 << 10,
}
"""Parts of a unit of topologies of which a number in between is a multiple, so that they take it."""


@dataclass(frozen=True)
class Quantity:
    """A number as a user writes it.

    Attributes:
        value: The number.
        unit: What stands behind it, such as ``ms``; "" for none.
        whole: It is written as a whole number.
    """

    value: float
    unit: str = ""
    whole: bool = False


def parse_quantity(text: str) -> Quantity:
    """A number with or without a unit.

    Raises:
        ValueError: it is none.
    """
    match = _NUMBER.fullmatch(text.strip())
    if not match or not math.isfinite(float(match["number"])):
        raise ValueError(f"{text!r} is no number; such as 5000, 0.5 or 20ms")
    return Quantity(
        float(match["number"]), match["unit"], whole=re.fullmatch(r"[+-]?[0-9]+", match["number"]) is not None
    )


@dataclass(frozen=True)
class Range:
    """Numbers from one to another.

    Attributes:
        first, last: The ends, both included, in one unit.
        scale: How they are spread.
        steps: How many numbers, or None.
        step: How far apart, or None; of a linear range.
        integer: Whole numbers only; None: where both ends are whole and the others do not fall together by it (log), or
            are whole by themselves (lin).
    """

    first: Quantity
    last: Quantity
    scale: Scale = "lin"
    steps: int | None = None
    step: float | None = None
    integer: bool | None = None

    def check(self) -> None:
        """Whether there are such numbers.

        Raises:
            ValueError: why not.
        """
        if self.first.unit != self.last.unit:
            raise ValueError(
                f"from has the unit {self.first.unit or 'none'!r} and to {self.last.unit or 'none'!r}; use one"
            )
        if self.scale == "log" and (self.first.value <= 0 or self.last.value <= 0):
            raise ValueError("scale: log needs ends above 0")
        if self.scale == "log" and self.step is not None:
            raise ValueError("scale: log takes steps (how many numbers), not step")
        if self.step is not None and (self.last.value - self.first.value) * self.step < 0:
            raise ValueError(f"a step of {self.step:g} does not lead from {self.first.value:g} to {self.last.value:g}")

    def count(self) -> int:
        """How many numbers there are."""
        if self.steps is not None:
            return self.steps
        assert self.step is not None
        return math.floor((self.last.value - self.first.value) / self.step + 1e-9) + 1

    def values(self) -> list[str]:
        """The numbers, each as the shortest text that a user would type.

        Raises:
            ValueError: whole numbers were asked for, and some fall together.
        """
        numbers = list(self._numbers())
        rounded = [float(round(number)) for number in numbers]
        whole = self.integer
        if whole is None and self.scale == "log":
            whole = self.first.whole and self.last.whole and len(set(rounded)) == len(rounded)
        if whole:
            if len(set(rounded)) < len(rounded):
                raise ValueError(f"{len(rounded)} whole numbers do not fit there: some fall together; take fewer steps")
            numbers = rounded
        return [self._text(number) for number in numbers]

    def _text(self, number: float) -> str:
        unit, parts = self.first.unit, _FINEST.get(self.first.unit)
        if parts is None or any(abs(end.value * parts % 1 - 0.5) < 0.499999 for end in (self.first, self.last)):
            return show(number, _RANGE_DIGITS) + unit
        number = round(number * parts) / parts
        return (str(int(number)) if number.is_integer() else format(Decimal(repr(number)), "f")) + unit

    def _numbers(self) -> Iterator[float]:
        first, last, count = self.first.value, self.last.value, self.count()
        for index in range(count):
            if self.step is not None:
                yield first + index * self.step
            elif index == count - 1:
                yield last if count > 1 else first
            elif self.scale == "log":
                yield first * (last / first) ** (index / (count - 1))
            else:
                yield first + (last - first) * index / (count - 1)

    def at(self, share: float) -> str:
        """The number at a share of the way, from 0 up to but without 1; whole if both ends are and ``integer`` allows."""
        whole = (self.first.whole and self.last.whole) if self.integer is None else self.integer
        first, last = self.first.value, self.last.value
        if whole and self.scale == "lin":
            low, high = math.ceil(min(first, last)), math.floor(max(first, last))
            return self._text(min(high, low + math.floor(share * (high - low + 1))))
        number = first * (last / first) ** share if self.scale == "log" else first + (last - first) * share
        number = float(round(number)) if whole else float(f"{number:.{_SAMPLE_DIGITS}g}")
        # Rounding must not lead out of the range.
        return self._text(min(max(number, min(first, last)), max(first, last)))


def show(number: float, digits: int) -> str:
    """The shortest text of a number rounded to so many significant digits: 5000, not 5000.0."""
    rounded = float(f"{number:.{digits}g}")
    if rounded == math.floor(rounded) and abs(rounded) < 1e15:
        return str(int(rounded))
    return repr(rounded)


@dataclass(frozen=True)
class Sample:
    """Points drawn from a space.

    Attributes:
        method: ``random``: each coordinate by itself; ``latin-hypercube``: each coordinate's range is divided into as
            many parts as there are points, and each part is hit once.
        count: How many points.
        axes: The parameters: a range (without steps), or values of which one is drawn.
    """

    method: Literal["random", "latin-hypercube"]
    count: int
    axes: Mapping[str, Range | Sequence[str]]

    def points(self, seed: int) -> list[Point]:
        """The points; the same for the same seed."""
        import numpy
        from scipy.stats import qmc

        generator = numpy.random.default_rng([seed, 0x5A])
        if self.method == "random":
            shares = generator.random((self.count, len(self.axes)))
        else:
            shares = qmc.LatinHypercube(len(self.axes), seed=generator).random(self.count)
        return [
            {name: _drawn(axis, float(share)) for (name, axis), share in zip(self.axes.items(), row, strict=True)}
            for row in shares
        ]


def _drawn(axis: Range | Sequence[str], share: float) -> str:
    if isinstance(axis, Range):
        return axis.at(share)
    return axis[min(len(axis) - 1, math.floor(share * len(axis)))]


def product(parts: Iterable[Sequence[Point]]) -> Iterator[Point]:
    """Every combination of one point of each part; the last part changes fastest."""
    for combination in itertools.product(*parts):
        yield {name: text for point in combination for name, text in point.items()}


def run_seed(seed: int, parameters: Mapping[str, str], repetition: int) -> int:
    """The seed of a run, from 0 to 2**31 - 1: the same point has the same seeds, whatever else a sweep has."""
    what = json.dumps([seed, sorted(parameters.items()), repetition]).encode()
    return int.from_bytes(hashlib.blake2b(what, digest_size=4).digest(), "big") >> 1

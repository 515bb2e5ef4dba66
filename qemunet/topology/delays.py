"""Delays: a time, or a distribution from which each frame draws its own, such as ``normal(mean=12ms, p99=26ms)``.

What is read here is what the words say; ``plan/delays.py`` makes of it what the simulation draws from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from qemunet.topology.problems import PartError, did_you_mean, shown
from qemunet.units import format_time_ns, parse_time_ns

LEAST_INSIDE = 0.01
"""Share of a distribution's draws that must lie between its bounds: the others are drawn again."""

LONGEST_NS = 1 << 61
"""What is drawn above is cut to this: 73 years, and far from where ns-3's times overflow."""

_MOST_PARTS = 1000
_DEEPEST = 4
_Z99 = NormalDist().inv_cdf(0.99)
_CALL = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)\s*\((.*)\)\s*", re.DOTALL)
_WEIGHT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?|\.[0-9]{1,15})(%?)")


@dataclass(frozen=True)
class Uniform:
    """Every time between two is as likely."""

    low_ns: int
    high_ns: int


@dataclass(frozen=True)
class Normal:
    """A Gaussian (or, with ``log``, one of the logarithm of the time in ns), drawn again outside its bounds.

    Attributes:
        mean, std: Of the Gaussian before it is truncated; in ns, with ``log`` of the logarithm.
        min_ns, max_ns: The bounds.
    """

    mean: float
    std: float
    min_ns: int = 0
    max_ns: int = LONGEST_NS
    log: bool = False

    def share_inside(self) -> float:
        """The share of its draws that lie within the bounds."""
        if self.std == 0:
            return float(self.min_ns <= (math.exp(self.mean) if self.log else self.mean) <= self.max_ns)
        low, high = (self._standard(bound) for bound in (self.min_ns, self.max_ns))
        return 0.5 * (math.erfc(low / math.sqrt(2)) - math.erfc(high / math.sqrt(2)))

    def _standard(self, bound_ns: int) -> float:
        """How many standard deviations a bound lies above the mean."""
        bound = bound_ns if not self.log else math.log(bound_ns) if bound_ns else -math.inf
        return (bound - self.mean) / self.std


@dataclass(frozen=True)
class Empirical:
    """The values of a file, as often as they stand in it."""

    file: str


@dataclass(frozen=True)
class Mixture:
    """Of each frame's delay one of these is drawn, by weight."""

    parts: tuple[tuple[float, Delay], ...]


Delay = int | Uniform | Normal | Empirical | Mixture
"""A fixed delay in ns, or a distribution."""


@dataclass(frozen=True)
class _Argument:
    """A piece between commas, without the blanks around it, and where it stands in the value."""

    text: str
    offset: int

    def tail(self, start: int) -> _Argument:
        rest = self.text[start:]
        return _Argument(rest.strip(), self.offset + start + len(rest) - len(rest.lstrip()))

    def wrong(self, message: str) -> PartError:
        return PartError(message, self.offset)


def parse_delay(text: str) -> Delay:
    """Read a delay of one direction.

    Raises:
        PartError: what is wrong with a piece of a distribution, and where.
        ValueError: what is wrong with a plain time.
    """
    if "(" not in text and ")" not in text and text.strip() not in _READERS:
        return parse_time_ns(text)
    return _read(_Argument(text, 0).tail(0), 0)


def parse_weight(text: str) -> float:
    """Read a weight: a number or a percentage above 0.

    Raises:
        ValueError: it is none.
    """
    match = _WEIGHT.fullmatch(text)
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{shown(text)} is not a weight; write a number above 0 or a percentage, such as 90%")
    return float(match[1]) / (100 if match[2] else 1)


def _read(source: _Argument, depth: int) -> Delay:
    call = _CALL.fullmatch(source.text)
    if call is None:
        if depth and "(" not in source.text:
            return _time_ns(source)
        raise source.wrong(f"{shown(source.text)} is neither a time nor a distribution, such as uniform(5ms, 10ms)")
    name, inside = call[1], _Argument(call[2], source.offset + call.start(2))
    if name not in _READERS:
        hint = did_you_mean(name, _READERS) or f"; there are {', '.join(_READERS)}"
        raise source.wrong(f"{shown(name)} is no distribution{hint}")
    return _READERS[name](inside, depth)


def _time_ns(source: _Argument) -> int:
    try:
        return parse_time_ns(source.text)
    except ValueError as error:
        raise source.wrong(f"{shown(source.text)}: {error}") from None


def _split(source: _Argument) -> list[_Argument]:
    """Split at the commas outside brackets."""
    pieces, start, depth = [], 0, 0
    for index, character in enumerate(source.text + ","):
        depth += (character == "(") - (character == ")")
        if character == "," and depth <= 0:
            rest = source.text[start:index]
            pieces.append(_Argument(rest, source.offset + start).tail(0))
            start = index + 1
    return pieces


def _named(source: _Argument, known: Sequence[str], what: str) -> dict[str, _Argument]:
    """Read ``KEY=VALUE, ...``."""
    found: dict[str, _Argument] = {}
    for piece in _split(source):
        key, equals, _ = piece.text.partition("=")
        name = key.strip()
        if not equals:
            raise piece.wrong(f"{shown(piece.text)} in {what}(...) must be KEY=TIME; keys are {', '.join(known)}")
        if name not in known:
            hint = did_you_mean(name, known) or f"; it has {', '.join(known)}"
            raise piece.wrong(f"{what}(...) has no {shown(name)}{hint}")
        if name in found:
            raise piece.wrong(f"{name} is given twice")
        found[name] = piece.tail(len(key) + 1)
    return found


def _one_of(given: Mapping[str, _Argument], source: _Argument, what: str, *choices: str) -> str:
    """Return which one of several keys is given."""
    here = [key for key in choices if key in given]
    if not here:
        raise source.wrong(f"{what}(...) needs {' or '.join(f'{key}=' for key in choices)}")
    if len(here) > 1:
        raise given[here[1]].wrong(f"{what}(...) takes either {here[0]}= or {here[1]}=, not both")
    return here[0]


def _uniform(source: _Argument, _depth: int) -> Delay:
    pieces = _split(source)
    if len(pieces) != 2:
        raise source.wrong(f"uniform(a, b) takes two times, the least and the largest, not {len(pieces)}")
    low_ns, high_ns = _time_ns(pieces[0]), _time_ns(pieces[1])
    if low_ns > high_ns:
        raise pieces[1].wrong(f"{pieces[1].text} is less than {pieces[0].text}; write the least time first")
    return Uniform(low_ns, high_ns)


def _normal(source: _Argument, _depth: int) -> Delay:
    given = _named(source, ("mean", "std", "p99", "min", "max"), "normal")
    _one_of(given, source, "normal", "mean")
    spread = _one_of(given, source, "normal", "std", "p99")
    mean_ns, spread_ns = _time_ns(given["mean"]), _time_ns(given[spread])
    if spread == "p99" and spread_ns < mean_ns:
        raise given["p99"].wrong(f"p99={given['p99'].text} is less than mean={given['mean'].text}")
    std = float(spread_ns) if spread == "std" else (spread_ns - mean_ns) / _Z99
    return _bounded(float(mean_ns), std, given, log=False)


def _lognormal(source: _Argument, _depth: int) -> Delay:
    given = _named(source, ("mean", "median", "std", "p99", "min", "max"), "lognormal")
    middle = _one_of(given, source, "lognormal", "mean", "median")
    spread = _one_of(given, source, "lognormal", "std", "p99")
    middle_ns, spread_ns = _time_ns(given[middle]), _time_ns(given[spread])
    if middle_ns == 0:
        raise given[middle].wrong(f"{middle}= of a lognormal(...) must be above 0")
    ratio = spread_ns / middle_ns
    if spread == "std":
        # The variance of a lognormal is w (w - 1) median², or (w - 1) mean², with w = exp(sigma²).
        sigma = math.sqrt(math.log1p(ratio**2 if middle == "mean" else (math.sqrt(1 + 4 * ratio**2) - 1) / 2))
    else:
        if ratio < 1:
            raise given["p99"].wrong(f"p99={given['p99'].text} is less than {middle}={given[middle].text}")
        if middle == "median":
            sigma = math.log(ratio) / _Z99
        else:
            # ln(p99 / mean) = z sigma - sigma² / 2, of which the smaller solution is meant.
            square = _Z99**2 - 2 * math.log(ratio)
            if square < 0:
                most = math.exp(_Z99**2 / 2)
                raise given["p99"].wrong(f"p99= of a lognormal(...) is at most {most:.2f} times its mean; use median=")
            sigma = _Z99 - math.sqrt(square)
    mu = math.log(middle_ns) - (sigma**2 / 2 if middle == "mean" else 0)
    return _bounded(mu, sigma, given, log=True)


def _bounded(mean: float, std: float, given: Mapping[str, _Argument], *, log: bool) -> Normal:
    """Add the bounds, and refuse those between which (almost) nothing is drawn."""
    low_ns = _time_ns(given["min"]) if "min" in given else 0
    high_ns = min(_time_ns(given["max"]), LONGEST_NS) if "max" in given else LONGEST_NS
    at = given.get("max") or given.get("min") or given["mean" if "mean" in given else "median"]
    bounds = f"min={format_time_ns(low_ns)}" + (f" and max={given['max'].text}" if "max" in given else "")
    if low_ns > high_ns:
        raise at.wrong(f"nothing lies between {bounds}")
    distribution = Normal(mean, std, low_ns, high_ns, log)
    inside = distribution.share_inside()
    if inside < LEAST_INSIDE:
        raise at.wrong(
            f"only {inside * 100:.3g} % of the draws lie within {bounds}, and all others are drawn again; "
            f"at least {LEAST_INSIDE * 100:.0f} % must"
        )
    return distribution


def _empirical(source: _Argument, _depth: int) -> Delay:
    path = source.tail(0)
    if not path.text:
        raise source.wrong("empirical(FILE) needs the path of a file with a time a line")
    return Empirical(path.text)


def _mixture(source: _Argument, depth: int) -> Delay:
    if depth >= _DEEPEST:
        raise source.wrong(f"mixtures are nested more than {_DEEPEST} deep")
    pieces = _split(source)
    if len(pieces) > _MOST_PARTS:
        raise source.wrong(
            f"a mixture of {len(pieces)} parts; at most {_MOST_PARTS}, or write them to an empirical(FILE)"
        )
    parts = []
    percent = True
    for piece in pieces:
        weight, colon, _ = piece.text.partition(":")
        if not colon:
            raise piece.wrong(
                f"{shown(piece.text)} in mixture(...) must be WEIGHT:DELAY, such as 90%:uniform(5ms, 10ms)"
            )
        try:
            parts.append((parse_weight(weight.strip()), _read(piece.tail(len(weight) + 1), depth + 1)))
        except PartError:
            raise
        except ValueError as error:
            raise piece.wrong(str(error)) from None
        percent = percent and weight.strip().endswith("%")
    total = sum(weight for weight, _ in parts)
    if percent and abs(total - 1) > 1e-9:
        raise source.wrong(f"the shares of this mixture(...) add up to {total * 100:.6g} %, not 100 %")
    return Mixture(tuple(parts))


_READERS: Mapping[str, Callable[[_Argument, int], Delay]] = {
    "uniform": _uniform,
    "normal": _normal,
    "lognormal": _lognormal,
    "mixture": _mixture,
    "empirical": _empirical,
}

"""What the simulation draws delays from: the words of a topology made plain, files of values read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Literal

from qemunet.plan.model import DelayPart
from qemunet.topology.delays import LONGEST_NS, Delay, Empirical, Mixture, Normal, Uniform, parse_weight
from qemunet.units import parse_time_ns

MOST_VALUES = 10_000
"""Different values that the file of an ``empirical(...)`` may have."""
MOST_BYTES = 4 << 20
"""Length that it may have."""


def delay_parts(delay: Delay, directory: Path | None) -> tuple[DelayPart, ...]:
    """Return the parts of a distribution, of which one is drawn for each frame; nothing for a fixed delay.

    Args:
        delay: What the topology says.
        directory: What files are relative to; None is the current directory.

    Raises:
        ValueError: a file of values cannot be used; the message names its line.
    """
    return () if isinstance(delay, int) else tuple(_parts(delay, 1.0, directory))


def mean_ns(parts: Sequence[DelayPart]) -> float:
    """Return the mean of what is drawn from the parts of a distribution."""
    return sum(part.weight * _mean_ns(part) for part in parts)


def _mean_ns(part: DelayPart) -> float:
    if part.kind == "values":
        weights = part.weights or (1 / len(part.values_ns),) * len(part.values_ns)
        return sum(value_ns * weight for value_ns, weight in zip(part.values_ns, weights, strict=True))
    mean, std = part.first, part.second
    if part.kind == "uniform":
        return (mean + std) / 2
    log = part.kind == "lognormal"
    if std == 0:
        return math.exp(mean) if log else mean
    bounds = [part.min_ns, part.max_ns]
    low, high = (((math.log(b) if b else -math.inf) if log else b) for b in bounds)
    standard = NormalDist()
    alpha, beta = (low - mean) / std, (high - mean) / std
    inside = standard.cdf(beta) - standard.cdf(alpha)
    if log:
        return math.exp(mean + std**2 / 2) * (standard.cdf(beta - std) - standard.cdf(alpha - std)) / inside
    return mean + std * (standard.pdf(alpha) - standard.pdf(beta)) / inside


def _parts(delay: Delay, weight: float, directory: Path | None) -> Iterator[DelayPart]:
    if isinstance(delay, Mixture):
        total = sum(share for share, _ in delay.parts)
        for share, part in delay.parts:
            yield from _parts(part, weight * share / total, directory)
    elif isinstance(delay, int):
        yield DelayPart("uniform", weight, delay, delay)
    elif isinstance(delay, Uniform):
        yield DelayPart("uniform", weight, delay.low_ns, delay.high_ns)
    elif isinstance(delay, Normal):
        kind: Literal["lognormal", "normal"] = "lognormal" if delay.log else "normal"
        yield DelayPart(kind, weight, delay.mean, delay.std, delay.min_ns, delay.max_ns)
    else:
        values = _read_values(delay, directory)
        total = sum(values.values())
        yield DelayPart(
            "values",
            weight,
            values_ns=tuple(values),
            # As often as each other: said once.
            weights=() if len(set(values.values())) == 1 else tuple(share / total for share in values.values()),
        )


def _read_values(delay: Empirical, directory: Path | None) -> dict[int, float]:
    """Read a time and perhaps its weight from each line; returns weights by value, in order of the values."""
    path = Path(directory or Path.cwd(), delay.file)
    try:
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start + 1} is not UTF-8") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path} has more than {MOST_BYTES >> 20} MiB; say how often a value occurs by its weight")
    values: dict[int, float] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            if len(words) > 2:
                raise ValueError("a line has a time and perhaps its weight, such as: 12.5ms 3")
            value_ns = min(parse_time_ns(words[0]), LONGEST_NS)
            weight = parse_weight(words[1]) if len(words) == 2 else 1.0
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
        values[value_ns] = values.get(value_ns, 0.0) + weight
    if not values:
        raise ValueError(f"{path} has no values; write a time on each line, such as 12.5ms")
    if len(values) > MOST_VALUES:
        raise ValueError(f"{path} has {len(values)} different values; at most {MOST_VALUES} (round them)")
    return dict(sorted(values.items()))

"""Means and their confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Literal, TypeGuard

Method = Literal["t", "bootstrap"]

_LARGEST = 1e150

CONFIDENCE = 0.95
"""Of intervals where nothing else is asked for."""

_RESAMPLES = 2000
_SEED = 1


@dataclass(frozen=True)
class Summary:
    """What a metric came to over some runs, in the metric's unit.

    Attributes:
        n: Number of values.
        mean, median: Of them.
        std: Standard deviation of a sample (n - 1); None for a single value.
        low, high: The interval that has the mean with the confidence asked for; None for a single value.
    """

    n: int
    mean: float
    median: float
    std: float | None
    low: float | None
    high: float | None


def is_number(value: object) -> TypeGuard[float]:
    """Whether a metric is a number, and one that means and deviations can be taken of."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST


def summarize(
    values: Sequence[float], *, confidence: float = CONFIDENCE, method: Method = "t", pilot: int | None = None
) -> Summary:
    """Summarize at least one value.

    Args:
        values: The values.
        confidence: Of the interval, between 0 and 1.
        method: As for ``half_widths``.
        pilot: As for ``half_widths``.
    """
    mean = fmean(values)
    below, above = half_widths(values, confidence=confidence, method=method, pilot=pilot)
    return Summary(
        len(values),
        mean,
        median(values),
        stdev(values) if len(values) > 1 else None,
        None if math.isinf(below) else mean - below,
        None if math.isinf(above) else mean + above,
    )


def half_widths(
    values: Sequence[float], *, confidence: float = CONFIDENCE, method: Method = "t", pilot: int | None = None
) -> tuple[float, float]:
    """How far the confidence interval of the mean reaches below and above it; infinity for a single value.

    Args:
        values: The values, in the order in which they were taken.
        confidence: Between 0 and 1.
        method: ``t``: Student's. ``bootstrap``: bias-corrected and accelerated (Efron, Better Bootstrap Confidence
            Intervals, JASA 82, 1987), with the same random numbers each time.
        pilot: So many first values decided how many there are in all, so the interval is no narrower than their deviation
            makes it (Stein, A Two-Sample Test for a Linear Hypothesis Whose Power Is Independent of the Variance, Annals
            of Mathematical Statistics 16, 1945).
    """
    count = len(values)
    if count < 2:
        return math.inf, math.inf
    if len(set(values)) == 1:
        return 0.0, 0.0
    from scipy import stats

    # Values that are not normal have their say by the deviation of all of them.
    parts = [values] if method == "t" else []
    if pilot is not None:
        parts.append(values[: max(2, min(pilot, count))])
    half = max((float(stats.t.ppf((1 + confidence) / 2, len(part) - 1)) * stdev(part) for part in parts), default=0.0)
    half /= math.sqrt(count)
    if method == "t":
        return half, half
    import numpy

    found = stats.bootstrap(
        (values,),
        numpy.mean,
        confidence_level=confidence,
        n_resamples=_RESAMPLES,
        method="BCa",
        rng=numpy.random.default_rng(_SEED),
    ).confidence_interval
    mean = fmean(values)
    return max(half, mean - float(found.low)), max(half, float(found.high) - mean)

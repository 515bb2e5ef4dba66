"""Mean and interval of a metric at a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95
"""Of the intervals of a report."""


@dataclass(frozen=True)
class Summary:
    """What a metric came to over the runs of a point.

    Attributes:
        n: Number of runs.
        mean: Their mean.
        low, high: The interval that has the mean with ``CONFIDENCE``, by Student's t; None for a single run.
    """

    n: int
    mean: float
    low: float | None
    high: float | None


def summarize(values: Sequence[float]) -> Summary:
    """Return mean and interval of at least one value."""
    mean = fmean(values)
    if len(values) < 2:
        return Summary(len(values), mean, None, None)
    from scipy import stats

    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return Summary(len(values), mean, mean - half, mean + half)

"""Whether a point has enough repetitions: the confidence interval of its metric is narrow enough, or it has all it may have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qemunet.batch.model import Repeat, Until


def more_repetitions(repeat: Repeat, results: Sequence[Mapping[str, Any] | None]) -> int:
    """How many further runs a point needs now.

    Args:
        repeat: The rule.
        results: For each of its runs the metrics of the counted attempt, None of one that says nothing (no pass, unfaithful).
    """
    if repeat.until is None or len(results) >= repeat.maximum:
        return 0
    values = [result.get(repeat.until.metric) for result in results if result is not None]
    numbers = [float(value) for value in values if isinstance(value, (int, float)) and math.isfinite(value)]
    return 0 if narrow_enough(repeat.until, numbers) else 1


def narrow_enough(until: Until, values: Sequence[float]) -> bool:
    """Whether the interval of a mean is as narrow as it should be; never for fewer than two values."""
    if len(values) < 2:
        return False
    import numpy
    from scipy import stats

    mean = float(numpy.mean(values))
    if len(set(values)) == 1:
        half = 0.0
    elif until.method == "bootstrap":
        found = stats.bootstrap(
            (values,), numpy.mean, confidence_level=until.confidence, rng=numpy.random.default_rng(1)
        )
        half = float(found.confidence_interval.high - found.confidence_interval.low) / 2
    else:
        half = float(stats.sem(values) * stats.t.ppf((1 + until.confidence) / 2, len(values) - 1))
    if until.relative_error is not None:
        return half <= until.relative_error * abs(mean)
    assert until.absolute_error is not None
    return half <= until.absolute_error

"""Whether a point has enough repetitions: the confidence interval of its metric's mean is narrow enough.

A rule that looks again after each run ends most readily when the deviation happens to look small, so the interval that it
ends with is too narrow: with five runs at least, 95 % intervals of normal values had the mean in 92 % of the cases. So
the first runs of a point, ``min`` of them, are a pilot: their deviation says how many there have to be in all, and the
interval is no narrower than it makes it (Stein, A Two-Sample Test for a Linear Hypothesis Whose Power Is Independent of
the Variance, Annals of Mathematical Statistics 16, 1945). For normal values that interval has the mean as often as it
says, whatever else decides on further runs, as long as that is deviations and not means; so the rule goes on until
Student's interval of all runs is narrow enough as well, which those need that are not normal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from qemunet.batch.model import Repeat, Until
from qemunet.results.statistics import half_widths, is_number


def more_repetitions(repeat: Repeat, results: Sequence[Mapping[str, Any] | None]) -> int:
    """How many further runs a point needs now.

    Runs that say nothing count among the ``maximum``, and not among the values.

    Args:
        repeat: The rule.
        results: For each of its runs, in order of repetitions, the metrics of the counted attempt; None of one that says
            nothing (it did not pass, or was unfaithful).
    """
    until = repeat.until
    room = repeat.maximum - len(results)
    if until is None or room <= 0:
        return 0
    given = [None if result is None else result.get(until.metric) for result in results]
    values = [float(value) for value in given if is_number(value)]
    return min(room, max(0, wanted(until, values, pilot=max(2, repeat.minimum)) - len(values)))


def wanted(until: Until, values: Sequence[float], *, pilot: int) -> int:
    """How many values there should be; never fewer than the pilot.

    Args:
        until: The rule.
        values: Those that are there, in the order in which they were taken.
        pilot: How many of them say how many there have to be.
    """
    count = len(values)
    if count < pilot:
        return pilot
    first = values[:pilot]
    total = pilot
    allowed = _allowed(until, fmean(first))
    if stdev(first) > 0:
        if allowed == 0:
            return count + 1
        # The half width of the pilot's own interval, and how it shrinks with the number of values.
        below, _ = half_widths(first, confidence=until.confidence)
        needed = (below / allowed) ** 2 * pilot
        total = max(pilot, math.ceil(min(needed, 1e9)))
    if count < total:
        return total
    widths = half_widths(values, confidence=until.confidence, method=until.method, pilot=pilot)
    narrow = max(widths) <= _allowed(until, fmean(values))
    return count if narrow else count + 1


def _allowed(until: Until, mean: float) -> float:
    """The largest half width, in the metric's unit."""
    if until.relative_error is not None:
        return until.relative_error * abs(mean)
    assert until.absolute_error is not None
    return until.absolute_error

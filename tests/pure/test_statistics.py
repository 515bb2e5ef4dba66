from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from statistics import fmean

import pytest

from qemunet.batch.model import Repeat, Until
from qemunet.batch.stopping import more_repetitions, wanted
from qemunet.results.statistics import half_widths, summarize


def test_students_interval() -> None:
    # The classic example of a sample 1 to 5: t of 4 degrees of freedom is 2.776.
    found = summarize([1, 2, 3, 4, 5])
    assert (found.n, found.mean, found.median) == (5, 3, 3)
    assert found.std == pytest.approx(1.5811, abs=1e-4)
    assert found.low == pytest.approx(3 - 2.7764 * 1.5811 / math.sqrt(5), abs=1e-3)
    assert found.high == pytest.approx(3 + 2.7764 * 1.5811 / math.sqrt(5), abs=1e-3)


@pytest.mark.parametrize("method", ["t", "bootstrap"])
def test_what_has_no_spread(method: str) -> None:
    one = summarize([7.5], method=method)  # type: ignore[arg-type]
    assert (one.n, one.mean, one.std, one.low, one.high) == (1, 7.5, None, None, None)
    same = summarize([2.0, 2.0, 2.0], method=method)  # type: ignore[arg-type]
    assert (same.std, same.low, same.high) == (0, 2, 2)


def test_a_bootstrap_leans_to_the_long_tail_and_is_the_same_each_time() -> None:
    values = [random.Random(seed).expovariate(1) for seed in range(40)]
    below, above = half_widths(values, method="bootstrap")
    assert above > below
    assert (below, above) == half_widths(values, method="bootstrap")
    wider = half_widths(values, method="bootstrap", confidence=0.99)
    assert wider[0] > below
    assert wider[1] > above


Draw = Callable[[random.Random], float]
NORMAL = Until("x", 0.95, absolute_error=0.5)
CASES: dict[str, tuple[float, Draw, Until, int, int]] = {
    "normal, absolute": (10.0, lambda source: source.gauss(10, 1), NORMAL, 5, 1500),
    "normal, relative": (10.0, lambda source: source.gauss(10, 1), Until("x", 0.95, relative_error=0.05), 3, 1500),
    "normal, 80 %": (10.0, lambda source: source.gauss(10, 1), Until("x", 0.8, absolute_error=0.3), 5, 1500),
    "exponential": (1.0, lambda source: source.expovariate(1), Until("x", 0.95, relative_error=0.25), 10, 600),
    "lognormal": (
        math.exp(0.125),
        lambda source: source.lognormvariate(0, 0.5),
        Until("x", 0.95, relative_error=0.12),
        10,
        600,
    ),
    "normal, bootstrap": (
        10.0,
        lambda source: source.gauss(10, 1),
        Until("x", 0.95, absolute_error=0.6, method="bootstrap"),
        5,
        200,
    ),
    "constant": (3.0, lambda source: 3.0, Until("x", 0.95, relative_error=0.01), 3, 3),
}


def sample(draw: Draw, until: Until, pilot: int, source: random.Random) -> list[float]:
    values: list[float] = []
    while (total := wanted(until, values, pilot=pilot)) > len(values):
        values += [draw(source) for _ in range(total - len(values))]
    return values


@pytest.mark.parametrize("case", CASES)
def test_the_interval_that_a_rule_ends_with_has_the_mean_as_often_as_it_says(case: str) -> None:
    mean, draw, until, pilot, rounds = CASES[case]
    source = random.Random(f"coverage {case}")
    hits = 0
    for _ in range(rounds):
        values = sample(draw, until, pilot, source)
        below, above = half_widths(values, confidence=until.confidence, method=until.method, pilot=pilot)
        assert max(below, above) <= allowed(until, values)
        hits += fmean(values) - below <= mean <= fmean(values) + above
    if case == "constant":
        assert hits == rounds
        return
    # Three standard errors of a share; too narrow is worse than too wide.
    error = math.sqrt(until.confidence * (1 - until.confidence) / rounds)
    assert until.confidence - 3 * error <= hits / rounds <= until.confidence + 4 * error


def allowed(until: Until, values: Sequence[float]) -> float:
    if until.absolute_error is not None:
        return until.absolute_error
    assert until.relative_error is not None
    return until.relative_error * fmean(values)


def test_a_bootstrap_rule_ends() -> None:
    until = Until("x", 0.95, relative_error=0.2, method="bootstrap")
    values = sample(lambda source: source.expovariate(1), until, 10, random.Random(3))
    assert max(half_widths(values, method="bootstrap")) <= 0.2 * fmean(values)


def test_more_repetitions() -> None:
    rule = Repeat(3, 10, Until("x", relative_error=0.1))
    assert more_repetitions(Repeat(3, 3), [None] * 3) == 0
    # A run that says nothing is one less.
    assert more_repetitions(rule, [{"x": 1.0}, None, {"x": 1.0}]) == 1
    assert more_repetitions(rule, [{"x": 1.0}, None, {"x": 1.0}, {"x": 1.0}]) == 0
    # All that the pilot asks for at once, but never more than the rule allows.
    assert more_repetitions(rule, [{"x": 1.0}, {"x": 2.0}, {"x": 3.0}]) == 7
    assert more_repetitions(rule, [None] * 9) == 1
    assert more_repetitions(rule, [None] * 10) == 0
    # Another type, a number that is none, no such metric.
    assert more_repetitions(rule, [{"x": "1"}, {"x": math.nan}, {}]) == 3
    # A mean of 0 has no relative error.
    assert more_repetitions(rule, [{"x": -1.0}, {"x": 0.0}, {"x": 1.0}]) == 1

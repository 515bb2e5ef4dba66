"""Delay distributions: what their words mean, what is wrong with them and where, what the simulation gets of them."""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qemunet.errors import PlanError, TopologyError
from qemunet.plan import Plan, make_plan, plan_from_json, plan_to_json
from qemunet.plan.delays import MOST_VALUES
from qemunet.plan.model import DelayPart
from qemunet.topology import parse_topology
from qemunet.topology.delays import LONGEST_NS, Mixture, Normal, Uniform, parse_delay
from qemunet.topology.problems import PartError

MS = 1_000_000
Z99 = NormalDist().inv_cdf(0.99)
BEFORE = "link a b wire delay="


def plan_of(delay: str, directory: Path | None = None) -> Plan:
    text = f"node a qemu\nnode b qemu\n{BEFORE}{delay}"
    return make_plan(parse_topology(text, name="net.txt"), seed=1, source_directory=directory)


def parts_of(delay: str, directory: Path | None = None) -> tuple[tuple[DelayPart, ...], ...]:
    (link,) = plan_of(delay, directory).simulation.links
    return tuple(impairments.delay_parts for impairments in link.impairments)


def test_each_direction_has_its_own() -> None:
    (link,) = plan_of("normal(mean=12.6ms, p99=26.1ms, min=1ms)/5ms").simulation.links
    there, back = link.impairments
    (part,) = there.delay_parts
    assert (part.kind, part.first, part.min_ns, part.max_ns) == ("normal", 12.6 * MS, MS, LONGEST_NS)
    assert part.second == pytest.approx(13.5 * MS / Z99)
    assert (back.delay_ns, back.delay_parts) == (5 * MS, ())


def test_words() -> None:
    assert parse_delay("20ms") == 20 * MS
    assert parse_delay(" uniform( 5ms ,10ms ) ") == Uniform(5 * MS, 10 * MS)
    assert parse_delay("normal(std=1ms,mean=5ms,max=7ms)") == Normal(5 * MS, MS, 0, 7 * MS)
    assert parse_delay("mixture(9:5ms, 1:uniform(1ms, 2ms))") == Mixture(((9, 5 * MS), (1, Uniform(MS, 2 * MS))))


@pytest.mark.parametrize("spread", ["std=4ms", "p99=30ms"])
@pytest.mark.parametrize("middle", ["mean=10ms", "median=10ms"])
def test_a_lognormal_has_the_moments_that_were_asked_for(middle: str, spread: str) -> None:
    distribution = parse_delay(f"lognormal({middle}, {spread})")
    assert isinstance(distribution, Normal)
    mu, sigma = distribution.mean, distribution.std
    mean = math.exp(mu + sigma**2 / 2)
    says = {
        "mean": mean,
        "median": math.exp(mu),
        "std": mean * math.sqrt(math.exp(sigma**2) - 1),
        "p99": math.exp(mu + Z99 * sigma),
    }
    for words in (middle, spread):
        key, value = words.removesuffix("ms").split("=")
        assert says[key] == pytest.approx(float(value) * MS)


def test_mixtures_are_flattened_and_weights_add_up() -> None:
    parts, _ = parts_of("mixture(50%:mixture(1:1ms,3:2ms), 50%:normal(mean=5ms, std=1ms))")
    assert [(part.kind, part.weight, part.first) for part in parts] == [
        ("uniform", 0.125, MS),
        ("uniform", 0.375, 2 * MS),
        ("normal", 0.5, 5 * MS),
    ]


def test_values_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "my values").write_text("# measured\n12ms\n\n1.5ms 0.5  # rare\n12ms 0.5\n")
    ((part,), _) = parts_of("empirical(my values)", tmp_path)
    assert (part.kind, part.values_ns, part.weights) == ("values", (1_500_000, 12 * MS), (0.25, 0.75))
    (tmp_path / "even").write_text("2ms\n1ms\n")
    parts, _ = parts_of("mixture(10%:5ms, 90%:empirical(even))", tmp_path)
    assert parts[1] == DelayPart("values", 0.9, values_ns=(MS, 2 * MS))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no file"),
        ("", "has no values"),
        ("1ms\n2\n", r":2: has no unit"),
        ("1ms 0\n", r":1: '0' is not a weight"),
        ("1ms 1 1\n", r":1: a line has a time and perhaps its weight"),
        ("".join(f"{n}ns\n" for n in range(MOST_VALUES + 1)), "different values"),
        ("# " + "x" * (5 << 20), "more than 4 MiB"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_file_of_values_that_cannot_be_used(tmp_path: Path, content: str | bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "v").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PlanError) as caught:
        plan_of("1ms/empirical(v)", tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith("net.txt:3:15: delay of wire a-b: ")
    assert re.search(says, problem)


@pytest.mark.parametrize(
    ("delay", "at", "says"),
    [
        ("uniform(1ms, 2ms)/normal(mean=1ms, sdt=2ms)", "sdt", "did you mean 'std'?"),
        ("5ms/nromal(mean=1ms)", "nromal", "did you mean 'normal'?"),
        ("gauss(1ms)", "gauss", "there are uniform, normal, lognormal"),
        ("uniform(5ms)", "5ms", "not 1"),
        ("uniform(2ms, 1ms)", "1ms", "the least time first"),
        ("uniform(1ms, 2)", "2)", "has no unit"),
        ("normal(5ms, 1ms)", "5ms", "keys are mean, std"),
        ("normal(mean=5ms)", "mean", "needs std= or p99="),
        ("normal(std=5ms)", "std", "needs mean="),
        ("normal(mean=5ms, std=1ms, p99=9ms)", "9ms", "not both"),
        ("normal(mean=5ms, mean=1ms)", "mean=1", "given twice"),
        ("normal(mean=5ms, p99=1ms)", "1ms", "less than mean=5ms"),
        ("normal(mean=5ms,std=1ms,min=9ms,max=8ms)", "8ms", "nothing lies between min=9ms and max=8ms"),
        ("normal(mean=5ms,std=0ms,max=4ms)", "4ms", "only 0 % of the draws"),
        ("normal(mean=5ms,std=1ms,min=9ms)", "9ms", "at least 1 % must"),
        ("lognormal(median=5ms,std=1ms,max=1ms)", "1ms)", "at least 1 % must"),
        ("lognormal(mean=0ms,std=1ms)", "0ms", "above 0"),
        ("lognormal(mean=10ms,p99=200ms)", "200ms", "14.97 times"),
        ("mixture(90%:5ms,5%:1ms)", "90%", "add up to 95 %"),
        ("mixture(5ms)", "5ms", "WEIGHT:DELAY"),
        ("mixture(1:5ms,0:1ms)", "0:1ms", "not a weight"),
        ("mixture(1:5ms,1:uniform(1ms,x))", "x))", "not a time"),
        ("mixture(1:mixture(1:mixture(1:mixture(1:mixture(1:1ms)))))", "1:1ms", "more than 4 deep"),
        ("empirical()", ")", "needs the path"),
        ("normal", "normal", "neither a time nor a distribution"),
        ("normal(mean=1ms,std=1ms)x", "normal", "neither a time nor a distribution"),
    ],
)
def test_mistakes_are_told_at_their_place_in_the_value(delay: str, at: str, says: str) -> None:
    with pytest.raises(TopologyError) as caught:
        plan_of(delay)
    (problem,) = caught.value.problems
    assert problem.startswith(f"net.txt:3:{len(BEFORE) + delay.index(at) + 1}: "), problem
    assert says in problem


def test_places_are_right_behind_quotes_and_parameters() -> None:
    text = "param d = normal(mean=1ms,sd=1ms)\nnode a qemu\nnode b qemu\nlink a b delay='1ms'/${d} rate=x"
    with pytest.raises(TopologyError) as caught:
        parse_topology(text, name="net.txt")
    assert [problem.split(": ")[0] for problem in caught.value.problems] == ["net.txt:4:22", "net.txt:4:27"]


def test_only_a_wire_draws_delays() -> None:
    with pytest.raises(TopologyError, match="only a wire draws delays from a distribution"):
        parse_topology("node a qemu\nnode b qemu\nlink a b csma delay=uniform(1ms,2ms)")


def test_a_plan_with_distributions_survives_json(tmp_path: Path) -> None:
    (tmp_path / "v").write_text("1ms\n2ms 3\n")
    plan = plan_of("mixture(1:empirical(v),1:uniform(1ms,2ms))/lognormal(median=2ms,std=1ms)", tmp_path)
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


@pytest.mark.parametrize(
    ("delay", "mean_ms"),
    [
        ("normal(mean=12.6ms, p99=26.1ms, min=1ms)", 12.92),
        ("normal(mean=10ms, std=5ms, min=8ms, max=12ms)", 10),
        ("normal(mean=10ms, std=0ms)", 10),
        ("lognormal(mean=10ms, std=4ms)", 10),
        ("lognormal(median=10ms, p99=20ms, min=10ms)", 12.903),
        ("uniform(1ms, 4ms)", 2.5),
        ("mixture(3:2ms, 1:uniform(1ms, 3ms))", 2),
    ],
)
def test_the_plan_knows_the_mean(delay: str, mean_ms: float) -> None:
    (link,) = plan_of(delay).simulation.links
    assert link.impairments[0].delay_ns == pytest.approx(mean_ms * MS, rel=0.001)


def test_the_mean_of_a_lognormal_that_is_cut_off_is_that_of_its_draws() -> None:
    (link,) = plan_of("lognormal(median=10ms, p99=20ms, min=10ms)").simulation.links
    generator = random.Random(1)
    draws = [generator.lognormvariate(math.log(10), math.log(2) / Z99) for _ in range(100_000)]
    inside = [draw for draw in draws if draw >= 10]
    assert link.impairments[0].delay_ns == pytest.approx(sum(inside) / len(inside) * MS, rel=0.005)


TIMES = st.integers(0, 10**10).map(lambda ns: f"{ns}ns")


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    weights = st.sampled_from(["1", "0.5", "10%", "0", "x", ""])
    part = st.tuples(weights, inner).map(":".join)
    keys = st.sampled_from(["mean", "median", "std", "p99", "min", "max", "x"])
    named = st.lists(st.tuples(keys, inner).map("=".join), max_size=5).map(",".join)
    name = st.sampled_from(["uniform", "normal", "lognormal", "mixture", "empirical", "f"])
    inside = st.one_of(named, st.lists(inner, max_size=3).map(",".join), st.lists(part, max_size=3).map(",".join))
    return st.tuples(name, inside).map(lambda pair: f"{pair[0]}({pair[1]})")


@given(st.recursive(TIMES | st.text("abn(),:=0 ms.%", max_size=8), calls, max_leaves=12))
@settings(max_examples=400)
def test_any_text_is_a_delay_or_a_mistake_inside_it(text: str) -> None:
    offset = 0
    try:
        parse_delay(text)
    except PartError as error:
        offset = error.offset
    except ValueError:
        pass
    assert 0 <= offset <= len(text)


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 2 * 10**9), st.integers(0, 2 * 10**9))
@settings(max_examples=100)
def test_the_share_inside_bounds_is_what_draws_show(mean: int, std: int, low: int, width: int) -> None:
    distribution = Normal(mean, std, low, low + width)
    generator = random.Random(1)
    inside = sum(low <= generator.gauss(mean, std) <= low + width for _ in range(2000)) / 2000
    assert distribution.share_inside() == pytest.approx(inside, abs=0.06)

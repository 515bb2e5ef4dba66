from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemunet.batch.model import Repeat, Retry, Until
from qemunet.batch.space import Quantity, Range, Sample, Scale, run_seed
from qemunet.batch.sweep import read_sweep
from qemunet.errors import SweepError
from qemunet.results.conditions import Condition
from qemunet.topology.problems import PartError
from qemunet.units import parse_rate_bps, parse_size_bytes, parse_time_ns

HEAD = "topology: t.txt\nexperiment: e.py\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "t.txt").touch()
    (tmp_path / "e.py").touch()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(HEAD + text)
    return path


def mistakes(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(SweepError) as caught:
        read_sweep(path)
    return [line.removeprefix(f"{path}:") for line in caught.value.problems]


def test_the_example_of_the_documentation(folder: Path) -> None:
    sweep = read_sweep(
        write(
            folder,
            """\
parameters:
  N: [2, 4, 8, 16, 32]
  rate_pps: {from: 5000, to: 80000, steps: 9, scale: log}
repeat: {min: 5, max: 30, until: {metric: delivered_pps, confidence: 0.95, relative_error: 0.05}}
seed: 1
order: random
timeout_s: 300
""",
        )
    )
    assert sweep.topology == str(folder / "t.txt")
    assert sweep.experiment == folder / "e.py"
    assert sweep.names == ("N", "rate_pps")
    assert len(sweep.points) == 45
    assert [point["rate_pps"] for point in sweep.points[:9]] == [
        *("5000", "7071", "10000", "14142", "20000", "28284", "40000", "56569", "80000")
    ]
    assert sweep.repeat == Repeat(5, 30, Until("delivered_pps", 0.95, 0.05))
    assert (sweep.seed, sweep.order, sweep.timeout_s, sweep.jobs, sweep.retry) == (1, "random", 300, None, Retry())


def test_shipped_sweeps() -> None:
    for path in (Path(__file__).parents[2] / "experiments").glob("*.yaml"):
        assert read_sweep(path).points


def test_nothing_but_the_sources(folder: Path) -> None:
    sweep = read_sweep(write(folder, ""))
    assert sweep.points == ({},)
    assert (sweep.repeat, sweep.order) == (Repeat(), "grid")
    assert read_sweep(write(folder, "repeat: 3\njobs: auto\nretry: {host: 0}\n")).repeat == Repeat(3, 3)


def test_what_goes_together(folder: Path) -> None:
    sweep = read_sweep(
        write(
            folder,
            """\
parameters: {kind: container, N: {from: 2, to: 6, step: 2}}
zip:
  - {a: [1, 2], b: [x, y]}
exclude: ["N == 4 and b == 'y'", "a * N > 11"]
""",
        )
    )
    assert [tuple(point.values()) for point in sweep.points] == [
        ("container", "2", "1", "x"),
        ("container", "2", "2", "y"),
        ("container", "4", "1", "x"),
        ("container", "6", "1", "x"),
    ]


@pytest.mark.parametrize("method", ["random", "latin-hypercube"])
def test_samples(folder: Path, method: str) -> None:
    text = f"""\
sample:
  method: {method}
  count: 50
  parameters: {{delay: {{from: 1ms, to: 50ms}}, load: {{from: 0.1, to: 10, scale: log}}, kind: [a, b]}}
"""
    sweep = read_sweep(write(folder, text))
    assert len(sweep.points) == 50
    assert sweep == read_sweep(write(folder, text))
    assert sweep.points != read_sweep(write(folder, f"{text}seed: 2\n")).points
    assert all(1 <= int(point["delay"].removesuffix("ms")) <= 50 for point in sweep.points)
    assert all(0.1 <= float(point["load"]) <= 10 for point in sweep.points)
    if method == "latin-hypercube":
        assert_each_part_is_hit([(math.log10(float(point["load"])) + 1) / 2 for point in sweep.points])
        assert sorted(int(point["delay"].removesuffix("ms")) for point in sweep.points) == list(range(1, 51))
        assert [point["kind"] for point in sweep.points].count("a") == 25


def test_every_mistake_at_once(folder: Path) -> None:
    found = mistakes(
        folder,
        """\
paramters: {}
parameters:
  9a: 1
  N: [2, 2]
  r: {from: 1ms, to: 5s, steps: 3}
  q: {from: 1, to: 5}
  w: {from: 0, to: 5, steps: 3, scale: logg}
  x: {from: no, to: 5, steps: three}
zip: [{a: [1, 2], b: [1]}]
exclude: [M > 3, N >, N ** 2 > 9]
repeat: {min: 5, max: 3, until: {metric: m}}
order: rand
timeout_s: -1
retry: {gest: 1}
jobs: 0
""",
    )
    assert found == [
        "3:1: 'paramters' is no key of a sweep; did you mean 'parameters'?",
        "5:3: '9a': a parameter's name has letters, digits and _ and does not begin with a digit",
        "6:10: N has the value '2' twice (repeat: N runs a point N times)",
        "7:6: r: from has the unit 'ms' and to 's'; use one",
        "8:6: the range of q has one of steps (how many values) and step (how far apart)",
        "9:40: scale 'logg' is not lin or log; did you mean 'log'?",
        "10:13: from: 'no' is no number; such as 5000, 0.5 or 20ms",
        "10:31: steps is a whole number of at least 1",
        "11:22: b has 1 values and a 2; what is zipped has as many",
        "12:11: M is no parameter of the sweep; there are N, r, q, w, x, a, b",
        "12:18: this is no condition: invalid syntax",
        "12:23: a condition has comparisons, and, or, not, in, + - * / // %, numbers, texts in quotes, lists and names",
        "13:9: repeat has max 3 below min 5",
        "13:33: until has one of relative_error and absolute_error",
        "14:8: order: 'rand' is not grid or random; did you mean 'random'?",
        "15:12: timeout_s: '-1' is not a number of seconds above 0",
        "16:9: 'gest' is no key of retry; did you mean 'guest'?",
        "17:7: jobs: '0' is not a whole number from 1 to 10000, nor auto",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("parameters: {N: []}\n", "3:17: N is an empty list; a parameter is a value, a list, or a range {from, to, steps}"),
        ("parameters: {a: 1}\nzip: [{a: [1]}]\n", "4:8: parameter a is given twice"),
        ("parameters: {N: {from: 1, to: 3, steps: 9, integer: yes}}\n", "3:17: N: 9 whole numbers do not fit there: some fall together; take fewer steps"),
        ("parameters: {N: {from: 0, to: 9, steps: 3, scale: log}}\n", "3:17: N: scale: log needs ends above 0"),
        ("parameters: {N: {from: 1, to: 9, step: -1}}\n", "3:17: N: a step of -1 does not lead from 1 to 9"),
        ("parameters: {N: {from: 1, to: 9e9, step: 1}}\n", "3:17: N has 9,000,000,000 values; at most 1,000,000 are taken"),
        ("parameters: {a: {from: 1, to: 2000, step: 1}, b: {from: 1, to: 501, step: 1}}\n", "1:1: 1,002,000 runs (at most) are planned; a batch may have 1,000,000"),
        ("parameters: {N: [1, 2]}\nexclude: N > 0\n", "4:10: every point is excluded; nothing is left to run"),
        ("parameters: {N: [1, x]}\nexclude: [N > 0]\n", "4:11: exclude cannot be told for N=x: N > 0: '>' not supported between instances of 'str' and 'int'"),
        ("repeat: {min: 2, max: 5}\n", "3:9: repeat has max, but no rule (until) by which a point has enough before that"),
        ("sample: {count: 5}\n", "3:9: sample has no parameters: what is drawn"),
        ("parameters: &a {N: 1}\n", "3:13: anchor &a: a sweep has no anchors; remove it"),
        ("seed: 1\nseed: 2\n", "4:1: key 'seed' is given twice, first in line 3"),
    ],
)  # fmt: skip
def test_one_mistake(folder: Path, text: str, found: str) -> None:
    assert mistakes(folder, text) == [found]


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "pair.txt").touch()
    path = tmp_path / "s.yaml"
    path.write_text("topology: pari.txt\n")
    with pytest.raises(SweepError) as caught:
        read_sweep(path)
    assert list(caught.value.problems) == [
        f"{path}:1:1: experiment is missing; it names an experiment script (*.py)",
        f"{path}:1:11: topology 'pari.txt': there is no file {tmp_path}/pari.txt; did you mean 'pair.txt'?",
    ]
    with pytest.raises(SweepError, match="No such file"):
        read_sweep(tmp_path / "none.yaml")
    path.write_text("topology: topohub:topozoo/Abilene\nexperiment: pair.txt\n")
    assert read_sweep(path).topology == "topohub:topozoo/Abilene"


numbers = st.floats(-1e9, 1e9).map(lambda value: float(f"{value:.6g}"))


@given(first=numbers, last=numbers, steps=st.integers(2, 50))
def test_linear_ranges(first: float, last: float, steps: int) -> None:
    values = [float(text) for text in Range(Quantity(first), Quantity(last), steps=steps).values()]
    assert len(values) == steps
    assert (values[0], values[-1]) == (first, last)
    assert values == sorted(values, reverse=last < first)


@given(first=st.integers(1, 10**6), factor=st.integers(2, 10**6), steps=st.integers(2, 50))
def test_logarithmic_ranges_of_whole_numbers(first: int, factor: int, steps: int) -> None:
    last = first * factor
    texts = Range(Quantity(first, whole=True), Quantity(last, whole=True), "log", steps).values()
    assert (texts[0], texts[-1]) == (str(first), str(last))
    assert len(set(texts)) == steps
    for index, text in enumerate(texts):
        exact = first * (last / first) ** (index / (steps - 1))
        assert abs(float(text) - exact) <= 0.5 + 1e-9 * exact


def test_numbers_are_as_a_user_types_them() -> None:
    assert Range(Quantity(0.1), Quantity(0.7), step=0.1).values() == ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]
    assert Range(Quantity(10, "ms", True), Quantity(20, "ms", True), steps=3).values() == ["10ms", "15ms", "20ms"]
    assert Range(Quantity(0, whole=True), Quantity(1, whole=True), steps=3).values() == ["0", "0.5", "1"]


@given(
    unit=st.sampled_from(["ns", "us", "ms", "s", "bps", "kbps", "Mbps", "Gbps", "B", "KiB", "MiB", "GiB"]),
    first=st.integers(1, 1000),
    last=st.integers(1, 1000),
    scale=st.sampled_from(["lin", "log"]),
    share=st.floats(0, 1, exclude_max=True),
)
def test_numbers_with_units_are_no_finer_than_topologies_take(
    unit: str, first: int, last: int, scale: Scale, share: float
) -> None:
    parse = parse_size_bytes if unit[-1] == "B" else parse_rate_bps if unit.endswith("bps") else parse_time_ns
    spread = Range(Quantity(first, unit, True), Quantity(last, unit, True), scale, 7, integer=False)
    for text in [*spread.values(), spread.at(share)]:
        parse(text)


def test_what_is_finer_than_topologies_take_stays_as_it_is() -> None:
    assert Range(Quantity(0.2, "ns"), Quantity(0.6, "ns"), steps=3).values() == ["0.2ns", "0.4ns", "0.6ns"]
    assert Range(Quantity(1, "Mbps"), Quantity(3, "Mbps"), "log", 4).values() == [
        *("1Mbps", "1.44225Mbps", "2.080084Mbps", "3Mbps")
    ]
    assert Range(Quantity(0.00001, "s"), Quantity(0.00003, "s"), steps=3).values() == [
        "0.00001s",
        "0.00002s",
        "0.00003s",
    ]


@given(count=st.integers(1, 40), seed=st.integers(0, 2**63 - 1))
def test_a_latin_hypercube_hits_every_part_once(count: int, seed: int) -> None:
    points = Sample("latin-hypercube", count, {"x": Range(Quantity(0.0), Quantity(1.0))}).points(seed)
    assert_each_part_is_hit([float(point["x"]) for point in points])


def assert_each_part_is_hit(shares: list[float]) -> None:
    """Numbers between 0 and 1, written with six digits."""
    for index, share in enumerate(sorted(shares)):
        assert index / len(shares) - 1e-5 <= share <= (index + 1) / len(shares) + 1e-5


def test_seeds_depend_on_the_point_alone() -> None:
    assert run_seed(1, {"a": "1", "b": "2"}, 1) == run_seed(1, {"b": "2", "a": "1"}, 1)
    seeds = {run_seed(1, {"a": str(value)}, repetition) for value in range(100) for repetition in range(100)}
    assert len(seeds) > 9990
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("N > 16 and rate >= 4e4", True),
        ("not N in [1, 2]", True),
        ("kind == 'qemu' or N % 2 == 1", False),
        ("1 < N / 4 < 16", True),
        ("-N + 32 == 0", True),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    point = {"N": "32", "rate": "40000.0", "kind": "container"}
    assert Condition(text, point).holds(point) is holds


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "N.real",
        "N[0]",
        "lambda: 1",
        "f'{N}'",
        "N if N else 1",
        "b'x'",
        "N - 2",
        "N",
        "not N",
        "N > 2 or [1]",
        "-" * 500 + "1 < N",
        "N.real > 1",
        "N.conjugate() > 1",
        "N := 1",
    ],
)
def test_conditions_have_nothing_else(text: str) -> None:
    with pytest.raises(PartError):
        Condition(text, ["N"])


@given(st.text(max_size=200))
def test_any_text_is_a_condition_or_a_mistake(text: str) -> None:
    with suppress(PartError):
        Condition(text, ["N"]).holds({"N": "1"})


@given(st.text(max_size=300))
def test_any_text_is_a_sweep_or_a_mistake(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with suppress(SweepError):
        read_sweep(path)

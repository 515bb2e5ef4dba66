"""Loading experiments, and giving every parameter to whoever declares it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qemunet.errors import ExperimentError, InputError
from qemunet.experiment import PARAMETER_NAME, load_experiment, split_parameters
from qemunet.topology.parameters import NAME as TOPOLOGY_NAME


def write(folder: Path, text: str) -> Path:
    path = folder / "e.py"
    path.write_text(text)
    return path


def test_loads_what_is_there(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "PARAMETERS = {'n': 3}\n"
        "def configure(node):\n    return 'true'\n"
        "def extend(ns, network):\n    yield\n"
        "async def experiment(bed):\n    pass\n",
    )
    experiment = load_experiment(path)
    assert (experiment.name, experiment.parameters, experiment.extend) == ("e", {"n": 3}, True)
    assert experiment.configure is not None


def test_may_import_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_the_experiment.py").write_text("x = 7\n")
    path = write(tmp_path, "from beside_the_experiment import x\nasync def experiment(bed):\n    return {'x': x}\n")
    assert load_experiment(path).name == "e"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("async def experiment(bed:\n  pass\n", "e.py:1:"),
        ("x = 1\n1 / 0\n", "e.py:2:1: does not load: ZeroDivisionError"),
        ("x = 1\n", "has no function `experiment`"),
        ("def experiment(bed):\n    pass\n", "e.py:1:1: `experiment` is not a coroutine function"),
        ("async def experiment():\n    pass\n", "takes 0 arguments"),
        ("PARAMETERS = [1]\nasync def experiment(bed):\n    pass\n", "PARAMETERS is [1]"),
        ("PARAMETERS = {'a': [1]}\nasync def experiment(bed):\n    pass\n", "parameter a has a default of type list"),
        ("PARAMETERS = {'bad name': 3}\nasync def experiment(bed):\n    pass\n", "'bad name': a parameter's name"),
        ("configure = 3\nasync def experiment(bed):\n    pass\n", "`configure` is 3"),
    ],
)
def test_what_does_not_load_says_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        load_experiment(write(tmp_path, text))
    assert said in caught.value.message


def test_parameters_that_can_be_set(tmp_path: Path) -> None:
    parameters = {"a": "x", "b_2": 1, "_c": 0.5, "D": True, "e": None}
    path = write(tmp_path, f"PARAMETERS = {parameters}\nasync def experiment(bed):\n    pass\n")
    assert load_experiment(path).parameters == parameters


def test_every_parameter_that_cannot_be_set_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "PARAMETERS = {'a': (), '1b': {}, 'c': 1}\nasync def experiment(bed):\n    pass\n")
    with pytest.raises(ExperimentError) as caught:
        load_experiment(path)
    assert [word in caught.value.message for word in ("parameter a ", "'1b': ", "parameter 1b ", " c ")] == [
        True
    ] * 3 + [False]


def test_names_of_parameters_are_those_of_topologies() -> None:
    assert PARAMETER_NAME.pattern == TOPOLOGY_NAME.pattern


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be read"):
        load_experiment(tmp_path / "none.py")


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [(5, "7", 7), (0.5, "2", 2.0), ("5M", "7M", "7M"), (True, "no", False), (False, "1", True), (None, "x", "x")],
)
def test_a_value_takes_its_defaults_type(default: Any, text: str, value: Any) -> None:
    overrides, whole = split_parameters({"p": text}, {}, {"p": default})
    assert overrides == {}
    assert whole == {"p": value}
    assert type(whole["p"]) is type(value)


def test_the_topology_gets_the_text_as_typed() -> None:
    overrides, whole = split_parameters({"rate": "1Mbps", "n": "4"}, {"rate": "10Mbps", "n": "2"}, {"n": 2, "load": 1})
    assert overrides == {"rate": "1Mbps", "n": "4"}
    assert whole == {"rate": "1Mbps", "n": 4, "load": 1}


@pytest.mark.parametrize(
    ("given", "topology", "experiment", "said"),
    [
        ({"rat": "1"}, {"rate": "1"}, {}, "did you mean rate?"),
        ({"x": "1"}, {}, {}, "known: none"),
        ({"n": "two"}, {}, {"n": 2}, "not a whole number"),
        ({}, {"n": "3"}, {"n": 2}, "default '3' in the topology and 2 in the experiment"),
        ({"l": "1"}, {}, {"l": [1]}, "cannot be set by -p"),
    ],
)
def test_what_is_refused(
    given: dict[str, str], topology: dict[str, str], experiment: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        split_parameters(given, topology, experiment)
    assert said in caught.value.message

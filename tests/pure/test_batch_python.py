"""What ``qemunet.batch`` refuses before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import qemunet
from qemunet.errors import InputError


def test_every_mistake_of_a_sweep_is_in_the_error(tmp_path: Path) -> None:
    sweep = tmp_path / "s.yaml"
    sweep.write_text("".join(f"odd_{number}: 1\n" for number in range(30)))
    with pytest.raises(InputError, match="32 mistakes") as caught:
        qemunet.batch(sweep, runs_dir=tmp_path)
    assert "s.yaml:1:1: topology is missing" in caught.value.message
    assert "s.yaml:30:1: 'odd_29' is no key" in caught.value.message


def test_arguments_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'0' is neither a number of runs from 1 nor auto"):
        qemunet.batch({}, jobs=0, runs_dir=tmp_path)
    for name in ("a/b", "..", ""):
        with pytest.raises(InputError, match="no name of a batch directory"):
            qemunet.batch({}, name=name, runs_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []

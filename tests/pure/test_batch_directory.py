"""Which directory a batch may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from qemunet.batch.directory import refuse_foreign
from qemunet.errors import InputError


def test_runs_of_an_experiment_with_the_name_of_the_sweep_are_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "12").mkdir()
    (tmp_path / "sweep.yaml").touch()
    refuse_foreign(tmp_path)
    (tmp_path / "13").touch()
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="is no batch: it has 13, photos"):
        refuse_foreign(tmp_path)

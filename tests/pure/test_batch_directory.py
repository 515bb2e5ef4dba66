"""Which directory a batch may take, and whether its runs could begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from qemunet.batch.directory import check_inputs, refuse_foreign
from qemunet.batch.run import points_of
from qemunet.batch.sweep import read_sweep
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


def test_a_topology_that_is_wrong_late_in_the_grid(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("param k = 1\nnode a container\nnode b container\nlink a@10.0.${k}.1/24 b\n")
    (tmp_path / "e.py").write_text("async def experiment(bed):\n    pass\n")
    sweep = tmp_path / "s.yaml"
    sweep.write_text("topology: t.txt\nexperiment: e.py\nparameters: {k: {from: 1, to: 256, step: 1}}\n")
    read = read_sweep(sweep)
    with pytest.raises(InputError, match=r"10\.0\.256\.1") as caught:
        check_inputs(read, points_of(read))
    assert "seen with point 256 (k=256)" in str(caught.value.hint)
    sweep.write_text("topology: t.txt\nexperiment: e.py\nparameters:\n  k: 1\n  kk: 2\n")
    read = read_sweep(sweep)
    with pytest.raises(InputError, match=r"s\.yaml:5:3: parameter kk is declared neither .*; did you mean k\?"):
        check_inputs(read, points_of(read))

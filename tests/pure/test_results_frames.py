from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from qemunet.cli.main import main
from qemunet.errors import InputError
from qemunet.results.frames import missing_runs, point_frame, read_results, run_frame
from qemunet.results.record import RunDirectory, this_process
from tests.batches_on_disk import Made, make_batch

POINTS = [{"N": "2", "link": "wire"}, {"N": "4", "link": "csma"}]
RUNS = [
    Made(1, metrics={"pps": 100, "path": "direct"}),
    Made(1, metrics={"pps": 110, "path": "direct"}, cut=2),
    Made(1, "failed", metrics={"pps": 1}),
    Made(2, metrics={"pps": 50.5}),
    Made(2, "unfaithful", metrics={"pps": 49}),
    Made(2, None),
]


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    return make_batch(tmp_path / "runs" / "sweep", POINTS, RUNS)


def test_results_of_a_batch(batch: Path) -> None:
    results = read_results(batch)
    assert results[1] == {
        "run": 2,
        "point": 1,
        "repetition": 0,
        "parameters": {"N": "2", "link": "wire"},
        "metrics": {"pps": 110, "path": "direct"},
        "status": "passed",
        "verdict": None,
        "seed": 7,
        "directory": str(batch / "ping/2"),
        "attempts": 3,
    }
    assert [each["run"] for each in results] == [1, 2, 3, 4, 5]
    assert missing_runs(batch) == 1


def test_a_row_a_run(batch: Path) -> None:
    frame = run_frame(batch)
    assert list(frame["N"]) == [2, 2, 2, 4, 4]
    assert list(frame["pps"]) == [100, 110, 1, 50.5, 49]
    assert list(run_frame(batch, where="N > 2 and status == 'passed'")["run"]) == [4]
    with pytest.raises(InputError, match=r"--where 'M > 2'.*'M'"):
        run_frame(batch, where="M > 2")
    with pytest.raises(InputError, match="nothing but columns"):
        run_frame(batch, where="@pd.io")


def test_a_row_a_point(batch: Path) -> None:
    first, second = point_frame(batch).to_dict("records")
    assert (first["N"], first["passed"], first["failed"], first["missing"], first["pps.n"]) == (2, 2, 1, 0, 2)
    assert first["pps.mean"] == 105
    assert first["pps.low"] < 100
    assert first["pps.high"] > 110
    assert (second["passed"], second["unfaithful"], second["missing"]) == (1, 1, 1)
    assert (second["pps.mean"], second["pps.n"]) == (50.5, 1)
    assert pd.isna(second["pps.low"])
    assert list(point_frame(batch, where="link == 'csma'")["point"]) == [2]


def test_parameters_with_names_that_are_taken(tmp_path: Path) -> None:
    batch = make_batch(tmp_path / "s", [{"error": "0.1", "status": "x"}], [Made(1, metrics={"failed": 3})])
    (row,) = point_frame(batch).to_dict("records")
    assert (row["parameter.error"], row["parameter.status"], row["error"], row["passed"]) == (0.1, "x", 0, 1)
    assert row["failed.mean"] == 3
    (run,) = run_frame(batch).to_dict("records")
    assert (run["parameter.error"], run["parameter.status"], run["status"]) == (0.1, "x", "passed")


def test_plain_runs_and_several_of_both(batch: Path) -> None:
    runs = batch.parent
    for status in ("passed", "running"):
        record = {"parameters": {"load": 5, "kind": "qemu"}, "seed": 3, "process": this_process()}
        directory = RunDirectory.create(runs, "ping", record)
        if status == "passed":
            directory.end("passed", metrics={"pps": 7})
    results = read_results(runs)
    assert len(results) == 6
    plain = next(each for each in results if each["run"] is None)
    assert (plain["parameters"], plain["directory"]) == ({"load": "5", "kind": "qemu"}, str(runs / "ping" / "1"))
    assert missing_runs(runs) == 2
    assert read_results(runs / "ping" / "1") == [plain]
    assert len(point_frame(runs)) == 3


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a run"):
        read_results(tmp_path)
    with pytest.raises(InputError, match="no such directory"):
        read_results(tmp_path / "none")
    (tmp_path / "index.sqlite").write_bytes(b"no database, but long enough to be looked at as one" * 20)
    with pytest.raises(InputError, match="cannot be read as the index"):
        read_results(tmp_path)


def test_the_verb(batch: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def said(*words: str) -> tuple[bytes, str]:
        assert main(["results", str(batch), *words]) == 0
        out, err = capfdbinary.readouterr()
        return out, err.decode()

    out, err = said("--json")
    assert json.loads(out) == read_results(batch)
    assert err == "5 runs, 3 passed, 1 failed, 1 unfaithful, 1 missing\n"
    out, _ = said("--json", "--where", "pps > 100")
    assert [each["run"] for each in json.loads(out)] == [2]
    out, _ = said("--csv")
    assert [row["pps"] for row in csv.DictReader(io.StringIO(out.decode()))] == [
        "100.0",
        "110.0",
        "1.0",
        "50.5",
        "49.0",
    ]
    said("--parquet", "-o", str(tmp_path / "r.parquet"))
    assert list(pd.read_parquet(tmp_path / "r.parquet")["run"]) == [1, 2, 3, 4, 5]
    out, _ = said("--points", "--json", "--interval", "bootstrap")
    assert json.loads(out)[1]["pps.low"] is None
    out, err = said()
    assert b"110" in out
    assert "1 unfaithful" in err
    assert main(["results", str(tmp_path / "none")]) == 2
    assert main(["results", str(batch), "-o", str(tmp_path / "no" / "file")]) == 3

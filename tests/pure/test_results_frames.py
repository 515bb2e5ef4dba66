from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from qemunet.cli.main import main
from qemunet.errors import HostError, InputError
from qemunet.report.batch_data import read_batch_data
from qemunet.report.batch_page import batch_page
from qemunet.results import places
from qemunet.results.export import to_text
from qemunet.results.frames import point_frame, run_frame, table
from qemunet.results.record import RunDirectory, this_process
from qemunet.results.records import counted, read_results, read_sources
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


def missing_runs(path: Path) -> int:
    sources = read_sources(path)
    return sum(len(source.records) for source in sources) - len(counted(sources))


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
    # The failed run of point 1 has that metric, but not this one.
    assert list(run_frame(batch, where="path == 'direct' and pps > 100")["run"]) == [2]
    with pytest.raises(InputError, match="column 11: pp is no column; did you mean 'pps'"):
        run_frame(batch, where="N > 2 and pp > 2")
    for text in ("@pd.io", "N.to_csv('/tmp/x') == 1", "N - 2", "N"):
        with pytest.raises(InputError, match="--where"):
            run_frame(batch, where=text)


def test_a_row_a_point(batch: Path) -> None:
    first, second = point_frame(batch).to_dict("records")
    assert (first["N"], first["passed"], first["failed"], first["missing"], first["pps.n"]) == (2, 2, 1, 0, 2)
    assert first["pps.mean"] == 105
    assert first["pps.low"] < 100
    assert first["pps.high"] > 110
    assert (second["passed"], second["unfaithful"], second["missing"]) == (1, 1, 1)
    assert (second["pps.mean"], second["pps.n"]) == (50.5, 1)
    assert pd.isna(second["pps.low"])
    assert list(point_frame(batch, where="link == 'csma' and pps.mean > 50")["point"]) == [2]


def test_parameters_with_names_that_are_taken(tmp_path: Path) -> None:
    batch = make_batch(tmp_path / "s", [{"error": "0.1", "status": "x"}], [Made(1, metrics={"failed": 3})])
    (row,) = point_frame(batch).to_dict("records")
    assert (row["parameter.error"], row["parameter.status"], row["error"], row["passed"]) == (0.1, "x", 0, 1)
    assert row["failed.mean"] == 3
    (run,) = run_frame(batch).to_dict("records")
    assert (run["parameter.error"], run["parameter.status"], run["status"]) == (0.1, "x", "passed")


def test_plain_runs_and_several_of_both(batch: Path) -> None:
    runs = batch.parent
    for name, status in (("ping", "passed"), ("ping", "running"), ("stream", "passed")):
        record = {"parameters": {"load": 5, "kind": "qemu"}, "seed": 3, "process": this_process(), "topology": "t.txt"}
        directory = RunDirectory.create(runs, name, record)
        if status == "passed":
            directory.end("passed", metrics={"pps": 7 if name == "ping" else 1000})
    results = read_results(runs)
    assert len(results) == 7
    plain = next(each for each in results if each["run"] is None)
    assert (plain["parameters"], plain["directory"]) == ({"load": "5", "kind": "qemu"}, str(runs / "ping" / "1"))
    assert missing_runs(runs) == 2
    assert read_results(runs / "ping" / "1") == [plain]
    # A batch may have plain runs beside its own; they are theirs who ask for what is above it.
    beside = RunDirectory.create(
        runs, "sweep", {"parameters": {}, "seed": 3, "process": this_process(), "topology": "t"}
    )
    beside.end("passed", metrics={})
    assert str(beside.path) in [each["directory"] for each in read_results(runs)]
    assert len(read_results(batch)) == 5
    shutil.rmtree(beside.path)
    # Runs of different experiments are of different points, and parameters that only some have are numbers all the same.
    points = point_frame(runs, where="pps.mean > 6")
    assert list(points["source"]) == ["ping on t.txt", "stream on t.txt", "sweep", "sweep"]
    assert list(points["pps.mean"]) == [7, 1000, 105, 50.5]
    assert list(point_frame(runs, where="N > 3")["point"]) == [2]
    assert list(point_frame(runs)["N"].dropna()) == [2, 4]


def test_metrics_of_any_kind(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    odd = {"text": "not UTF-8: \udcff", "huge": 10**400, "list": [1, 2], "flag": True, "mixed": "x", "large": 2**80}
    runs = [Made(1, metrics=odd), Made(1, metrics={"mixed": 3, "large": 1})]
    batch = make_batch(tmp_path / "s", [{"N": "1"}], runs)
    assert list(point_frame(batch).filter(like="mean").columns) == ["large.mean", "mixed.mean"]
    for words in (["--json"], ["--csv"], ["--parquet", "-o", str(tmp_path / "p")], ["--points"], []):
        assert main(["results", str(batch), *words]) == 0, words
        capfdbinary.readouterr()
    frame = pd.read_parquet(tmp_path / "p")
    assert list(frame["large"]) == [str(2**80), "1"]
    assert list(frame["list"].fillna("")) == ["[1, 2]", ""]
    assert frame["text"][0] == r"not UTF-8: \udcff"


def test_a_rule_has_its_say_in_the_interval(tmp_path: Path) -> None:
    values = [1.0, 3.0, 2.0, 2.0, 2.0, 2.0]
    batch = make_batch(tmp_path / "s", [{"N": "1"}], [Made(1, metrics={"x": value}) for value in values])
    (plain,) = point_frame(batch).to_dict("records")
    with sqlite3.connect(batch / "index.sqlite") as index:
        repeat = json.dumps({"minimum": 3, "maximum": 9, "until": {"metric": "x", "method": "t"}})
        index.execute("UPDATE meta SET value = ? WHERE key = 'repeat'", (repeat,))
    index.close()
    (ruled,) = point_frame(batch).to_dict("records")
    assert ruled["x.low"] < plain["x.low"] < plain["x.mean"] == ruled["x.mean"] == 2
    page, _ = batch_page(read_batch_data(batch), tmp_path / "r.html")
    assert f"[{ruled['x.low']:.5g}, {ruled['x.high']:.5g}]" in page


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a run"):
        read_results(tmp_path)
    with pytest.raises(InputError, match="no such directory"):
        read_results(tmp_path / "none")
    (tmp_path / "index.sqlite").write_bytes(b"no database, but long enough to be looked at as one" * 20)
    with pytest.raises(InputError, match="cannot be read as the index"):
        read_results(tmp_path)
    with pytest.raises(InputError, match="is a file") as caught:
        read_results(tmp_path / "index.sqlite")
    assert str(tmp_path) in str(caught.value.hint)


def test_a_disk_that_has_no_room_for_what_a_reader_writes(batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = batch / "index.sqlite-wal"
    log.touch()
    connect = places._connect

    def full(index: Path, mode: str) -> sqlite3.Connection:
        if "immutable" in mode:
            return connect(index, mode)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
        raise error

    monkeypatch.setattr(places, "_connect", full)
    assert len(read_results(batch)) == 5
    log.write_bytes(b"what is not in the index yet")
    with pytest.raises(HostError, match="disk I/O error"):
        read_results(batch)


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
    assert said("--json", "--where", "pps > 100")[1].startswith("1 rows of 5 runs, 3 passed, ")
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
    out, _ = said()
    assert b"110" in out
    assert out.endswith(b"5 runs, 3 passed, 1 failed, 1 unfaithful, 1 missing\n")
    assert main(["results", str(tmp_path / "none")]) == 2
    assert main(["results", str(batch), "-o", str(tmp_path / "no" / "file")]) == 3


def test_a_table_for_people_has_cells_of_bounded_width() -> None:
    long = {f"{'x' * 300}{each}": each for each in "ab"}
    rows = [{"v": "z" * 300_000, "n": 10**400, "l": [1] * 99, "none": None}, {"v": "two\nlines", "d": 1.5} | long]
    head, first, second, *rest = to_text(table(rows)).decode().split("\n")
    assert rest == [""]
    assert max(map(len, (head, first, second))) < 300
    assert head.count("xxx...") == 2
    assert "zzz..." in first
    assert "two lines" in second
    assert "None" not in first + second

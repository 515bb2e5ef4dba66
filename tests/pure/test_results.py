"""Run directories and the verdict on timing."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

from qemunet.errors import HostError
from qemunet.metrics import plain
from qemunet.results.fidelity import Limits, Measured, judge, limits_from_options
from qemunet.results.record import (
    RunDirectory,
    cut_runs,
    mark_interrupted,
    read_run,
    this_process,
)


def create(runs: Path, **record: Any) -> RunDirectory:
    return RunDirectory.create(runs, "e", {"process": this_process(), **record})


def test_numbers_go_up_and_are_never_shared(tmp_path: Path) -> None:
    assert [create(tmp_path).number for _ in range(3)] == [1, 2, 3]
    code = (
        "import sys; from pathlib import Path; from qemunet.results.record import RunDirectory\n"
        "for _ in range(20): print(RunDirectory.create(Path(sys.argv[1]), 'e', {}).number)"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    numbers = [int(line) for racer in racers for line in racer.communicate(timeout=60)[0].splitlines()]
    assert sorted(numbers) == list(range(4, 84))


def test_a_running_run_of_a_living_process_reads_as_running(tmp_path: Path) -> None:
    run = create(tmp_path)
    assert read_run(run.path)["status"] == "running"
    run.end("passed", metrics={"x": 1})
    record = read_run(run.path)
    assert (record["status"], record["metrics"]) == ("passed", {"x": 1})
    assert record["ended"] >= record["started"]


def test_a_run_whose_process_is_gone_reads_as_interrupted(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from qemunet.results.record import *\n"
        "RunDirectory.create(Path(sys.argv[1]), 'e', {'process': this_process()})"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    path = tmp_path / "e" / "1"
    assert json.loads((path / "run.json").read_text())["status"] == "running"
    assert read_run(path)["status"] == "interrupted"
    create(tmp_path)  # runs on
    assert cut_runs(tmp_path) == [path]
    mark_interrupted(path)
    assert json.loads((path / "run.json").read_text())["status"] == "interrupted"
    assert cut_runs(tmp_path) == []


def test_long_and_undecodable_output(tmp_path: Path) -> None:
    run = create(tmp_path)
    raw = bytes(range(256))
    run.command(raw, output_bytes=256, node="a", command="x")
    path = run.output_path("a")
    path.write_bytes(raw)
    run.command(path, output_bytes=250, dropped_bytes=7, node="a", command="y")
    assert run.output_path("b/../c") == run.path / "outputs" / "00002-b____c.out"
    run.end("passed")
    short, long = map(json.loads, (run.path / "tasks.jsonl").read_text().splitlines())
    assert short["output"].encode("utf-8", "surrogateescape") == raw
    assert (short["output_bytes"], "cut" in short, "output_path" in short) == (256, False, False)
    assert (long["output"], long["output_path"], long["output_bytes"]) == (None, "outputs/00001-a.out", 250)
    assert (long["cut"], long["dropped_bytes"]) == (True, 7)
    assert (run.path / long["output_path"]).read_bytes() == raw


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot be written"):
        create(tmp_path / "file" / "runs")


GOOD = Measured(
    lag_p50_ns=1,
    lag_p99_ns=2,
    lag_p999_ns=3,
    lag_max_ns=4,
    events=500,
    door_frames=1000,
    door_drops=0,
    start_skews_ns=[9],
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"lag_p99_ns": Limits().lag_p99_ns + 1}, "lag p99"),
        ({"lag_p99_ns": Limits().lag_p99_ns + 1, "events": 99}, None),
        ({"lag_p50_ns": Limits().lag_p99_ns + 1, "events": 99}, "lag p50"),
        ({"lag_max_ns": Limits().lag_max_ns + 1}, "lag max"),
        ({"door_drops": 2}, "2 of 1000 frames dropped"),
        ({"start_skews_ns": [1, Limits().start_skew_ns + 1]}, "start skew"),
    ],
)
def test_verdict(change: dict[str, Any], said: str | None) -> None:
    fidelity = judge(replace(GOOD, **change), Limits())
    assert fidelity["faithful"] is (said is None)
    assert said is None or said in str(fidelity["reasons"])
    json.dumps(fidelity)


def test_metrics_are_plain() -> None:
    odd = {
        "a": numpy.float64(1.5),
        "b": [numpy.int64(3), numpy.bool_(True)],
        "c": numpy.array([[1, 2]]),
        "é\udcff": (1,),
    }
    assert plain(odd) == {"a": 1.5, "b": [3, True], "c": [[1, 2]], "é\udcff": [1]}
    assert [type(value) for value in plain([numpy.float32(2), numpy.uint8(2), True, 10**30])] == [float, int, bool, int]
    assert math.isnan(plain(numpy.float64("nan")))
    for value in (object(), {(1, 2): 3}, 10**5000):
        with pytest.raises((TypeError, ValueError)):
            plain(value)


def test_limits_from_options() -> None:
    limits = limits_from_options({"lag_p99": "5ms", "lag_max": "1s", "door_drops": "2%", "start_skew": "10us"})
    assert limits == Limits(5_000_000, 1_000_000_000, 0.02, 10_000)
    assert limits_from_options({}) == Limits()

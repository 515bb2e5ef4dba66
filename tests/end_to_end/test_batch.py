"""``qemunet batch`` from the command line: killed, interrupted, resumed, twice at once, on a full disk."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path

import pytest
import trio

from tests.end_to_end.conftest import Bench
from tests.end_to_end.soak import soak

TOPOLOGY = "option lag_max=60s\noption lag_p99=60s\nparam delay = 1ms\nnode a container\nnode b container\nlink a b delay=${delay}\n"
EXPERIMENT = """\
from qemunet import Task

PARAMETERS = {"seconds": 0.0}

async def experiment(bed):
    await bed.run(Task("ping", {"a": "ping -c 1 10.0.0.2"}))
    await bed.sleep(bed.parameters["seconds"])
    return {"value": bed.random.random()}
"""


def write(bench: Bench, parameters: str, more: str = "") -> Path:
    bench.file("t.txt", TOPOLOGY)
    bench.file("e.py", EXPERIMENT)
    return bench.file("s.yaml", f"topology: t.txt\nexperiment: e.py\nparameters: {parameters}\n{more}")


@pytest.mark.timeout(300)
def test_killed_and_resumed_again_and_again(bench: Bench) -> None:
    counts = soak(bench, runs=16, kills=3, seed=5, timeout_s=6, say=print)
    assert counts["(killed)"] >= 2
    assert sum(counts[name] for name in ("passed", "failed", "error", "unfaithful")) == 16


def test_a_batch_from_its_file_to_its_results(bench: Bench) -> None:
    sweep = write(bench, "{delay: [1ms, 5ms]}", "repeat: 2\n")
    seen = bench.qemunet("batch", sweep, "--runs-dir", bench.runs, "--dry-run")
    assert (seen.returncode, "4" in seen.stdout) == (0, True)
    assert not bench.runs.exists()
    done = bench.qemunet("batch", sweep, "--runs-dir", bench.runs, "--jobs", "2", "--json")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [(each["point"], each["parameters"]["delay"]) for each in results] == [
        *((1, "1ms"), (1, "1ms"), (2, "5ms"), (2, "5ms"))
    ]
    assert len({each["metrics"]["value"] for each in results}) == 4
    assert all((Path(each["directory"]) / "run.json").exists() for each in results)
    printed = bench.qemunet("results", bench.runs, "--json")
    assert json.loads(printed.stdout) == results
    again = bench.qemunet("batch", sweep, "--runs-dir", bench.runs)
    assert (again.returncode, "--resume" in again.stderr) == (2, True)
    assert bench.qemunet("batch", sweep, "--runs-dir", bench.runs, "--resume").returncode == 0
    write(bench, "{delay: [1ms, 6ms]}", "repeat: 2\n")
    changed = bench.qemunet("batch", sweep, "--runs-dir", bench.runs, "--resume")
    assert (changed.returncode, "parameters" in changed.stderr) == (2, True), changed.stderr
    bench.assert_nothing_left()


def test_interrupted_twice_at_once_and_resumed(bench: Bench) -> None:
    sweep = write(bench, "{seconds: [0, 30]}")
    process = bench.start_words("batch", sweep, "--runs-dir", bench.runs, "--jobs", "2")
    try:
        trio.run(wait_until_done, bench.runs / "s" / "index.sqlite", 1)
        second = bench.qemunet("batch", sweep, "--runs-dir", bench.runs, "--resume")
        assert (second.returncode, str(process.pid) in second.stderr) == (2, True), second.stderr
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    bench.assert_nothing_left()
    results = json.loads(bench.qemunet("results", bench.runs, "--json").stdout)
    assert [each["status"] for each in results] == ["passed"]
    write(bench, "{seconds: [0, 30]}")
    process = bench.start_words("batch", sweep, "--runs-dir", bench.runs, "--resume")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode in (143, -signal.SIGTERM)
    bench.assert_nothing_left()


async def wait_until_done(index: Path, runs: int) -> None:
    with trio.fail_after(60):
        while done(index) < runs:  # noqa: ASYNC110 - an index has no events
            await trio.sleep(0.05)


def done(index: Path) -> int:
    try:
        connection = sqlite3.connect(f"{index.as_uri()}?mode=ro", uri=True, timeout=10)
    except sqlite3.Error:
        return 0
    try:
        return int(connection.execute("SELECT count(*) FROM runs WHERE state = 'done'").fetchone()[0])
    except sqlite3.Error:
        return 0
    finally:
        connection.close()


def test_wrong_sweeps_are_refused_before_anything_is_written(bench: Bench) -> None:
    sweep = write(bench, "{delay: [1ms, fast], sec0nds: 1}")
    wrong = bench.qemunet("batch", sweep, "--runs-dir", bench.runs)
    assert wrong.returncode == 2
    assert "sec0nds" in wrong.stderr
    assert not bench.runs.exists()

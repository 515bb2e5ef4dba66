"""`qemunet batch` as a user runs it: refused, stopped, killed, resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Bench, wait_for
from tests.end_to_end.soak import read, soak, start

needs_tun = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)

TOPOLOGY = """\
option lag_p99=60s
option lag_max=60s
option start_skew=60s
node a container
node b container
link a b
"""

EXPERIMENT = """\
from qemunet import Task

PARAMETERS = {"text": "x", "seconds": 0}

async def experiment(bed):
    print("printed")
    done = await bed.run(Task("t", {"a": f"sleep {bed.parameters['seconds']}; echo {bed.parameters['text']}"}))
    assert done["a"].output != "wrong\\n", "it is wrong"
    return {"text": done["a"].output.strip()}
"""

SWEEP = """\
topology: t.txt
experiment: e.py
parameters:
  text: {texts}
  seconds: {seconds}
timeout_s: 60
"""


def a_sweep(bench: Bench, texts: str, seconds: int = 0) -> Path:
    bench.file("t.txt", TOPOLOGY)
    bench.file("e.py", EXPERIMENT)
    return bench.file("s.yaml", SWEEP.format(texts=texts, seconds=seconds))


def everything(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@needs_tun
def test_a_batch_from_its_sweep_to_its_results(bench: Bench) -> None:
    sweep = a_sweep(bench, "[good, wrong]")
    place = ("--runs-dir", bench.runs)
    seen = bench.qemunet("batch", sweep, *place, "--dry-run")
    assert (seen.returncode, bench.runs.exists()) == (0, False), seen.stderr
    assert "text=good seconds=0" in seen.stdout
    assert "unknown: no run has ended yet" in seen.stdout
    done = bench.qemunet("batch", sweep, *place, "--json")
    assert done.returncode == 1, done.stderr
    good, wrong = json.loads(done.stdout)
    assert (good["status"], good["metrics"], good["parameters"]) == (
        "passed",
        {"text": "good"},
        {"text": "good", "seconds": "0"},
    )
    assert (wrong["status"], wrong["point"], wrong["attempts"]) == ("failed", 2, 1)
    assert "printed\n" in (Path(good["directory"]) / "progress.log").read_text()
    assert json.loads((Path(good["directory"]) / "run.json").read_text())["batch"] == {"run": 1, "attempt": 1}
    assert (bench.runs / "s" / "sweep.yaml").read_bytes() == sweep.read_bytes()
    results = bench.qemunet("results", bench.runs, "--json")
    assert json.loads(results.stdout) == [good, wrong]
    assert results.stderr == "2 runs, 1 passed, 1 failed, 0 unfaithful, 0 missing\n"
    points = bench.qemunet("results", bench.runs / "s", "--points", "--csv", "--where", "text == 'wrong'")
    assert points.stdout.splitlines()[1].startswith("2,wrong,0,0,1,0,0,0,0")
    # It is there by now: not begun again, and gone on with only as what it was.
    again = bench.qemunet("batch", sweep, *place)
    assert (again.returncode, again.stdout) == (2, "")
    assert "--resume" in again.stderr
    before = everything(bench.runs)
    seen = bench.qemunet("batch", sweep, *place, "--dry-run")
    assert "about" in seen.stdout
    assert everything(bench.runs) == before
    a_sweep(bench, "[good, bad]")
    changed = bench.qemunet("batch", sweep, *place, "--resume")
    assert changed.returncode == 2
    assert 'parameters.text: was ["good", "wrong"], is ["good", "bad"]' in changed.stderr
    a_sweep(bench, "[good, wrong]  # the same")
    resumed = bench.qemunet("batch", sweep, *place, "--resume")
    assert (resumed.returncode, "2 of 2 runs" in resumed.stdout) == (1, True), resumed.stderr
    assert read(bench.runs / "s", "SELECT count(*) FROM attempts") == [(2,)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bench: bench.file("e.py", "async def experiment(bed:\n"), "e.py:1:"),
        (lambda bench: bench.file("t.txt", "node a container memroy=1\n"), "did you mean"),
        (lambda bench: bench.file("s.yaml", SWEEP.format(texts="[1]", seconds="[soon]")), "is not a whole number"),
        (lambda bench: bench.file("s.yaml", "topology: t.txt\nexperiment: e.py\nparameters: {txt: 1}\n"), "text"),
    ],
    ids=["experiment", "topology", "value", "name"],
)
def test_what_no_run_could_begin_with_is_refused(bench: Bench, change: Callable[[Bench], Path], message: str) -> None:
    sweep = a_sweep(bench, "[1]")
    change(bench)
    done = bench.qemunet("batch", sweep, "--runs-dir", bench.runs)
    assert (done.returncode, done.stdout, bench.runs.exists()) == (2, "", False)
    assert message in done.stderr


def running(bench: Bench, process: subprocess.Popen[str], runs: int) -> None:
    """Wait until the commands of so many runs have begun."""

    def begun() -> bool:
        assert process.poll() is None, process.communicate()
        return sum('"started"' in path.read_text() for path in bench.runs.glob("s/*/*/events.jsonl")) >= runs

    wait_for(begun, lambda: "the runs did not begin")


@needs_tun
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_batch_in_order_and_meanwhile_nobody_else_may_have_it(
    bench: Bench, number: signal.Signals, code: int
) -> None:
    sweep = a_sweep(bench, "[1, 2, 3]", 600)
    process = start(bench, sweep)
    running(bench, process, 2)
    second = bench.qemunet("batch", sweep, "--runs-dir", bench.runs, "--resume")
    assert second.returncode == 2
    assert f"in use by process {process.pid}" in second.stderr
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    rows = read(bench.runs / "s", "SELECT status, why FROM attempts")
    assert rows == [("cut", f"the batch was ended by {number.name}")] * 2
    assert read(bench.runs / "s", "SELECT state, count(*) FROM runs GROUP BY state") == [("planned", 3)]
    statuses = [json.loads(path.read_text())["status"] for path in bench.runs.glob("s/*/*/run.json")]
    assert statuses == ["interrupted"] * 2


@needs_tun
def test_the_runs_of_a_batch_that_is_killed_end_with_it(bench: Bench) -> None:
    process = start(bench, a_sweep(bench, "[1, 2]", 600))
    running(bench, process, 2)
    process.kill()
    process.communicate()
    bench.assert_nothing_left()


@needs_tun
def test_soak_in_brief(bench: Bench) -> None:
    counts = soak(bench, runs=12, kills=3, seed=1, timeout_s=12, say=print)
    assert counts["(cut)"] > 0
    assert counts["(adopted)"] > 0
    shutil.rmtree(bench.runs)


@needs_tun
def test_an_experiment_that_raises_is_no_failure_of_the_host(bench: Bench) -> None:
    sweep = a_sweep(bench, "[x]")
    bench.file("e.py", 'PARAMETERS = {"text": "", "seconds": 0}\n\nasync def experiment(bed):\n    return {3: 4}\n')
    done = bench.qemunet("batch", sweep, "--runs-dir", bench.runs)
    assert done.returncode == 1, done.stderr
    assert "experiment returned a dict with the name 3, which is no text" in done.stderr

"""The soak of batches: runs that fail, hang, crash their guests and are unfaithful at random, under a batch that is killed and resumed.

``python -m tests.end_to_end.soak --runs 200 --kills 20`` (``make soak-batch``) does it at length, ``test_batch.py`` in brief.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import MARK as MARK
from tests.end_to_end.conftest import QEMUNET, Bench, marked_processes

TOPOLOGY = """\
option lag_p99=60s
option lag_max=1.5s
option door_drops=100%
option start_skew=60s
node a container
node b container
link a b delay=100ms
"""

EXPERIMENT = """\
import os, signal
from pathlib import Path

import trio

from qemunet import Task

PARAMETERS = {"case": 1}
KINDS = ["fine"] * 14 + ["fails", "fails", "hangs", "crashes", "crashes", "late"]

def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def simulator():
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            pid = int(entry.name)
            if b"qemunet.simulation.worker" not in (entry / "cmdline").read_bytes():
                continue
            while pid > 1 and pid != os.getpid():
                pid = parent(pid)
            if pid == os.getpid():
                return int(entry.name)
        except OSError:
            continue

async def experiment(bed):
    kind = bed.random.choice(KINDS)
    bed.record("kind", kind)
    await bed.run(Task("ping", {"a": "ping -c 1 10.0.0.2"}))
    match kind:
        case "fails":
            assert False, "as it happens"
        case "hangs":
            await bed.run(Task("hang", {"b": "sleep 600"}))
        case "crashes":
            await bed.guests["b"].run("poweroff -f")
        case "late":
            # The simulator stands still while frames are on their way.
            await bed.guests["a"].run("ping -i 0.02 -c 400 10.0.0.2 >/dev/null 2>&1 &")
            pid = simulator()
            await bed.sleep(0.3)
            os.kill(pid, signal.SIGSTOP)
            try:
                await trio.sleep(2.5)
            finally:
                os.kill(pid, signal.SIGCONT)
            await bed.sleep(0.5)
    return {"value": bed.random.random()}
"""

SWEEP = """\
topology: soak.txt
experiment: soak_experiment.py
parameters:
  case: [{cases}]
repeat: {repeat}
seed: {seed}
order: random
timeout_s: {timeout_s}
"""

EXPECTED = {"fine": "passed", "fails": "failed", "hangs": "failed", "crashes": "error", "late": "unfaithful"}
_DEADLINE_S = 3600.0


def soak(
    bench: Bench, *, runs: int, kills: int, seed: int, timeout_s: float, say: Callable[[str], None]
) -> Counter[str]:
    """Run the batch to its end, kill after kill, and check what is left; returns how many results of which status.

    Args:
        bench: Where.
        runs: How many, over cases of four repetitions.
        kills: How many times the batch is killed.
        seed: Of the instants, and of the runs.
        timeout_s: Of each run.
        say: Takes news.
    """
    rng = random.Random(seed)
    cases = ", ".join(str(case) for case in range(1, runs // 4 + 1))
    bench.file("soak.txt", TOPOLOGY)
    bench.file("soak_experiment.py", EXPERIMENT)
    sweep = bench.file("soak.yaml", SWEEP.format(cases=cases, repeat=4, seed=seed, timeout_s=f"{timeout_s:g}"))
    batch = bench.runs / "soak"
    forgotten = 0
    mean = runs / (kills + 1)
    for kill in range(kills):
        process = start(bench, sweep)
        wanted = done(batch) + rng.randint(0, int(1.6 * mean))
        end_s = time.monotonic() + _DEADLINE_S
        while process.poll() is None and done(batch) < wanted and time.monotonic() < end_s:
            time.sleep(0.05)  # between two looks
        at_s = time.monotonic() + rng.uniform(0, 4)
        while process.poll() is None and time.monotonic() < at_s:
            time.sleep(0.01)
        assert process.poll() is None, f"the batch ended before kill {kill + 1}: {process.communicate()}"
        process.kill()
        process.communicate()
        say(f"kill {kill + 1} of {kills}: {done(batch)} of {runs} runs done")
        if kill % 2:  # otherwise the next one finds runs that are still ending
            bench.assert_nothing_left()
        if kill % 3 == 2:
            forgotten += forget_last(batch)
    process = start(bench, sweep)
    out, err = process.communicate(timeout=_DEADLINE_S)
    bench.assert_nothing_left()
    return check(batch, process.returncode, json.loads(out), runs=runs, kills=kills, forgotten=forgotten, err=err)


def start(bench: Bench, sweep: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*QEMUNET, "batch", str(sweep), "--runs-dir", str(bench.runs), "--resume", "--jobs", "2", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=bench.directory,
        start_new_session=True,
        env={**os.environ, MARK: bench.mark},
    )


def read(batch: Path, query: str) -> list[tuple[Any, ...]]:
    """Read the index beside whoever writes it."""
    connection = sqlite3.connect(f"{(batch / 'index.sqlite').as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def done(batch: Path) -> int:
    """How many runs have their result."""
    try:
        return int(read(batch, "SELECT count(*) FROM runs WHERE state = 'done'")[0][0])
    except sqlite3.Error:
        return 0  # it is not planned yet


def forget_last(batch: Path) -> int:
    """Take the row of the last ended attempt out of the index, as a power cut may; its directory stays."""
    with sqlite3.connect(batch / "index.sqlite", timeout=30) as connection:
        rows = connection.execute(
            "SELECT run, attempt FROM runs JOIN attempts USING (run, attempt) WHERE state = 'done' ORDER BY ended DESC LIMIT 1"
        ).fetchall()
        for row in rows:
            connection.execute("DELETE FROM attempts WHERE run = ? AND attempt = ?", row)
            connection.execute("UPDATE runs SET state = 'running', attempt = NULL WHERE run = ?", row[:1])
    connection.close()
    return len(rows)


def check(
    batch: Path, status: int, results: list[dict[str, Any]], *, runs: int, kills: int, forgotten: int, err: str
) -> Counter[str]:
    """Whether every run has one result, and the index tells of every directory."""
    assert read(batch, "SELECT count(*) FROM runs") == [(runs,)]
    assert read(batch, "SELECT count(*) FROM runs WHERE state = 'done'") == [(runs,)], err
    assert [result["run"] for result in results] == sorted({result["run"] for result in results})
    assert len(results) == runs
    attempts = {
        (run, attempt): (directory, state)
        for run, attempt, directory, state in read(batch, "SELECT run, attempt, directory, status FROM attempts")
    }
    assert {state for _, state in attempts.values()} <= {"passed", "failed", "error", "unfaithful", "cut"}
    by_directory = {directory: key for key, (directory, _) in attempts.items() if directory is not None}
    assert len(by_directory) == sum(directory is not None for directory, _ in attempts.values())
    for path in batch.glob("*/*/run.json"):
        record = json.loads(path.read_text())
        key = record["batch"]["run"], record["batch"]["attempt"]
        assert by_directory[str(path.parent.relative_to(batch))] == key
        assert attempts[key][1] in (record["status"], "cut"), (path, attempts[key])
    for result in results:
        record = json.loads((Path(result["directory"]) / "run.json").read_text())
        assert (record["status"], record["seed"]) == (result["status"], result["seed"])
        expected = EXPECTED[record["metrics"]["kind"]]
        # A machine busy with other things makes others unfaithful as well, and says so.
        assert result["status"] in (expected, "unfaithful"), result
        if result["status"] == "error":
            assert record["error"]["layer"] == "guest"
    counts = Counter(result["status"] for result in results)
    tries = Counter(run for (run, _), (_, state) in attempts.items() if state != "cut")
    for result in results:
        assert tries[result["run"]] >= {"error": 2, "unfaithful": 3}.get(result["status"], 1)
    cut = sum(state == "cut" for _, state in attempts.values())
    assert status == next((code for name, code in (("error", 4), ("unfaithful", 5), ("failed", 1)) if counts[name]), 0)
    assert not list(batch.glob(".*.log"))
    counts["(cut)"], counts["(adopted)"], counts["(attempts)"] = cut, forgotten, len(attempts)
    return counts


def main() -> int:
    """Run the soak at length."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="qemunet-soak-") as directory:
        bench = Bench(Path(directory))
        counts = soak(
            bench,
            runs=arguments.runs,
            kills=arguments.kills,
            seed=arguments.seed,
            timeout_s=20,
            say=lambda text: print(f"[{time.monotonic() - start_s:7.1f} s] {text}", flush=True),
        )
        assert not set(marked_processes(bench.mark))
    print(f"soak-batch: all {arguments.runs} runs have one result: {dict(counts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

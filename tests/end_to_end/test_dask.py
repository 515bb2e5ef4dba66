"""Runs on a Dask cluster: the same results as here, also when a worker is killed, and nothing is left anywhere."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from qemunet.batch import remote
from qemunet.batch.dask import DaskExecutor, open_dask
from qemunet.batch.model import Attempt, Job, PlannedRun

from .conftest import DEADLINE_S, MARK, Bench, wait_for

pytestmark = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)

# A busy machine is not what is tested.
TOPOLOGY = "option lag_p99=5s lag_max=10s start_skew=5s\nnode a container\nnode b container\nlink a b delay=empirical(delays.txt)\n"

HELPER = "def command(count):\n    return f'ping -c {count} -w 5 10.0.0.2'\n"

EXPERIMENT = """\
import helper

PARAMETERS = {"count": 1, "fill": 0}

async def experiment(bed):
    done = await bed.guests["a"].succeed(helper.command(bed.parameters["count"]))
    (bed.directory / "fill").write_bytes(__import__("os").urandom(bed.parameters["fill"]))
    return {"received": done.count("bytes from"), "drawn": bed.random.random()}
"""

WAITS = """\
import trio

async def experiment(bed):
    open(bed.parameters["mark"], "w").close()
    await trio.sleep_forever()

PARAMETERS = {"mark": ""}
"""

SWEEP = """\
topology: t.txt
experiment: e.py
parameters: {count: [1, 2, 3]}
repeat: 2
"""


CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, resources={"qemunet": 1}, dashboard_address=None, local_directory=sys.argv[1]
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def cluster(bench: Bench) -> Iterator[str]:
    """Address of a LocalCluster of two workers, in a process of its own with whatever that leaves behind."""
    bench.file("delays.txt", "1ms\n2ms\n")
    bench.file("helper.py", HELPER)
    bench.file("t.txt", TOPOLOGY)
    bench.file("e.py", EXPERIMENT)
    bench.runs.mkdir()
    words: list[str | Path] = [sys.executable, bench.file("cluster.py", CLUSTER), bench.directory / "dask"]
    environment = {**os.environ, MARK: bench.mark}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "there is no cluster"
        yield address
        process.stdin.close()


def on(cluster: str, bench: Bench, body: Callable[[DaskExecutor], Awaitable[Any]], *, share: bool = True) -> Any:
    async def main() -> Any:
        with trio.fail_after(DEADLINE_S):
            async with open_dask(cluster, bench.runs, say=lambda text: None, share=share) as executor:
                return await body(executor)

    return trio.run(main)


def job(bench: Bench, number: int, experiment: str = "e.py", **parameters: str) -> Job:
    planned = PlannedRun(number, 1, 1, seed=number, position=number, parameters=parameters)
    return Job(planned, 1, str(bench.directory / "t.txt"), bench.directory / experiment, bench.runs, 100.0)


@pytest.mark.parametrize("share", [True, False])
def test_run_directories_come_back_whole(cluster: str, bench: Bench, share: bool) -> None:
    attempts: dict[int, Attempt] = {}
    fill = int(2.5 * remote.PIECE_BYTES)

    async def body(executor: DaskExecutor) -> None:
        assert executor.capacity == 2

        async def go(number: int, **parameters: str) -> None:
            attempts[number] = await executor.execute(job(bench, number, **parameters))

        async with trio.open_nursery() as nursery:
            for number in (1, 2):
                nursery.start_soon(go, number)
        await go(3, fill=str(fill))
        await go(4, count="none")

    on(cluster, bench, body, share=share)
    assert [attempts[number].exit_status for number in (1, 2, 3, 4)] == [0, 0, 0, 2]
    # A wrong input: no run directory, but the reason.
    assert attempts[4].directory is None
    assert "none" in attempts[4].why
    for number in (1, 2, 3):
        directory, record = attempts[number].directory, attempts[number].record
        assert directory is not None
        assert record is not None
        assert record["directory"] == str(directory)
        assert (record["batch"], record["number"]) == ({"run": number, "attempt": 1}, int(directory.name))
        assert record["topology"] == str(bench.directory / "t.txt")
        assert json.loads((directory / "run.json").read_text()) == record
        assert (directory / "console" / "a.log").exists()
        assert "run directory" in (directory / "progress.log").read_text()
    assert (attempts[3].directory / "fill").stat().st_size == fill  # type: ignore[operator]
    assert sorted(path.name for path in bench.runs.iterdir()) == ["e"]


def test_a_cancelled_run_is_ended_first(cluster: str, bench: Bench) -> None:
    mark = bench.directory / "mark"
    bench.file("waits.py", WAITS)

    async def body(executor: DaskExecutor) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(executor.execute, job(bench, 1, "waits.py", mark=str(mark)))
                await trio.to_thread.run_sync(wait_for, mark.exists, lambda: "the run has not begun")
                scope.cancel()
        assert json.loads((bench.runs / "waits" / "1" / "run.json").read_text())["status"] == "interrupted"

    on(cluster, bench, body)


def test_kill_9_of_the_batch_ends_its_runs_there(cluster: str, bench: Bench) -> None:
    mark = bench.directory / "mark"
    bench.file("waits.py", WAITS)
    sweep = bench.file("sweep.yaml", f"topology: t.txt\nexperiment: waits.py\nparameters: {{mark: {mark}}}\n")
    batch = bench.start_words("batch", sweep, "--runs-dir", bench.runs, "--dask", cluster)
    wait_for(mark.exists, lambda: "the run has not begun")
    batch.kill()
    batch.communicate()
    record = bench.runs / "sweep" / "waits" / "1" / "run.json"
    wait_for(lambda: json.loads(record.read_text())["status"] == "interrupted", lambda: "the run goes on")


def results_of(directory: Path) -> dict[tuple[int, str], Any]:
    with sqlite3.connect(directory / "index.sqlite") as index:
        rows = index.execute(
            "SELECT point, repetition, seed, status, metrics FROM runs JOIN attempts USING (run, attempt)"
        ).fetchall()
    index.close()
    return {
        (point, repetition): (seed, status, json.loads(metrics)) for point, repetition, seed, status, metrics in rows
    }


def test_a_batch_with_a_worker_killed_has_the_results_of_one_here(cluster: str, bench: Bench) -> None:
    sweep = bench.file("sweep.yaml", SWEEP)
    here = bench.qemunet("batch", sweep, "--runs-dir", bench.directory / "here", "--jobs", "2")
    assert here.returncode == 0, here.stderr
    process = bench.start_words("batch", sweep, "--runs-dir", bench.directory / "there", "--dask", cluster)
    index = bench.directory / "there" / "sweep" / "index.sqlite"

    def running() -> list[Path]:
        return [
            file for file in index.parent.glob("e/*/run.json") if json.loads(file.read_text())["status"] == "running"
        ]

    wait_for(lambda: bool(running()), lambda: "no run has begun")
    # The worker with the first run: what started the run's process.
    controller = json.loads(running()[0].read_text())["process"]["pid"]
    parent = int(Path(f"/proc/{controller}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, said
    assert results_of(index.parent) == results_of(bench.directory / "here" / "sweep")
    with sqlite3.connect(index) as connection:
        cut = connection.execute("SELECT status, why FROM attempts WHERE status != 'passed'").fetchall()
    connection.close()
    assert cut
    assert all(status in ("cut", "interrupted") and "was lost" in why for status, why in cut), cut

"""Runs forked from a warm template: the same as cold ones, and nothing passes from one to the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from qemunet.batch.executor import LocalExecutor
from qemunet.batch.model import Attempt, Job, PlannedRun
from qemunet.batch.warm import WarmExecutor, open_warm

from .conftest import DEADLINE_S, MARK, Bench, wait_for

pytestmark = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)

TOPOLOGY = "param delay = 1ms\nnode a container\nnode b container\nlink a b delay=${delay}\n"

PING = """\
import random

PARAMETERS = {"count": 1}

async def experiment(bed):
    done = await bed.guests["a"].succeed(f"ping -c {bed.parameters['count']} -w 5 10.0.0.2")
    return {"received": done.count("bytes from"), "drawn": bed.random.random()}
"""

# Says what it finds, and leaves behind what it can.
UNTIDY = """\
import gc, os, random, signal, sys, threading, time

async def experiment(bed):
    found = {
        "directory": os.getcwd(),
        "variable": os.environ.get("UNTIDY"),
        "descriptors": sorted(fd for fd in map(int, os.listdir("/proc/self/fd")) if fd < 4),
        "module": "untidy" in sys.modules,
        "signal": signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,
        "session": os.getsid(0) == os.getpid(),
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "collects": gc.isenabled(),
    }
    sys.modules["untidy"] = sys
    os.environ["UNTIDY"] = "yes"
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.chdir("/")
    os.open("/dev/null", os.O_RDONLY)
    print("of the experiment")
    return {**found, "random": random.random()}
"""

CRASH = "import os\n\nasync def experiment(bed):\n    os.abort()\n"
WAITS = "import trio\n\nasync def experiment(bed):\n    bed.progress('nothing to do')\n    await trio.sleep_forever()\n"

EXTENDS = """\
async def experiment(bed):
    await bed.guests["a"].succeed("ping -c 1 -w 5 10.0.0.2")

def extend(ns, network):
    seen = network.node("a").GetNDevices()
    yield
    return {"devices": seen, "nodes": ns.NodeList.GetNNodes()}
"""


@pytest.fixture(autouse=True)
def marked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(MARK, bench.mark)
    yield
    monkeypatch.undo()


def job(bench: Bench, experiment: Path, number: int = 1, **parameters: str) -> Job:
    topology = bench.file("t.txt", TOPOLOGY)
    planned = PlannedRun(number, 1, 1, seed=42, position=number, parameters=parameters)
    bench.runs.mkdir(exist_ok=True)
    return Job(planned, 1, str(topology), experiment, bench.runs, 60.0)


def begun(bench: Bench) -> None:
    """Wait until the experiment that waits does so."""
    log = bench.runs / ".1-1.log"
    wait_for(lambda: log.exists() and "nothing to do" in log.read_text(), lambda: "the run has not begun")


def warm(body: Callable[[WarmExecutor], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        with trio.fail_after(DEADLINE_S):
            async with open_warm(2) as executor:
                return await body(executor)

    return trio.run(main)


def files_of(attempt: Attempt) -> dict[str, Any]:
    assert attempt.directory is not None
    record = json.loads((attempt.directory / "run.json").read_text())
    for moment in ("started", "ended", "process", "time_0_unix_s", "number", "directory", "fidelity", "batch"):
        del record[moment]
    record["links"] = sorted(record["links"])
    events = [json.loads(line)["event"] for line in (attempt.directory / "events.jsonl").read_text().splitlines()]
    return {
        "run.json": record,
        "plan.json": json.loads((attempt.directory / "plan.json").read_text()),
        "files": sorted(path.name for path in attempt.directory.rglob("*") if path.is_file()),
        "events": sorted(events),
        "host.json": sorted(json.loads((attempt.directory / "host.json").read_text())),
    }


@pytest.mark.parametrize("experiment", [PING, EXTENDS], ids=["ping", "extends"])
def test_a_warm_run_is_as_a_cold_one(bench: Bench, experiment: str) -> None:
    path = bench.file("e.py", experiment)

    async def body(executor: WarmExecutor) -> list[Attempt]:
        return [await each.execute(job(bench, path, delay="2ms")) for each in (LocalExecutor(1), executor, executor)]

    cold, first, second = warm(body)
    assert (cold.exit_status, cold.executor) == (0, "local"), cold.record
    assert (first.exit_status, first.executor) == (0, "warm"), first.record
    assert files_of(first) == files_of(second) == files_of(cold)


def test_nothing_passes_from_a_run_to_the_next_one(bench: Bench) -> None:
    untidy, crash = bench.file("untidy.py", UNTIDY), bench.file("crash.py", CRASH)

    async def body(executor: WarmExecutor) -> list[Attempt]:
        attempts = [await executor.execute(job(bench, path, n)) for n, path in enumerate((untidy, crash, untidy), 1)]
        return [await LocalExecutor(1).execute(job(bench, untidy, 4)), *attempts]

    cold, first, crashed, second = warm(body)
    assert crashed.exit_status == -signal.SIGABRT
    metrics = [dict(attempt.record["metrics"]) for attempt in (cold, first, second)]
    assert len({each.pop("random") for each in metrics}) == 3
    assert metrics[1] == metrics[2] == metrics[0]
    assert "of the experiment" in (second.directory / "progress.log").read_text()


def test_a_template_that_has_died_takes_no_run_along(bench: Bench) -> None:
    ping, waits = bench.file("ping.py", PING), bench.file("waits.py", WAITS)

    async def body(executor: WarmExecutor) -> Attempt:
        attempts: list[Attempt] = []

        async def go(job: Job) -> None:
            attempts.append(await executor.execute(job))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go, job(bench, waits))
            await trio.to_thread.run_sync(begun, bench)
            before = executor.template_pid
            assert before is not None
            os.kill(before, signal.SIGKILL)
            again = await executor.execute(job(bench, ping, 2))
            assert (again.exit_status, executor.template_pid == before) == (0, False)
            process = json.loads((bench.runs / "waits" / "1" / "run.json").read_text())["process"]
            os.kill(process["pid"], signal.SIGINT)
        return attempts[0]

    attempt = warm(body)
    # Nobody can tell its exit status, but it ended in order, as its record says.
    assert (attempt.exit_status, attempt.record["status"]) == (None, "interrupted")


def test_a_cancelled_run_is_ended_first(bench: Bench) -> None:
    waits = bench.file("waits.py", WAITS)

    async def body(executor: WarmExecutor) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(executor.execute, job(bench, waits))
                await trio.to_thread.run_sync(begun, bench)
                scope.cancel()
        assert json.loads((bench.runs / "waits" / "1" / "run.json").read_text())["status"] == "interrupted"

    warm(body)


BATCH = """\
import sys, trio
from pathlib import Path
from qemunet.batch.model import Job, PlannedRun
from qemunet.batch.warm import open_warm

async def main():
    async with open_warm(1) as executor:
        directory = Path(sys.argv[3])
        await executor.execute(Job(PlannedRun(1, 1, 1, 1, 1, {}), 1, sys.argv[1], Path(sys.argv[2]), directory, None))

trio.run(main)
"""


def test_kill_9_of_the_batch_ends_its_runs_and_the_template(bench: Bench) -> None:
    bench.runs.mkdir()
    topology, waits = bench.file("t.txt", TOPOLOGY), bench.file("waits.py", WAITS)
    batch = subprocess.Popen([sys.executable, "-c", BATCH, topology, waits, bench.runs], cwd=bench.directory)
    begun(bench)
    batch.kill()
    batch.wait()
    bench.assert_nothing_left()

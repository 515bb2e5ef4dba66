"""Runs that cannot keep real time say so, with the reason and the instant: stopped, overloaded, or over a hard limit."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import DEADLINE_S, Bench, marked_processes, wait_for

pytestmark = [
    pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"),
    pytest.mark.skipif(not shutil.which("ping"), reason="ping is not installed"),
]

STOPPED_S = 0.2
PAIR = "node a container\nnode b container\nlink a b csma delay=100us\n"
SIMULATORS = pytest.mark.parametrize(
    "simulator", [pytest.param("", id="qemunet"), pytest.param("option simulator=ns3 attach=tapbridge\n", id="ns3")]
)
EXPERIMENT = """\
from qemunet import Task

PARAMETERS = {"count": 60}

async def experiment(bed):
    await bed.run(Task("ping", {"a": f"ping -q -i 0.02 -c {bed.parameters['count']} 10.0.0.2"}))
"""


class Stopped:
    """A run whose simulator was kept from running for a while, by signals from outside.

    Attributes:
        directory: Of the run.
        process: The ended command.
        result, said: What it wrote to standard output and standard error.
        at_s: Simulation time at which it was stopped.
        record: run.json's content.
    """

    def __init__(self, bench: Bench, topology: Path, *words: str) -> None:
        experiment = bench.file("ping.py", EXPERIMENT)
        self.process = bench.start(topology, experiment, *words)
        self.directory = bench.runs / "ping" / "1"
        try:
            wait_for(self._began, lambda: f"no Task began: {self.process.poll()}")
            worker = _worker(bench.mark)
            os.kill(worker, signal.SIGSTOP)
            before_ns = time.monotonic_ns()
            wait_for(lambda: time.monotonic_ns() >= before_ns + STOPPED_S * 1e9, lambda: "no time passes")
            os.kill(worker, signal.SIGCONT)
            self.result, self.said = self.process.communicate(timeout=DEADLINE_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.communicate()
        self.record: dict[str, Any] = json.loads((self.directory / "run.json").read_text())
        (origin_ns,) = (event["host_ns"] for event in self._events() if event["event"] == "time-0")
        self.at_s = (before_ns - origin_ns) / 1e9

    def _events(self) -> list[dict[str, Any]]:
        try:
            lines = (self.directory / "events.jsonl").read_text().splitlines(keepends=True)
        except OSError:
            return []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def _began(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        return any(event["event"] == "started" for event in self._events())

    def assert_then(self, at_s: float) -> None:
        """An instant is one of those in which the simulator stood still, or the one before."""
        assert self.at_s - 0.05 <= at_s <= self.at_s + STOPPED_S + 0.05


def _worker(mark: str) -> int:
    """The process of the simulator of a run."""
    found = [
        pid
        for pid in marked_processes(mark)
        if b"qemunet.simulation.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(found) == 1, found
    return found[0]


@SIMULATORS
def test_a_simulator_that_is_stopped_makes_the_run_unfaithful(bench: Bench, simulator: str) -> None:
    run = Stopped(bench, bench.file("t.txt", simulator + PAIR))
    assert (run.process.returncode, run.record["status"], run.record["verdict"]) == (5, "unfaithful", "passed"), (
        run.said
    )
    fidelity = run.record["fidelity"]
    (reason,) = (each for each in fidelity["reasons"] if each.startswith("lag max "))
    told = re.fullmatch(r"lag max ([0-9.]+) ms over its limit of 100 ms, worst at ([0-9.]+) s", reason)
    assert told, reason
    # The latest event may have been due a look at the clock after the simulator was stopped.
    assert float(told[1]) >= 1000 * STOPPED_S - 20
    run.assert_then(float(told[2]))
    run.assert_then(fidelity["lag_ns"]["max_at_s"])
    assert fidelity["deadline"]["missed"] >= 1
    assert fidelity["simulator_cpu"]["wall_s"] > run.at_s + STOPPED_S
    assert fidelity["scheduling"]["policy"] in ("SCHED_FIFO", "SCHED_OTHER")
    assert 0 <= fidelity["host"]["saturated_s"] <= fidelity["host"]["measured_s"]
    assert reason in run.result  # the person is told as well

    # The chart of the report has the spike, where and as high as it was.
    figures = bench.directory / "figures"
    done = bench.qemunet("report", run.directory, "-o", bench.directory / "report.html", "--figures", figures)
    assert done.returncode == 0, done.stderr
    assert reason in (bench.directory / "report.html").read_text(encoding="utf-8")
    lag = json.loads((run.directory / "lag.json").read_text())
    highest = max(range(len(lag["max_ns"])), key=lag["max_ns"].__getitem__)
    assert lag["max_ns"][highest] == fidelity["lag_ns"]["max"]
    run.assert_then(highest * lag["interval_ns"] / 1e9)
    at = f"{fidelity['lag_ns']['max'] / 1e6:.3g} ms at {fidelity['lag_ns']['max_at_s']:.3g} s"
    assert at in (figures / "lag.svg").read_text(encoding="utf-8")


@SIMULATORS
def test_a_hard_limit_ends_the_run(bench: Bench, simulator: str) -> None:
    topology = bench.file("t.txt", f"{simulator}option hard_limit=120ms\n{PAIR}")
    run = Stopped(bench, topology, "-p", "count=100000")
    assert (run.process.returncode, run.record["status"], run.record["verdict"]) == (4, "error", None), run.said
    error = run.record["error"]
    assert (error["layer"], error["type"]) == ("simulation", "SimulationError")
    told = re.fullmatch(
        r"an event of the simulation ran ([0-9.]+) ms late at simulation time ([0-9.]+) s, over the hard limit of 120 ms",
        error["message"],
    )
    assert told, error
    assert float(told[1]) >= 1000 * STOPPED_S - 20
    run.assert_then(float(told[2]))
    assert "hard_limit" in error["hint"]
    # It was measured all the same.
    assert run.record["fidelity"]["lag_ns"]["max"] >= float(told[1]) * 1e6 * 0.99


MESH = """\
option routing=none
node n[1-4] container position=0,0 step=5,0
node m[1-44] host position=0,5 step=1,0
lan air wifi n[1-4] m[1-44] standard=80211g
"""

FLOOD = """\
from qemunet import Task

SEND = '''
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + 2
while time.monotonic() < end:
    s.sendto(bytes(40), (sys.argv[1], 9))
'''

async def experiment(bed):
    names = list(bed.guests)
    for name in names:
        await bed.guests[name].succeed(f"cat >/tmp/send.py <<'END'{SEND}END")
    ways = zip(names, names[1:] + names[:1])
    await bed.run(Task("flood", {name: f"python3 /tmp/send.py {bed.guests[other].address}" for name, other in ways}))
"""


@SIMULATORS
def test_a_mesh_with_more_to_do_than_a_processor_can_is_unfaithful(bench: Bench, simulator: str) -> None:
    done, record = bench.run(bench.file("mesh.txt", simulator + MESH), bench.file("flood.py", FLOOD))
    assert (done.returncode, record["status"], record["verdict"]) == (5, "unfaithful", "passed"), done.stderr
    fidelity = record["fidelity"]
    by_limit = {each["limit"]: each for each in fidelity["violations"]}
    # Ever later, and not by a little; most events are.
    assert {"lag_p99_ns", "lag_max_ns", "deadline_misses"} <= set(by_limit)
    assert fidelity["lag_ns"]["p99"] > 10 * fidelity["limits"]["lag_p99_ns"]
    assert fidelity["deadline"]["missed"] > fidelity["deadline"]["of"] / 4
    assert 0 < by_limit["lag_max_ns"]["at_s"] < fidelity["simulator_cpu"]["wall_s"]
    assert fidelity["worst"]["limit"] in by_limit
    assert any(each.startswith("lag max ") and "worst at" in each for each in fidelity["reasons"])
    # What it did not come to read, its guests' kernels had to drop: at their doors, and counted.
    lost = [each for each in fidelity["doors"]["where"] if (each["direction"], each["reason"]) == ("in", "kernel")]
    assert {each["door"] for each in lost} <= {f"n{number}:eth0" for number in range(1, 5)}
    assert lost
    assert by_limit["door_drops"]["at_s"] is not None
    assert sum(each["frames"] for each in fidelity["doors"]["where"] if each["counts"]) == fidelity["doors"]["dropped"]


def test_the_start_of_tap_bridges_is_no_lag(bench: Bench) -> None:
    """The stock simulator starts them at its time 0, one after the other, while no command runs yet."""
    topology = bench.file(
        "chain.txt",
        "option simulator=ns3 attach=tapbridge\nnode n[1-12] container bridge=auto\nchain n[1-12] csma\n",
    )
    _, record = bench.run(topology, bench.file("none.py", "async def experiment(bed):\n    await bed.sleep(0.1)\n"))
    assert record["verdict"] == "passed"
    lag = json.loads((bench.runs / "none" / "1" / "lag.json").read_text())
    first = next(number for number, events in enumerate(lag["events"]) if events)
    # 22 of them do not start within 10 ms, the instant of what would be the first look.
    assert first * lag["interval_ns"] > 20e6

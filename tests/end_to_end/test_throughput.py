"""What chains carry: the shipped experiment, and a brief form of the benchmark that compares the ways."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest
import yaml

from .conftest import ROOT, Bench

CHAIN = ROOT / "topologies" / "chain.txt"
THROUGHPUT = ROOT / "experiments" / "chain_throughput.py"
BENCHMARKS = ROOT / "benchmarks"
WAYS = [
    pytest.param(("link=wire",), id="wire"),
    pytest.param(("link=csma",), id="csma"),
    pytest.param(("link=csma", "attach=tapbridge"), id="tapbridge"),
    pytest.param(("link=csma", "attach=tapbridge", "simulator=ns3"), id="stock"),
]

pytestmark = [
    pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"),
    pytest.mark.skipif(not shutil.which("ping"), reason="ping is not installed"),
]


def measure(bench: Bench, *parameters: str) -> dict[str, Any]:
    """The record of a run that passed, of three at most one that kept time if there is one."""
    words = [word for parameter in parameters for word in ("-p", parameter)]
    for _ in range(3):
        done, record = bench.run(CHAIN, THROUGHPUT, *words)
        assert record["verdict"] == "passed", done.stderr
        if record["status"] == "passed":
            break
    return record


@pytest.mark.parametrize("how", WAYS)
def test_a_chain_of_containers_carries_what_is_asked(bench: Bench, how: tuple[str, ...]) -> None:
    record = measure(bench, "kind=container", "N=4", "rate_pps=500", "seconds=1", "pings=10", *how)
    metrics = record["metrics"]
    assert set(metrics) == {"requested_pps", "offered_pps", "delivered_pps", "total_pps", "cpu", "rtt"}
    assert metrics["requested_pps"] == 500
    assert metrics["total_pps"] == 3 * metrics["delivered_pps"] > 0
    assert metrics["rtt"] > 0
    assert metrics["cpu"] > 0
    if record["status"] == "passed":
        assert metrics["delivered_pps"] == pytest.approx(500, rel=0.05)


def test_a_chain_of_machines_carries_what_is_asked(bench: Bench) -> None:
    record = measure(bench, "kind=qemu", "N=3", "link=wire", "rate_pps=100", "seconds=2", "pings=5")
    if record["status"] == "passed":
        assert record["metrics"]["total_pps"] == pytest.approx(200, rel=0.1)


def test_a_rate_of_zero_asks_for_all_that_can_be_sent(bench: Bench) -> None:
    limits = ("lag_p99=1000s", "lag_max=1000s", "deadline_misses=100%", "door_drops=100%")
    metrics = measure(
        bench, "kind=container", "N=3", "link=wire", "rate=5Mbps", "rate_pps=0", "seconds=1", "pings=2", *limits
    )["metrics"]
    assert metrics["requested_pps"] == metrics["offered_pps"] > 2 * metrics["delivered_pps"]
    # A datagram of 1470 bytes is a frame of 1516 with its check sequence.
    assert metrics["delivered_pps"] == pytest.approx(5e6 / (1516 * 8), rel=0.1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("seconds=0", "parameter seconds: 0.0 is out of range; it is 0.001 to 100000"),
        ("seconds=nan", "parameter seconds: nan is out of range"),
        ("rate_pps=-5", "parameter rate_pps: -5 is out of range; it is 0 to 1000000000"),
        ("N=1", "1 machine is no chain; it takes two or more"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_sent(bench: Bench, wrong: str, said: str) -> None:
    done, record = bench.run(CHAIN, THROUGHPUT, "-p", "kind=container", "-p", wrong)
    assert done.returncode == 2
    assert record["status"] == "error"
    assert record["error"]["layer"] == "input"
    assert said in done.stderr


def test_the_benchmark_of_the_ways(bench: Bench) -> None:
    """A few seconds of `make bench`: ratios with much room, for a machine that does other things as well."""
    subprocess.run(["make", "-s", "build/relay"], cwd=ROOT, check=True)
    sweep = yaml.safe_load((BENCHMARKS / "throughput.yaml").read_text())
    for source in ("topology", "experiment"):
        sweep[source] = str((BENCHMARKS / sweep[source]).resolve())
    sweep |= {"repeat": 1}
    sweep["parameters"] |= {"N": 5, "seconds": 0.5, "pings": 10}
    sweep["zip"][0]["totals"] = ["200000", "200000", "120000", "40000 60000"]
    file = bench.file("brief.yaml", yaml.safe_dump(sweep))
    bench.qemunet("batch", file, "--jobs", "1")
    directory = bench.runs / "brief"
    compared = [sys.executable, str(BENCHMARKS / "comparison.py"), str(directory)]
    done = subprocess.run(compared, capture_output=True, text=True, check=False)
    assert "wire to the relay" in done.stdout, done.stderr
    assert (directory / "comparison.txt").read_text()
    ratios = {
        each["what"]: each["median"] for each in json.loads((directory / "comparison.json").read_text())["ratios"]
    }
    assert ratios["N=5: csma to the stock peak"] > 1.2
    assert ratios["N=5: wire to the stock peak"] > 1.5
    assert ratios["N=5: wire to the relay"] > 0.4

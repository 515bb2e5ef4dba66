"""The main job: two machines of different architectures, a link between them, Tasks on their consoles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Bench

PAIR = ROOT / "topologies" / "pair.txt"
FIRST_LOOK = ROOT / "experiments" / "first_look.py"


def faithful(bench: Bench, *words: str) -> dict[str, Any]:
    """A run judged faithful; a machine busy with other things may spoil one, not three in a row."""
    for _ in range(3):
        done, record = bench.run(PAIR, FIRST_LOOK, *words)
        if record["status"] != "unfaithful":
            break
    assert done.returncode == 0, done.stderr
    assert record["status"] == "passed"
    return record


def test_pair_on_a_wire(bench: Bench) -> None:
    record = faithful(bench)
    assert 40 <= record["metrics"]["round_trip_median_ms"] <= 45
    assert record["metrics"]["round_trips"] == 20
    assert 9.0 <= record["metrics"]["throughput_mbps"] <= 10.0
    assert record["fidelity"]["faithful"]

    directory = Path(record["directory"])
    assert json.loads((directory / "run.json").read_text()) == record
    assert (directory / "topology.txt").read_bytes() == PAIR.read_bytes()
    plan = json.loads((directory / "plan.json").read_text())
    assert {guest["arch"] for guest in plan["guests"]} == {"x86_64", "aarch64"}
    host = json.loads((directory / "host.json").read_text())
    assert set(host["accel"]) == {"x86_64", "aarch64"}
    assert all(choice["name"] in {"kvm", "tcg"} and choice["reason"] for choice in host["accel"].values())
    for node in ("client", "server"):
        assert (directory / "console" / f"{node}.log").stat().st_size > 0
        assert b"Linux version" in (directory / "console" / f"{node}.kernel.log").read_bytes()
        assert (directory / "qemu" / f"{node}.log").exists()
    assert (directory / "ns3.log").exists()

    commands = [json.loads(line) for line in (directory / "tasks.jsonl").read_text().splitlines()]
    assert [(line["task"], line["node"]) for line in commands][:1] == [("ping", "client")]
    for line in commands:
        assert line["fired_s"] <= line["started_s"] <= line["ended_s"]
    events = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    assert "started" in {event["event"] for event in events}
    times = [event["host_ns"] for event in events]
    assert times == sorted(times)


@pytest.mark.parametrize("attach", ["native", "tapbridge"])
def test_pair_on_csma_carries_what_the_wire_does(bench: Bench, attach: str) -> None:
    wire = faithful(bench, "-p", "delay=10us")["metrics"]["throughput_mbps"]
    csma = faithful(bench, "-p", "link=csma", "-p", "delay=10us", "-p", f"attach={attach}")["metrics"][
        "throughput_mbps"
    ]
    assert abs(csma / wire - 1) <= 0.1


@pytest.mark.parametrize("attach", ["native", "tapbridge"])
def test_chain_of_six_with_bridging_guests(bench: Bench, attach: str) -> None:
    experiment = bench.file(
        "ends.py",
        "import re\n"
        "from qemunet import Task\n\n"
        "async def experiment(bed):\n"
        "    names = list(bed.guests)\n"
        "    first, last = bed.guests[names[0]], bed.guests[names[-1]]\n"
        "    await bed.run(Task('reach', {names[0]: f'ping -c 1 -w 30 {last.address}'}))\n"
        "    done = await bed.run(Task('ping', {names[0]: f'ping -c 5 -i 0.2 {last.address}'}))\n"
        "    return {'guests': len(names), 'received': int(re.search(r'(\\d+) received', done[names[0]].output)[1])}\n",
    )
    done, record = bench.run(ROOT / "topologies" / "chain.txt", experiment, "-p", f"attach={attach}", "-p", "N=6")
    assert done.returncode in (0, 5), done.stderr
    assert (record["verdict"], record["metrics"]) == ("passed", {"guests": 6, "received": 5})


def test_short_result_on_standard_output(bench: Bench) -> None:
    experiment = bench.file("quick.py", "async def experiment(bed):\n    return {'answer': 42}\n")
    done = bench.qemunet("run", PAIR, experiment)
    assert done.returncode in (0, 5), done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["answer", "42"] in lines
    assert any(words[:1] == ["fidelity"] for words in lines)
    assert ["run", "directory", "runs/quick/1"] in lines
    assert "booting" in done.stderr

"""Links under a running experiment: their delays, losses and counters, taking them down, recording them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.pcap import PPP, read_pcap

from .conftest import ROOT, Bench

pytestmark = [
    pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"),
    pytest.mark.skipif(not shutil.which("ping"), reason="ping is not installed"),
]

TOPOLOGY = """\
node a container pcap=yes
node b container
link a b delay=normal(mean=5ms, std=1ms, min=2ms)/empirical(back.txt)
lan l csma a b rate=100Mbps pcap=no
"""

EXPERIMENT = """\
from qemunet import Task

async def experiment(bed):
    link, lan = bed.links["a", "b"], bed.links["l"]
    a, address = bed.guests["a"], bed.guests["b"].address
    await bed.run(Task("ping", {"a": f"ping -c 20 -i 0.02 -W 5 {address}"}))
    there, back = link.counters
    assert there.frames == there.delivered_frames >= 20 and not there.dropped, there
    assert (there.source, there.target) == ("a:eth0", "b:eth0")
    await link.down()
    await a.fail(f"ping -c 1 -W 1 {address}")
    assert link.counters[0].drops["down"] > 0
    await link.up()
    await link.set(delay="1ms", loss="100%/0")
    await a.fail(f"ping -c 1 -W 1 {address}")
    assert link.counters[0].drops["loss"] > 0
    await link.set(loss=None, delay="uniform(30ms, 31ms)")
    await a.succeed(f"ping -c 1 -W 5 {address}")
    await lan.down()
    await a.fail("ping -c 1 -W 1 10.0.1.2")
    await lan.up()
    await a.succeed("ping -c 1 -w 5 10.0.1.2")
    return {"down": link.counters[0].drops["down"]}
"""


def test_links_in_an_experiment(bench: Bench) -> None:
    bench.file("back.txt", "2ms\n3ms 3  # three times as often\n")
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), bench.file("e.py", EXPERIMENT))
    assert record["verdict"] == "passed", done.stderr
    there, back = record["links"]["a-b"]
    assert there["drops"]["down"] == record["metrics"]["down"]
    assert there["frames"] == there["delivered_frames"] + sum(there["drops"].values())
    assert len(record["links"]["l"]) == 1
    directory = Path(record["directory"])
    frames = read_pcap(directory / "pcap" / "a-eth0.pcap")
    assert record["pcaps"] == {"a-eth0.pcap": {"frames": len(frames), "dropped": 0}}
    assert len(frames) == there["frames"] + back["delivered_frames"]
    assert [path.name for path in (directory / "pcap").iterdir()] == ["a-eth0.pcap"]
    events = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    changes = [event for event in events if event["event"].startswith("link-")]
    assert [event["event"] for event in changes] == [
        *("link-down", "link-up"),
        *("link-set", "link-set"),
        *("link-down", "link-up"),
    ]
    assert changes[3]["impairments"] == {"loss": None, "delay": "uniform(30ms, 31ms)"}
    # No echo comes back within what its reply takes at least, by the clock of the simulation.
    requests = {
        bytes(each.data[38:42]): each.at_ns for each in frames if each.data[12:14] == b"\x08\x00" and each.data[34] == 8
    }
    replies = {
        bytes(each.data[38:42]): each.at_ns for each in frames if each.data[12:14] == b"\x08\x00" and each.data[34] == 0
    }
    assert len(replies) >= 20
    assert all(replies[number] - requests[number] >= 4_000_000 for number in replies)


MIXED = """\
option routing=static
default node pcap=yes
node a container
node b container
node r[1-2] router
link a r1 p2p delay=1ms
link r1 r2 p2p delay=2ms
link r2 b wire delay=3ms
"""


def test_every_kind_of_end_is_recorded(bench: Bench) -> None:
    text = """
async def experiment(bed):
    await bed.guests["a"].succeed(f"ping -c 3 -i 0.1 {bed.guests['b'].address}")
"""
    done, record = bench.run(bench.file("t.txt", MIXED), bench.file("e.py", text))
    assert record["verdict"] == "passed", done.stderr
    folder = Path(record["directory"]) / "pcap"
    ppp = [read_pcap(folder / f"{end}.pcap", PPP) for end in ("r1-eth0", "r1-eth1", "r2-eth0")]
    ethernet = [read_pcap(folder / f"{end}.pcap") for end in ("a-eth0", "r2-eth1", "b-eth0")]
    requests = [
        [each.at_ns for each in frames if each.data[header:][9:10] == b"\x01" and each.data[header + 20] == 8]
        for header, files in ((14, ethernet[:1]), (2, ppp), (14, ethernet[1:]))
        for frames in files
    ]
    assert [len(each) for each in requests] == [3] * 6
    a, r1_eth0, r1_eth1, r2_eth0, r2_eth1, b = (each[-1] for each in requests)
    # ns-3's own devices tell of a frame when they begin to send it, and when it has come.
    assert r1_eth0 - a == pytest.approx(1_000_000, abs=1000)
    assert r2_eth0 - r1_eth1 == pytest.approx(2_000_000, abs=1000)
    assert b - r2_eth1 == 3_000_000


def test_the_wan_has_its_delays(bench: Bench) -> None:
    text = """
import re, statistics

async def experiment(bed):
    told = await bed.guests["eu-west-2"].succeed("ping -c 60 -i 0.02 " + bed.guests["eu-central-1"].address)
    return {"mean_ms": statistics.fmean(float(each) for each in re.findall("time=([0-9.]+) ms", told))}
"""
    for _ in range(3):  # A machine busy with other things may spoil one, not three in a row.
        done, record = bench.run(ROOT / "topologies" / "wan.txt", bench.file("e.py", text))
        if record["status"] != "unfaithful":
            break
    assert record["status"] == "passed", done.stderr
    # 16.34 ms each way; frames that follow each other keep their order.
    assert record["metrics"]["mean_ms"] == pytest.approx(32.7, rel=0.05)


def test_a_wrong_change_is_the_experiments_error(bench: Bench) -> None:
    text = "async def experiment(bed):\n    await bed.links['a-b'].set(dleay='1ms')\n"
    topology = bench.file("t.txt", "node a container\nnode b container\nlink a b\n")
    done, record = bench.run(topology, bench.file("e.py", text))
    assert (record["status"], record["error"]["layer"], done.returncode) == ("error", "experiment", 1)
    assert "did you mean 'delay'?" in record["error"]["message"]

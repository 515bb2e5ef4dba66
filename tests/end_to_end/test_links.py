"""Links under a running experiment: their delays, losses and counters, taking them down, recording them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.pcap import read_pcap

from .conftest import ROOT, Bench

REACHABILITY = ROOT / "experiments" / "reachability.py"

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


def test_a_wrong_change_is_the_experiments_error(bench: Bench) -> None:
    text = "async def experiment(bed):\n    await bed.links['a-b'].set(dleay='1ms')\n"
    topology = bench.file("t.txt", "node a container\nnode b container\nlink a b\n")
    done, record = bench.run(topology, bench.file("e.py", text))
    assert (record["status"], record["error"]["layer"], done.returncode) == ("error", "experiment", 1)
    assert "did you mean 'delay'?" in record["error"]["message"]

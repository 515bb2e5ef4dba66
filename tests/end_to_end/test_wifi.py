"""Guests on Wi-Fi, as a user runs them: ad hoc, access points, ranges, movement, the shipped topologies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Bench

TOPOLOGIES = ROOT / "topologies"
REACHABILITY = ROOT / "experiments" / "reachability.py"

pytestmark = [
    pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"),
    pytest.mark.skipif(not shutil.which("ping"), reason="ping is not installed"),
]


def faithful(bench: Bench, topology: str | Path, experiment: str | Path, *words: str) -> dict[str, Any]:
    """A run judged faithful; a machine busy with other things may spoil one, not three in a row."""
    for _ in range(3):
        done, record = bench.run(topology, experiment, *words)
        if record["status"] != "unfaithful":
            break
    assert record["status"] == "passed", done.stderr
    return record


@pytest.mark.parametrize("attach", ["native", "tapbridge"])
@pytest.mark.parametrize(
    ("nodes", "lan", "pairs"),
    [
        pytest.param("node n[1-2] container position=0,0 step=20,0", "n[1-2] standard=80211g", 2, id="two"),
        pytest.param("node n[1-3] container position=0,0 step=20,0", "n[1-3] standard=80211n-5GHz", 6, id="three"),
        pytest.param(
            "node ap container bridge=yes position=0,0\nnode s[1-2] container position=5,0 step=5,0\nnode w container\n"
            "link ap w csma",
            "ap s[1-2] mode=infrastructure",
            6,
            id="bridging-access-point",
        ),
    ],
)
def test_everybody_reaches_everybody(bench: Bench, attach: str, nodes: str, lan: str, pairs: int) -> None:
    topology = bench.file("air.txt", f"option attach={attach}\n{nodes}\nlan air wifi {lan}\n")
    assert faithful(bench, topology, REACHABILITY)["metrics"] == {"pairs_reached": pairs}


@pytest.mark.parametrize(
    ("how", "pairs"), [("attach=native", 6), ("attach=tapbridge", 6), ("ap=host", 2), ("ap=router", 2)]
)
def test_an_access_point_and_two_stations(bench: Bench, how: str, pairs: int) -> None:
    record = faithful(bench, TOPOLOGIES / "wifi.txt", REACHABILITY, "-p", "kind=container", "-p", how)
    assert record["metrics"] == {"pairs_reached": pairs}


def test_stations_that_are_machines(bench: Bench) -> None:
    done, record = bench.run(TOPOLOGIES / "wifi.txt", REACHABILITY, "-p", "ap=container", "-p", "deadline_s=60")
    assert (record["verdict"], record["metrics"]) == ("passed", {"pairs_reached": 6}), done.stderr


@pytest.mark.parametrize("kind", ["container", "qemu"])
def test_a_mesh_that_walks(bench: Bench, kind: str) -> None:
    done, record = bench.run(TOPOLOGIES / "mesh.txt", REACHABILITY, "-p", f"kind={kind}", "-p", "deadline_s=60")
    assert (record["verdict"], record["metrics"]) == ("passed", {"pairs_reached": 2}), done.stderr


HEARD = """\
import re
from qemunet import Task

async def experiment(bed):
    found = {}
    for name in list(bed.guests)[1:]:
        command = f"ping -c 4 -i 0.2 -W 1 {bed.guests[name].address}"
        done = await bed.run(Task(f"ping {name}", {"a": command}, check=False))
        found[name] = int(re.search(r"(\\\\d+) received", done["a"].output)[1])
    return found
""".replace("\\\\d", "\\d")


@pytest.mark.parametrize("attach", ["native", "tapbridge"])
def test_out_of_range_is_out_of_reach(bench: Bench, attach: str) -> None:
    topology = bench.file(
        "far.txt",
        f"option attach={attach}\nnode a near far container position=0,0 step=50,0\nlan air wifi a near far range=60\n",
    )
    record = faithful(bench, topology, bench.file("heard.py", HEARD))
    assert record["metrics"] == {"near": 4, "far": 0}


def test_the_usual_losses_end_somewhere_too(bench: Bench) -> None:
    topology = bench.file(
        "far.txt",
        "node a container position=0,0\nnode near container position=50,0\nnode far container position=2000,0\n"
        "lan air wifi a near far standard=80211g\n",
    )
    assert faithful(bench, topology, bench.file("heard.py", HEARD))["metrics"] == {"near": 4, "far": 0}


LEAVES = """\
from qemunet import Task

async def experiment(bed):
    inside = await bed.run(Task("inside", {"a": "ping -c 1 -W 1 10.0.0.2"}))
    await bed.sleep_until(4)
    outside = await bed.run(Task("outside", {"a": "ping -c 3 -i 0.2 -W 1 10.0.0.2"}, check=False))
    return {"inside": inside["a"].exit_status, "outside": outside["a"].exit_status}
"""


def test_a_node_that_drives_away_is_lost(bench: Bench) -> None:
    """At 50 m/s it is 200 m farther away after 4 s, and out of the range of 150 m after 3."""
    topology = bench.file(
        "leaves.txt",
        "node a container position=0,0\nnode b container position=1,0 velocity=50,0\nlan air wifi a b range=150\n",
    )
    record = faithful(bench, topology, bench.file("leaves.py", LEAVES))
    assert record["metrics"] == {"inside": 0, "outside": 1}


def test_check_shows_wifi_and_where_nodes_are(bench: Bench) -> None:
    topology = bench.file("t.txt", "node a container\nnode b container position=0,0\nlan air wifi a b ap=a\n")
    done = bench.qemunet("check", topology, "--plan")
    assert done.returncode == 0
    assert "node a is on Wi-Fi and has no position; it is put at 10,0" in done.stderr
    assert '"ns3::ApWifiMac"' in done.stdout
    done = bench.qemunet("check", topology)
    assert "infrastructure, access point a, 802.11g" in done.stdout

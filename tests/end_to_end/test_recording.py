"""What recording frames does when the disk cannot take them all, and that links count every frame."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pcap import read_pcap

from .conftest import DEADLINE_S, MARK, Bench

pytestmark = [
    pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"),
    pytest.mark.skipif(not shutil.which("ping"), reason="ping is not installed"),
]

FLOOD = """\
import socket, sys

sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    sender.sendto(number.to_bytes(4, "big") + bytes(1400), (sys.argv[1], 9))
"""

COUNT = 20_000
#: Not below /tmp, which a container has of its own.
PYTHON = os.path.realpath(sys.executable)
EXPERIMENT = f"""\
async def experiment(bed):
    a, b = bed.guests["a"], bed.guests["b"]
    await a.succeed(f"ping -c 1 -W 5 {{b.address}}")
    await a.copy_to(FILE, "/tmp/flood.py")
    await a.succeed(f"{PYTHON} /tmp/flood.py {{b.address}} {COUNT}")
    await a.succeed(f"ping -c 1 -w 20 {{b.address}}")
    there, back = bed.links["a", "b"].counters
    assert there.frames == there.delivered_frames + there.dropped, there
    return {{"frames": there.frames, "back": back.delivered_frames}}
"""


def test_a_disk_that_gets_full_ends_neither_run_nor_record(bench: Bench) -> None:
    """The disk is small, a tmpfs in a mount namespace: both files together would be four times as large."""
    flood = bench.file("flood.py", FLOOD)
    topology = bench.file("t.txt", "node a container pcap=yes\nnode b container pcap=yes\nlink a b\n")
    experiment = bench.file("e.py", EXPERIMENT.replace("FILE", repr(str(flood))))
    bench.runs.mkdir()
    saved = bench.directory / "saved"
    run = shlex.join(bench.command("run", topology, experiment, "--json", "--runs-dir", bench.runs))
    disk = shlex.quote(str(bench.runs))
    script = f"mount -t tmpfs -o size=16m none {disk} && {run}; status=$?; cp -r {disk} {saved}; exit $status"
    done = subprocess.run(
        ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=bench.directory,
        check=False,
        env={**os.environ, MARK: bench.mark},
    )
    record = json.loads(done.stdout)
    assert record["verdict"] == "passed", done.stderr
    metrics = record["metrics"]
    # As much as a tap took: the sender may be faster than what reads it.
    assert metrics["frames"] > COUNT // 2
    (directory,) = saved.glob("e/*")
    assert json.loads((directory / "run.json").read_text())["status"] == record["status"]
    for node in "ab":
        counts = record["pcaps"][f"{node}-eth0.pcap"]
        frames = read_pcap(directory / "pcap" / f"{node}-eth0.pcap")
        assert counts["frames"] == len(frames) > 0
        assert counts["dropped"] > 0
        assert sum(counts.values()) == metrics["frames"] + metrics["back"]
        assert [each.at_ns for each in frames] == sorted(each.at_ns for each in frames)
        assert f"pcap/{node}-eth0.pcap misses {counts['dropped']} of" in done.stderr


TEE = """\
option routing=static
default container pcap=yes
node a container
node b container
node c container
node r router
lan  l csma a b r
link r c p2p
"""


def test_the_counters_of_all_kinds_of_links_add_up(bench: Bench) -> None:
    """What guests' files have is what the links counted, by frames and bytes."""
    text = """
async def experiment(bed):
    a, c = bed.guests["a"], bed.guests["c"]
    await a.succeed(f"ping -c 5 -i 0.02 -s 1000 -w 20 {c.address}")
    lan, = bed.links["l"].counters
    assert not lan.dropped and lan.delivered_frames == 2 * lan.frames, lan
    there, back = bed.links["r", "c"].counters
    assert (there.source, there.target, back.source) == ("r:eth1", "c:eth0", "c:eth0"), there
    assert not there.dropped, there
"""
    done, record = bench.run(bench.file("t.txt", TEE), bench.file("e.py", text))
    assert record["verdict"] == "passed", done.stderr
    folder = Path(record["directory"]) / "pcap"
    a, b, c = (read_pcap(folder / f"{node}-eth0.pcap") for node in "abc")
    (lan,) = record["links"]["l"]
    there, back = record["links"]["r-c"]
    # Whoever is on a shared channel hears all of it, and nobody receives what he sent.
    assert lan["frames"] == len(a) == len(b)
    assert lan["bytes"] == sum(max(60, len(each.data)) for each in a)
    assert lan["delivered_bytes"] == 2 * lan["bytes"]
    # The door of a p2p link answers ARP itself. On the link PPP's header of 2 bytes stands for Ethernet's 14.
    mac = next(each.data[6:12] for each in c if each.data[:6] == b"\xff" * 6)
    for counted, is_from_c in ((there, False), (back, True)):
        # The machines' kernels look for other IPv6 nodes whenever they like.
        packets = [each for each in c if each.data[12:14] != b"\x08\x06" and (each.data[6:12] == mac) == is_from_c]
        assert counted["frames"] == counted["delivered_frames"] == len(packets)
        assert sum(each.data[12:14] == b"\x08\x00" for each in packets) >= 5
        assert counted["bytes"] == counted["delivered_bytes"] == sum(len(each.data) - 12 for each in packets)

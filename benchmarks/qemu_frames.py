"""What it costs to carry a frame from one QEMU guest to another: the native way beside the stock one.

    .venv/bin/python benchmarks/qemu_frames.py [--rounds 3] [--floods 3] [--seconds 3] [--pps 0] [--output FILE]

Each run boots two machines on one link and floods the second one with UDP of 1470 bytes, some times. Around each flood the
processor time of QEMU's threads other than the vCPUs', and of the simulator, is read. The stock way is ns-3's real-time
simulator, its TapBridge, a host bridge and QEMU's tap. All ways take turns, so that a drift of the machine falls on all
alike. Frames are those that the second guest's interface has received; a processor time of a frame has everything in it
that the processes do meanwhile, also what the kernel does in their system calls. ``softirq`` and ``ksoftirqd`` are of the whole
computer; ``vcpu`` is not part of the cost.
benchmarks/README.md has what helps, and what does not.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from comparison import Ratio, ratio_of

from qemunet.native import udp_flow
from qemunet.progress import Progress, open_progress
from qemunet.run import RunRequest, run_experiment

TOPOLOGY = """\
param   link = wire
param   attach = native
param   simulator = qemunet
option  attach=${attach} simulator=${simulator} lag_max=10s lag_p99=10s door_drops=100%
default qemu memory=128MiB
node    a qemu qemu_args='-name a,debug-threads=on'
node    b qemu qemu_args='-name b,debug-threads=on'
link    a b ${link}
"""

EXPERIMENT = """\
import json
import os

from processor_time import as_dict, look

from qemunet import Task
from qemunet.native import udp_flow

PARAMETERS = {"floods": 3, "seconds": 3.0, "pps": 0}
RECEIVED = "cat /sys/class/net/eth0/statistics/rx_packets"


async def experiment(bed):
    given, a, b = bed.parameters, bed.guests["a"], bed.guests["b"]
    for guest in (a, b):
        await guest.copy_to(udp_flow(), "/tmp/udp-flow")
        await guest.succeed("chmod +x /tmp/udp-flow")
    await a.wait_until_succeeds(f"ping -c 1 -w 1 {b.address}")
    send = f"/tmp/udp-flow send {b.address} 9000 --bytes 1470 --rate {given['pps']} --seconds {given['seconds'] + 1}"
    receive = f"/tmp/udp-flow receive 9000 --skip 0.5 --seconds {given['seconds']} --wait 30"
    floods = []
    for _ in range(given["floods"]):
        frames = -int(await b.succeed(RECEIVED))
        before = look(os.getpid())
        done = await bed.run(Task("flood", {"b": receive, "a": send}))
        taken = look(os.getpid()) - before
        frames += int(await b.succeed(RECEIVED))
        received = json.loads(done["b"].output)["received"]
        floods.append({"frames": frames, "fps": received / given["seconds"], "taken_ns": as_dict(taken)})
    return {"floods": floods}
"""

STOCK = "stock, csma"
WAYS: Mapping[str, Mapping[str, str]] = {
    STOCK: {"link": "csma", "attach": "tapbridge", "simulator": "ns3"},
    "native, csma": {"link": "csma"},
    "native, wire": {"link": "wire"},
}
PARTS = ("outside", "machines", "simulator", "ksoftirqd", "softirq", "vcpu")

Runs = Sequence[Mapping[str, Any]]


def measure(parameters: Mapping[str, str], work: Path, progress: Progress) -> list[dict[str, Any]]:
    """Run once; returns what was measured of each flood, with microseconds a frame instead of ns in all."""
    request = RunRequest(str(work / "pair.txt"), work / "frames.py", parameters=parameters, runs=work / "runs")
    record = run_experiment(request, progress=progress).record
    if record["verdict"] != "passed":
        sys.exit(f"a run ended as {record['status']}: {record['error']}")
    floods: list[dict[str, Any]] = record["metrics"]["floods"]
    for flood in floods:
        taken_ns = flood.pop("taken_ns")
        flood["us_per_frame"] = {part: taken_ns[part] / 1000 / flood["frames"] for part in PARTS}
    return floods


def ratios_of(runs: Mapping[str, Runs]) -> list[Ratio]:
    """Costs and speeds of the stock way and the others, flood by flood in the order in which they were made."""
    found = []
    for way, ours in runs.items():
        if way != STOCK:
            pairs = list(zip(runs[STOCK], ours, strict=True))
            costs = [a["us_per_frame"]["outside"] / b["us_per_frame"]["outside"] for a, b in pairs]
            found.append(ratio_of(f"{way}: cost, stock to this", costs, 1.5))
            found.append(
                ratio_of(f"{way}: frames a second, this to stock", [b["fps"] / a["fps"] for a, b in pairs], 1.0)
            )
    return found


def show(runs: Mapping[str, Runs], ratios: Sequence[Ratio]) -> None:
    print(f"\n{'us a frame, medians':<20} {'floods':>6} {'frames/s':>9} " + " ".join(f"{part:>10}" for part in PARTS))
    for way, each in runs.items():
        cells = [statistics.median(run["us_per_frame"][part] for run in each) for part in PARTS]
        fps = statistics.median(run["fps"] for run in each)
        print(f"{way:<20} {len(each):>6} {fps:>9.0f} " + " ".join(f"{cell:>10.2f}" for cell in cells))
    print(f"\n{'ratio':<44} {'median':>7} {'95 % interval':>15} {'at least':>9}")
    for ratio in ratios:
        span = f"{ratio.low:.2f} to {ratio.high:.2f}"
        kept = "kept" if ratio.kept else "not kept"
        print(f"{ratio.what:<44} {ratio.median:>7.2f} {span:>15} {ratio.bound:>9.1f}  {kept}")


def main(arguments: argparse.Namespace, work: Path) -> int:
    (work / "pair.txt").write_text(TOPOLOGY.rstrip() + " ".join(["", *arguments.impairment]) + "\n")
    (work / "frames.py").write_text(EXPERIMENT)
    common = {name: str(getattr(arguments, name)) for name in ("floods", "seconds", "pps")}
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in (STOCK, *arguments.way)}
    link = " ".join(arguments.impairment) or "no impairment"
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {udp_flow().name}, links: {link}")
    progress = open_progress()
    try:
        for _ in range(arguments.rounds):
            for way in runs:
                runs[way] += measure({**common, **WAYS[way]}, work, progress)
    finally:
        progress.close()
    ratios = ratios_of(runs)
    show(runs, ratios)
    if arguments.output is not None:
        content = {"runs": runs, "ratios": [asdict(ratio) for ratio in ratios]}
        arguments.output.write_text(json.dumps(content, indent=2) + "\n")
    return int(not all(ratio.kept for ratio in ratios))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (%(default)s)")
    parser.add_argument("--floods", type=int, default=3, help="of each run (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="of a flood that are counted (%(default)s)")
    parser.add_argument("--pps", type=int, default=0, help="datagrams a second; 0: all that the guest can send")
    native = [way for way in WAYS if way != STOCK]
    parser.add_argument("--way", action="append", choices=native, help="beside the stock one; all if not given")
    parser.add_argument("--impairment", action="append", default=[], help="of the link, such as rate=100Mbps")
    parser.add_argument("--output", type=Path, help="write what was measured as JSON")
    given = parser.parse_args()
    given.way = given.way or native
    with tempfile.TemporaryDirectory(prefix="qemunet-bench-") as folder:
        sys.exit(main(given, Path(folder)))

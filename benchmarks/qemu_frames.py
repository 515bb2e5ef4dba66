"""What it costs to carry a frame from one QEMU guest to another: the native way beside the stock one.

    .venv/bin/python benchmarks/qemu_frames.py [--rounds 3] [--floods 3] [--seconds 3] [--pps 0] [--output FILE]

Each run boots two machines, sends UDP of 1470 bytes from the one to the other for some seconds, some times, and reads the processor time of QEMU's
threads other than the vCPUs' and of the simulator before and after. The stock way is ns-3's real-time simulator, its
TapBridge, a host bridge and QEMU's tap. All ways take turns, so that a drift of the machine falls on all alike.
Frames are those that the second guest's interface has received. A processor time of a frame has everything in it that
the processes do meanwhile, the network stack's work for their system calls as well.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
import os

from processor_time import as_dict, look

from qemunet import Daemon, Task

PARAMETERS = {"program": "", "floods": 3, "seconds": 3.0, "pps": 0, "bytes": 1470}
RECEIVED = "cat /sys/class/net/eth0/statistics/rx_packets"


async def experiment(bed):
    given, guests = bed.parameters, bed.guests
    for guest in guests.values():
        await guest.copy_to(given["program"], "/tmp/guest-udp")
    await guests["a"].wait_until_succeeds("ping -c 1 -w 1 10.0.0.2")
    send = f"/tmp/guest-udp send 10.0.0.2 5001 {given['bytes']} {given['seconds']} {given['pps']}"
    floods = []
    for _ in range(given["floods"]):
        frames = -int(await guests["b"].succeed(RECEIVED))
        before = look(os.getpid())
        done = await bed.run(Task("flood", {"b": Daemon("/tmp/guest-udp sink 5001"), "a": send}))
        taken = look(os.getpid()) - before
        frames += int(await guests["b"].succeed(RECEIVED))
        sent, _ = done["a"].output.split()
        came, came_s = done["b"].output.split()
        floods.append({"frames": frames, "sent": int(sent), "datagrams": int(came), "fps": int(came) / float(came_s)})
        floods[-1]["taken_ns"] = as_dict(taken)
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


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Median and a 95 % interval of the mean's width around it (Student's t)."""
    from scipy.stats import t

    middle = statistics.median(values)
    if len(values) < 2:
        return middle, -math.inf, math.inf
    half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return middle, middle - half, middle + half


def ratio(stock: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Stock to ours, of the runs of a round: the geometric mean with its 95 % interval, and the medians' ratio."""
    middle, low, high = interval([math.log(a / b) for a, b in zip(stock, ours, strict=True)])
    return {
        "median": statistics.median(stock) / statistics.median(ours),
        "low": math.exp(low) if math.isfinite(low) else 0.0,
        "high": math.exp(high) if math.isfinite(high) else math.inf,
        "paired": math.exp(middle),
    }


def show(runs: Mapping[str, Runs]) -> dict[str, Any]:
    """Print the table; returns the ratios."""
    print(f"\n{'us a frame, medians':<20} {'runs':>5} {'frames/s':>9} " + " ".join(f"{part:>10}" for part in PARTS))
    for way, each in runs.items():
        cells = [statistics.median(run["us_per_frame"][part] for run in each) for part in PARTS]
        fps = statistics.median(run["fps"] for run in each)
        print(f"{way:<20} {len(each):>5} {fps:>9.0f} " + " ".join(f"{cell:>10.2f}" for cell in cells))
    ratios: dict[str, Any] = {}
    stock = runs[STOCK]
    print(f"\n{'ratio':<42} {'medians':>8} {'95 % interval of pairs':>24}")
    for way, each in runs.items():
        if way == STOCK:
            continue
        cost = ratio([r["us_per_frame"]["outside"] for r in stock], [r["us_per_frame"]["outside"] for r in each])
        speed = ratio([r["fps"] for r in each], [r["fps"] for r in stock])
        ratios[way] = {"cost": cost, "speed": speed}
        for what, found in ((f"{way}: stock cost / cost", cost), (f"{way}: frames/s / stock frames/s", speed)):
            span = f"{found['low']:.2f} to {found['high']:.2f}"
            print(f"{what:<42} {found['median']:>8.2f} {span:>24}")
    return ratios


def main(arguments: argparse.Namespace, work: Path) -> int:
    program = work / "guest-udp"
    source = Path(__file__).with_name("guest-udp.c")
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-static", "-s", "-o", program, source], check=True)
    (work / "pair.txt").write_text(TOPOLOGY.rstrip() + " ".join(["", *arguments.impairment]) + "\n")
    (work / "frames.py").write_text(EXPERIMENT)
    common = {name: str(getattr(arguments, name)) for name in ("floods", "seconds", "pps")}
    common["program"] = str(program)
    ways = {way: WAYS[way] for way in (STOCK, *arguments.way)}
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, link {' '.join(arguments.impairment) or 'without limits'}")
    progress = open_progress()
    try:
        for _ in range(arguments.rounds):
            for way, parameters in ways.items():
                runs[way] += measure({**common, **parameters}, work, progress)
    finally:
        progress.close()
    ratios = show(runs)
    met = all(each["cost"]["median"] >= 1.5 and each["speed"]["median"] >= 1 for each in ratios.values())
    print(f"cost at most 1/1.5 of the stock way's, frames/s not lower: {'met' if met else 'missed'}")
    if arguments.output is not None:
        arguments.output.write_text(json.dumps({"runs": runs, "ratios": ratios, "met": met}, indent=2) + "\n")
    return int(not met)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (%(default)s)")
    parser.add_argument("--floods", type=int, default=3, help="of each run (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="that a flood takes (%(default)s)")
    parser.add_argument("--pps", type=int, default=0, help="datagrams a second; 0: all that the guest can send")
    parser.add_argument("--impairment", action="append", default=[], help="of the link, such as rate=100Mbps")
    native = [way for way in WAYS if way != STOCK]
    parser.add_argument("--way", action="append", choices=native, help="beside the stock one; all if not given")
    parser.add_argument("--output", type=Path, help="write what was measured as JSON")
    given = parser.parse_args()
    given.way = given.way or native
    with tempfile.TemporaryDirectory(prefix="qemunet-bench-") as folder:
        sys.exit(main(given, Path(folder)))

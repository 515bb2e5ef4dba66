"""Whether frames between two containers see the delays, the rate and the losses that their wires are to have.

    .venv/bin/python benchmarks/delays.py [--pings 2000]

Pings 60 ms apart over a truncated Gaussian each way, whose round trips are known (mean 25.85 ms, 99 % quantile
44.5 ms), and 10 ms apart over a fixed delay of 20 ms; UDP flows over a wire of 1 Mbit/s, and over one that loses 1 %. Each number is held to its bound; a
run that did not keep time is made again.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qemunet.progress import open_progress
from qemunet.run import RunRequest, run_experiment

TRIES = 3

TOPOLOGY = """\
param  pings = 2000
node   a container
node   b container
link   a b name=delays delay=normal(mean=12.6ms, p99=26.1ms, min=1ms)
link   a b name=rate rate=1Mbps queue=10
link   a b name=loss loss=1%
link   a b name=fixed delay=20ms
"""

EXPERIMENT = """\
import re

import trio

from qemunet import Daemon, Task


async def experiment(bed):
    rate, loss = bed.links["rate"], bed.links["loss"]
    done = await bed.run(Task("pings", {"a": f"ping -c {bed.parameters['pings']} -i 0.06 10.0.0.2"}))
    bed.record("trips_ms", [float(each) for each in re.findall(r"time=([0-9.]+) ms", done["a"].output)])
    done = await bed.run(Task("fixed", {"a": f"ping -c {bed.parameters['pings']} -i 0.01 10.0.3.2"}))
    bed.record("fixed_trips_ms", [float(each) for each in re.findall(r"time=([0-9.]+) ms", done["a"].output)])
    # Twice what the wire carries, so that it is busy all the while between the two looks at its counters.
    flood = {"b": Daemon("iperf -s -u"), "a": [Daemon("iperf -c 10.0.1.2 -u -b 2M -t 15"), "sleep 12"]}
    looks = []

    async def look():
        for at_s in (2.0, 10.0):
            await bed.sleep_until(started_s + at_s)
            looks.append((bed.now_s, rate.counters[0]))

    started_s = bed.now_s
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await bed.run(Task("rate", flood))
    (first_s, first), (last_s, last) = looks
    frames, carried = last.delivered_frames - first.delivered_frames, last.delivered_bytes - first.delivered_bytes
    bed.record("rate_bps", 8 * (carried + 4 * frames) / (last_s - first_s))
    bed.record("queue_drops", last.drops["queue"])
    # 20,000 datagrams.
    await bed.run(Task("loss", {"b": Daemon("iperf -s -u"), "a": "iperf -c 10.0.2.2 -u -l 100 -b 8M -n 2000000"}))
    bed.record("loss_frames", loss.counters[0].frames)
    bed.record("lost", loss.counters[0].drops["loss"])
"""


@dataclass(frozen=True)
class Bound:
    """A number that was measured, and between what it has to be."""

    what: str
    measured: float
    least: float
    most: float

    @staticmethod
    def near(what: str, measured: float, wanted: float, share: float) -> Bound:
        return Bound(what, measured, wanted * (1 - share), wanted * (1 + share))

    @property
    def met(self) -> bool:
        return self.least <= self.measured <= self.most


def measure(pings: int, work: Path) -> dict[str, Any]:
    """Run, until the machine keeps time; returns run.json's content."""
    topology, experiment = work / "delays.txt", work / "delays.py"
    topology.write_text(TOPOLOGY)
    experiment.write_text(EXPERIMENT)
    request = RunRequest(str(topology), experiment, parameters={"pings": str(pings)}, runs=work / "runs")
    progress = open_progress()
    try:
        for _ in range(TRIES):
            outcome = run_experiment(request, progress=progress)
            if outcome.record["status"] != "unfaithful":
                break
    finally:
        progress.close()
    if outcome.record["status"] != "passed":
        sys.exit(
            f"the run ended as {outcome.record['status']}: {outcome.record['error'] or outcome.record['fidelity']}"
        )
    return outcome.record


def bounds(metrics: dict[str, Any], pings: int) -> list[Bound]:
    trips = metrics["trips_ms"]
    frames = metrics["loss_frames"]
    fixed = metrics["fixed_trips_ms"]
    interval = 2.576 * math.sqrt(frames * 0.01 * 0.99)
    return [
        Bound("pings answered", len(trips), pings, pings),
        Bound.near("round trip, mean, ms", statistics.fmean(trips), 25.85, 0.05),
        Bound.near("round trip, 99 % quantile, ms", statistics.quantiles(trips, n=100)[98], 44.5, 0.05),
        Bound("pings answered over a fixed delay", len(fixed), pings, pings),
        Bound("their share within 40 to 41 ms", sum(40 <= trip <= 41 for trip in fixed) / len(fixed), 0.99, 1),
        Bound.near("rate, Mbit/s", metrics["rate_bps"] / 1e6, 1.0, 0.01),
        Bound("frames that a queue of 10 dropped", metrics["queue_drops"], 1, math.inf),
        Bound(f"frames lost of {frames}", metrics["lost"], 0.01 * frames - interval, 0.01 * frames + interval),
    ]


def main(pings: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        record = measure(pings, Path(folder))
    print(record["fidelity"]["summary"])
    found = bounds(record["metrics"], pings)
    for bound in found:
        limits = f"{bound.least:.4g} to {bound.most:.4g}"
        print(f"{bound.what:<36} {bound.measured:>10.5g}  {limits:<20} {'met' if bound.met else 'missed'}")
    return int(not all(bound.met for bound in found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pings", type=int, default=2000, help="%(default)s")
    sys.exit(main(parser.parse_args().pings))

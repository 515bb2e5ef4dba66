"""What a run of a batch costs: forked from a warm template, beside started anew.

    .venv/bin/python benchmarks/batch.py [--runs 300] [--rounds 5] [--block 10] [--jobs 2]

Each run is a ping between two containers. Blocks of warm and cold runs take turns, so that a drift of the machine falls on
both alike; then one batch of ``--runs`` warm ones is run as a user runs it. Wall time, the ping's own 90 ms included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXPERIMENT = """\
async def experiment(bed):
    await bed.guests["client"].succeed(f"ping -c 1 -w 5 {bed.guests['server'].address}")
"""
TOPOLOGY = Path(__file__).resolve().parents[1] / "topologies" / "pair.txt"


def batch(directory: Path, name: str, runs: int, jobs: int, *words: str) -> float:
    """Run a batch; returns seconds of wall time a run."""
    sweep = directory / f"{name}.yaml"
    sweep.write_text(f"topology: {TOPOLOGY}\nexperiment: ping.py\nparameters: {{kind: container}}\nrepeat: {runs}\n")
    command = [sys.executable, "-m", "qemunet.cli.main", "batch", str(sweep), "--runs-dir", str(directory), "--json"]
    begun_s = time.monotonic()
    done = subprocess.run([*command, "--jobs", str(jobs), *words], capture_output=True, text=True, check=False)
    taken_s = time.monotonic() - begun_s
    results = json.loads(done.stdout) if done.stdout else []
    passed = sum(result["verdict"] == "passed" for result in results)
    if passed != runs:
        sys.exit(f"{passed} of {runs} runs have passed:\n{done.stderr[-2000:]}")
    return taken_s / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="of the batch at the end")
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each kind")
    parser.add_argument("--block", type=int, default=10, help="runs of a block")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {arguments.jobs} runs at a time")
    with tempfile.TemporaryDirectory(prefix="qemunet-bench-") as place:
        directory = Path(place)
        (directory / "ping.py").write_text(EXPERIMENT)
        taken_s: dict[str, list[float]] = {"cold": [], "warm": []}
        for turn in range(arguments.rounds):
            for kind, words in (("cold", ["--cold"]), ("warm", [])):
                taken_s[kind].append(batch(directory, f"{kind}{turn}", arguments.block, arguments.jobs, *words))
        medians = {kind: statistics.median(values) for kind, values in taken_s.items()}
        for kind, values in taken_s.items():
            print(f"{kind}: {medians[kind]:.3f} s a run (blocks {min(values):.3f} to {max(values):.3f})")
        print(f"cold / warm: {medians['cold'] / medians['warm']:.2f}")
        each_s = batch(directory, "all", arguments.runs, arguments.jobs)
        print(f"{arguments.runs} runs in one batch: {each_s:.3f} s a run; at most 0.7 s is wanted: {each_s <= 0.7}")


if __name__ == "__main__":
    main()

"""How far apart commands start on many guests, and what running one costs: qemunet, pexpect and a bare C loop.

    .venv/bin/python benchmarks/skew.py [--kind container --kind qemu] [--guests 10] [--tasks 1000] [--output FILE]

Two spreads (last minus first) are measured of every round. *Written*: of the instants at which the newlines were
handed to the consoles. *Begun*: of the instants at which each guest's word that it has begun was read; all run the same
small program then, and a round ends when all have ended it. The *overhead* is the time that a command that does nothing takes on an idle guest, to its exit status. All use the same guests and
consoles in turn, in blocks, so that a drift of the machine falls on all alike. pexpect as it comes sleeps 50 ms before
each line, so it has a tenth of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio
from rivals import COMMAND, Spreads, run_with_pexpect, start_with_c_loop, start_with_pexpect

from qemunet import Task
from qemunet.experiment import load_experiment
from qemunet.guest.shell import Shell
from qemunet.plan import make_plan
from qemunet.progress import Progress, open_progress
from qemunet.results.record import RunDirectory, this_process
from qemunet.testbed import Testbed, open_testbed
from qemunet.topology import parse_topology

BLOCK = 50
FEW = 10  # pexpect as it comes has every tenth round
OURS, LOOP, BARE, PLAIN = "qemunet", "C loop", "pexpect, no delay", "pexpect"

T = TypeVar("T")


@dataclass(frozen=True)
class Quantiles:
    """Median and 99 % quantile of some values, and how many they are."""

    rounds: int
    p50: float
    p99: float

    @staticmethod
    def of(values: Sequence[int]) -> Quantiles:
        cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
        return Quantiles(len(values), cuts[49], cuts[98])


@dataclass(frozen=True)
class Bound:
    """A ratio that is to be kept, by the 99 % quantiles or the medians as ``by`` says."""

    what: str
    by: str
    limit: float
    p50: float
    p99: float
    met: bool


@dataclass(frozen=True)
class Result:
    """What was measured on guests of one kind, in ns."""

    guests: int
    load_before: float
    load_after: float
    written: Mapping[str, Quantiles]
    begun: Mapping[str, Quantiles]
    overhead: Mapping[str, Quantiles]
    bounds: Sequence[Bound]


@asynccontextmanager
async def lent(shells: Sequence[Shell]) -> AsyncIterator[list[int]]:
    """Descriptors of consoles at which others may type meanwhile.

    All that the benchmark knows of how qemunet reads consoles is in here.
    """
    for shell in shells:
        await shell.console.__aexit__(None, None, None)
        os.set_blocking(shell.console.fd, True)
    yield [shell.console.fd for shell in shells]
    for shell in shells:
        shell.console.ended = None
        await shell.console.__aenter__()
    async with trio.open_nursery() as nursery:
        for shell in shells:
            nursery.start_soon(shell.synchronize)


async def lend(shells: Sequence[Shell], use: Callable[[list[int]], T]) -> T:
    """Let ``use`` have consoles, in a thread of its own."""
    async with lent(shells) as descriptors:
        return await trio.to_thread.run_sync(use, descriptors)


async def measure_spreads(bed: Testbed, tasks: int, program: Path) -> dict[str, Spreads]:
    spreads: dict[str, Spreads] = {OURS: [], LOOP: [], BARE: [], PLAIN: []}
    shells = list(bed.shells.values())
    task = Task("skew", dict.fromkeys(bed.shells, COMMAND))
    for done in range(0, tasks, BLOCK):
        rounds = range(done, min(done + BLOCK, tasks))
        for _ in rounds:
            skew = (await bed.execute(task)).skew
            assert skew.begun_ns is not None
            spreads[OURS].append((skew.written_ns, skew.begun_ns))
        spreads[LOOP] += await lend(shells, partial(start_with_c_loop, program, rounds=rounds))
        spreads[BARE] += await lend(shells, partial(start_with_pexpect, rounds=rounds, delay=False))
        spreads[PLAIN] += await lend(shells, partial(start_with_pexpect, rounds=rounds[::FEW], delay=True))
        bed.progress(f"{rounds.stop} of {tasks} rounds")
    return spreads


async def measure_overhead(bed: Testbed, rounds: int) -> dict[str, list[int]]:
    overhead: dict[str, list[int]] = {OURS: [], BARE: [], PLAIN: []}
    name, shell = next(iter(bed.shells.items()))
    for done in range(0, rounds, BLOCK):
        block = range(done, min(done + BLOCK, rounds))
        for _ in block:
            begun_ns = time.monotonic_ns()
            await bed.guests[name].run(":", check=True)
            overhead[OURS].append(time.monotonic_ns() - begun_ns)
        for way, few, delay in ((BARE, block, False), (PLAIN, block[::FEW], True)):

            def use(descriptors: list[int], few: range = few, delay: bool = delay) -> list[int]:
                return run_with_pexpect(descriptors[0], few, delay=delay)

            overhead[way] += await lend([shell], use)
    return overhead


def bounds(
    written: Mapping[str, Quantiles], begun: Mapping[str, Quantiles], overhead: Mapping[str, Quantiles]
) -> list[Bound]:
    found = []
    for name, values, way, by, limit in (
        ("written", written, LOOP, "p99", 1 / 1.2),
        ("written", written, PLAIN, "p99", 100.0),
        ("written", written, BARE, "p99", 3.0),
        ("begun", begun, PLAIN, "p50", 20.0),
        ("begun", begun, BARE, "p99", 1.0),
        ("overhead", overhead, PLAIN, "p50", 5.0),
    ):
        p50, p99 = values[way].p50 / values[OURS].p50, values[way].p99 / values[OURS].p99
        met = {"p50": p50, "p99": p99}[by] >= limit
        found.append(Bound(f"{name}: {way} / qemunet, at least", by, limit, p50, p99, met))
    return found


async def measure(kind: str, guests: int, tasks: int, work: Path, program: Path, progress: Progress) -> Result:
    load_before = os.getloadavg()[0]
    experiment = work / "skew.py"
    experiment.write_text("async def experiment(bed):\n    pass\n")
    topology = parse_topology(
        f"default qemu memory=128MiB\nnode n[1-{guests}] {kind}\nlan all csma n[1-{guests}] rate=1Gbps\n",
        name="skew",
    )
    async with open_testbed(
        topology,
        make_plan(topology, seed=1, source_directory=work),
        experiment=load_experiment(experiment),
        parameters={},
        seed=1,
        directory=RunDirectory.create(work / "runs", "skew", {"process": this_process()}),
        progress=progress,
    ) as bed:
        spreads = await measure_spreads(bed, tasks, program)
        overhead = {way: Quantiles.of(values) for way, values in (await measure_overhead(bed, tasks)).items()}
    written = {way: Quantiles.of([pair[0] for pair in values]) for way, values in spreads.items()}
    begun = {way: Quantiles.of([pair[1] for pair in values]) for way, values in spreads.items()}
    return Result(guests, load_before, os.getloadavg()[0], written, begun, overhead, bounds(written, begun, overhead))


def show(kind: str, result: Result) -> None:
    print(
        f"\n{result.guests} guests of type {kind}; load average {result.load_before:.2f} before,"
        f" {result.load_after:.2f} after; times in us"
    )
    print(f"{'':<18} {'rounds':>7} {'written p50':>12} {'p99':>10} {'begun p50':>12} {'p99':>10}")
    for way, written in result.written.items():
        row = (written.p50, written.p99, result.begun[way].p50, result.begun[way].p99)
        cells = " ".join(f"{value / 1000:>{width}.1f}" for value, width in zip(row, (12, 10, 12, 10), strict=True))
        print(f"{way:<18} {written.rounds:>7} {cells}")
    print(f"{'':<18} {'rounds':>7} {'overhead p50':>12} {'p99':>10}")
    for way, each in result.overhead.items():
        print(f"{way:<18} {each.rounds:>7} {each.p50 / 1000:>12.1f} {each.p99 / 1000:>10.1f}")
    print(f"{'ratio':<46} {'bound':>11} {'p50':>10} {'p99':>10}")
    for bound in result.bounds:
        limit = f"{bound.by} {bound.limit:.3g}"
        print(f"{bound.what:<46} {limit:>11} {bound.p50:>10.2f} {bound.p99:>10.2f}  {'met' if bound.met else 'missed'}")


async def main(arguments: argparse.Namespace, work: Path) -> None:
    program = work / "newlines"
    source = Path(__file__).with_name("newlines.c")
    await trio.run_process(["cc", "-O2", "-Wall", "-Wextra", "-o", program, source])
    results: dict[str, Any] = {}
    for kind in arguments.kind or ["container", "qemu"]:
        progress = open_progress()
        try:
            result = await measure(kind, arguments.guests, arguments.tasks, work, program, progress)
        finally:
            progress.close()
        show(kind, result)
        results[kind] = asdict(result)
        if arguments.output is not None:
            arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", action="append", help="node type of the guests; container, then qemu, if not given")
    parser.add_argument("--guests", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=1000, help="rounds (%(default)s)")
    parser.add_argument("--output", type=Path, help="write what was measured (ns) as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trio.run(main, given, Path(folder))

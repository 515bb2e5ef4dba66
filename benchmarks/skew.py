"""How far apart commands start on many guests: qemunet's Tasks beside pexpect and a bare C loop, interleaved.

    .venv/bin/python benchmarks/skew.py [--kind qemu] [--guests 10] [--tasks 1000]

Two spreads (last minus first) are measured for every round. *Written*: of the instants at which the newlines were
handed to the consoles. *Begun*: of the instants at which each guest's word that it has begun was read. The same
guests and consoles are used by all in turn, in blocks, so that a drift of the machine falls on all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pexpect
import trio

from qemunet import Task
from qemunet.experiment import load_experiment
from qemunet.guest.shell import Shell
from qemunet.plan import make_plan
from qemunet.progress import open_progress
from qemunet.results.record import RunDirectory, this_process
from qemunet.testbed import Testbed, open_testbed
from qemunet.topology import parse_topology

BLOCK = 50
MARK = re.compile(rb"<begun (\d+)>")


class Arrivals:
    """Reads many consoles in one thread and notes when the mark of a round came from each."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._seen = dict.fromkeys(descriptors, b"")
        self.times: dict[tuple[int, int], int] = {}
        self._changed = threading.Condition()
        self._stop, self._stopper = os.pipe()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        poll = select.poll()
        for descriptor in [self._stop, *self._seen]:
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._stop:
                    return
                seen = self._seen[descriptor] + os.read(descriptor, 65536)
                now_ns = time.monotonic_ns()
                with self._changed:
                    for match in MARK.finditer(seen):
                        self.times[descriptor, int(match[1])] = now_ns
                        seen = seen[match.end() :]
                    self._changed.notify_all()
                self._seen[descriptor] = seen[-100:]

    def wait(self, number: int) -> list[int]:
        """Arrival of round ``number`` from every console, in ns."""
        wanted = [(descriptor, number) for descriptor in self._seen]
        with self._changed:
            if not self._changed.wait_for(lambda: all(key in self.times for key in wanted), timeout=60):
                raise TimeoutError(f"round {number}: no answer from {[k for k in wanted if k not in self.times]}")
            return [self.times[key] for key in wanted]

    def close(self) -> None:
        os.write(self._stopper, b"x")
        self._thread.join()
        os.close(self._stop)
        os.close(self._stopper)


def line(number: int) -> str:
    # The mark is put together by the guest, so that an echo would not count.
    return f"printf '<%s {number}>' begun"


class Relayed(pexpect.spawn):
    """pexpect as it is used with a console: on a program that relays it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, True)
        super().__init__("socat", ["-,raw,echo=0", f"FD:{descriptor}"])

    def _spawnpty(self, args: Sequence[str], **options: object) -> object:
        return super()._spawnpty(args, pass_fds=[self._descriptor], **options)


def with_pexpect(descriptors: Sequence[int], rounds: Sequence[int], *, delay: bool) -> list[tuple[int, int]]:
    children = [Relayed(descriptor) for descriptor in descriptors]
    for child in children:
        if not delay:
            child.delaybeforesend = None
    arrivals = Arrivals([child.child_fd for child in children])
    spreads = []
    for number in rounds:
        written = []
        for child in children:
            child.sendline(line(number))
            written.append(time.monotonic_ns())
        spreads.append((spread(written), spread(arrivals.wait(number))))
    arrivals.close()
    for child in children:
        child.close(force=True)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return spreads


def with_c_loop(program: Path, descriptors: Sequence[int], rounds: range) -> list[tuple[int, int]]:
    arrivals = Arrivals(descriptors)
    words = [str(program), *map(str, descriptors)]
    spreads = []
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=descriptors) as loop:
        assert loop.stdin is not None
        assert loop.stdout is not None
        for number in rounds:
            for descriptor in descriptors:
                os.write(descriptor, line(number).encode())
            loop.stdin.write(b"\n")
            loop.stdin.flush()
            written = [int(word) for word in loop.stdout.readline().split()]
            spreads.append((spread(written), spread(arrivals.wait(number))))
        loop.stdin.close()
    arrivals.close()
    return spreads


def spread(times: Sequence[int]) -> int:
    return max(times) - min(times)


async def measure(
    bed: Testbed, shells: dict[str, Shell], tasks: int, program: Path
) -> dict[str, list[tuple[int, int]]]:
    spreads: dict[str, list[tuple[int, int]]] = {}
    descriptors = [shell.console.fd for shell in shells.values()]
    task = Task("skew", dict.fromkeys(shells, ":"))
    done = 0

    async def aside(measure_block: Callable[[], list[tuple[int, int]]]) -> list[tuple[int, int]]:
        """Others use the consoles, with nobody of qemunet's reading them."""
        for shell in shells.values():
            await shell.console.__aexit__(None, None, None)
            os.set_blocking(shell.console.fd, True)
        measured = await trio.to_thread.run_sync(measure_block)
        for shell in shells.values():
            shell.console.ended = None
            await shell.console.__aenter__()
        async with trio.open_nursery() as nursery:
            for shell in shells.values():
                nursery.start_soon(shell.synchronize)
        return measured

    while done < tasks:
        size = min(BLOCK, tasks - done)
        rounds = range(done, done + size)
        for _ in rounds:
            skew = (await bed.execute(task)).skew
            spreads.setdefault("qemunet", []).append((skew.written_ns, skew.begun_ns or 0))
        # With its delay pexpect sleeps 50 ms a guest and round; a few rounds say enough.
        few = rounds[:: max(1, size // 5)]
        others = {
            "C loop": partial(with_c_loop, program, descriptors, rounds),
            "pexpect, no delay": partial(with_pexpect, descriptors, rounds, delay=False),
            "pexpect": partial(with_pexpect, descriptors, few, delay=True),
        }
        for name, block in others.items():
            spreads.setdefault(name, []).extend(await aside(block))
        done += size
        bed.progress(f"{done} of {tasks} rounds")
    return spreads


def show(spreads: dict[str, list[tuple[int, int]]]) -> None:
    print(f"{'':<20} {'rounds':>7} {'written p50':>12} {'p99':>10} {'begun p50':>12} {'p99':>10}   in us")
    quantiles: dict[str, list[float]] = {}
    for name, values in spreads.items():
        row = []
        for column in (0, 1):
            cuts = statistics.quantiles([value[column] / 1000 for value in values], n=100, method="inclusive")
            row += [cuts[49], cuts[98]]
        quantiles[name] = row
        print(f"{name:<20} {len(values):>7} {row[0]:>12.1f} {row[1]:>10.1f} {row[2]:>12.1f} {row[3]:>10.1f}")
    ours = quantiles["qemunet"]
    print(f"written: qemunet / C loop, p99: {ours[1] / quantiles['C loop'][1]:.2f}")
    for name in ("pexpect", "pexpect, no delay"):
        theirs = quantiles[name]
        print(
            f"{name} / qemunet, p50 (p99): written {theirs[0] / ours[0]:.1f} ({theirs[1] / ours[1]:.1f}),"
            f" begun {theirs[2] / ours[2]:.1f} ({theirs[3] / ours[3]:.1f})"
        )


async def main(arguments: argparse.Namespace, work: Path) -> None:
    program = work / "newlines"
    source = Path(__file__).with_name("newlines.c")
    await trio.run_process(["cc", "-O2", "-Wall", "-Wextra", "-o", program, source])
    experiment = work / "skew.py"
    experiment.write_text("async def experiment(bed):\n    pass\n")
    topology = parse_topology(
        f"default qemu memory=128MiB\nnode n[1-{arguments.guests}] {arguments.kind}\n"
        f"lan all csma n[1-{arguments.guests}] rate=1Gbps\n",
        name="skew",
    )
    plan = make_plan(topology, seed=1, source_directory=work)
    directory = RunDirectory.create(work / "runs", "skew", {"process": this_process()})
    progress = open_progress()
    try:
        async with open_testbed(
            topology,
            plan,
            experiment=load_experiment(experiment),
            parameters={},
            seed=1,
            directory=directory,
            progress=progress,
        ) as bed:
            spreads = await measure(bed, bed.shells, arguments.tasks, program)
    finally:
        progress.close()
    print(f"{arguments.guests} {arguments.kind} guests; load average {os.getloadavg()[0]:.2f}")
    show(spreads)
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(spreads))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="qemu", help="node type of the guests (%(default)s)")
    parser.add_argument("--guests", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=1000, help="rounds (%(default)s)")
    parser.add_argument("--output", type=Path, help="write every spread (ns) as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trio.run(main, given, Path(folder))
    sys.exit(0)

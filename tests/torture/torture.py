"""The torture experiment: thousands of commands that try everything, over all guests, each checked to the last byte.

Commands come from ``tame``, ``hostile`` and pieces of a corpus that each guest has a copy of. They run in Tasks, in
lists, as verbs, beside Daemons and beside second shells, while the guests' kernels print. What is not as it should be
goes to ``defects.jsonl`` in the run directory, and fails the run.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from qemunet import Command, Daemon, Task
from qemunet.errors import CommandTimeout, GuestError, GuestExitedError, QemunetError
from qemunet.tasks import CompletedCommand
from qemunet.tasks.verbs import GuestVerbs
from qemunet.testbed import Guest, Testbed
from qemunet.topology.model import Node
from tests.torture import hostile, tame
from tests.torture.cases import Case, make_corpus
from tests.torture.maker import Maker, Supply, Traits, draw_sizes
from tests.torture.noise import KERNEL_NOISE, NOISE, TRACE

PARAMETERS = {
    "commands": 300,  # in all
    "bytes": 20_000_000,  # of bulk output, in all
    "noise": True,  # kernels print all the time
    "second": True,  # guests have further shells
    "hang_s": 900.0,  # nothing takes so long unless it hangs
    "late_s": 3.0,  # time-out of commands that never end by themselves
    "reboot": "echo rebooting; reboot -f; sleep 1000",  # the last command of each guest; nothing: none
    "corpus": "",  # file that each guest has already, as corpus_in_guest; nothing: one is made and copied
    "corpus_in_guest": "/tmp/torture/corpus",
    "skip": "",  # kinds that are left out, with commas between
}

Work = dict[str, list[str | Command | Daemon]]

_KINDS = {**tame.KINDS, **hostile.KINDS}


def configure(node: Node) -> str:
    """What a command may fill must leave the guest room to live."""
    small = "" if node.type == "container" else "mount -t tmpfs -o size=40m torture /tmp && "
    return f"{small}mkdir -p '/tmp/torture/a '\\''b\" $c'"


async def experiment(bed: Testbed) -> dict[str, Any]:
    """Torture all guests to the end."""
    torture = _Torture(bed)
    await torture.prepare()
    await torture.run()
    await torture.reboot()
    for name, value in torture.metrics().items():
        bed.record(name, value)
    assert not torture.defects, f"{sum(torture.defects.values())} defects, see {bed.directory / 'defects.jsonl'}"
    return {}


class _Torture:
    """One run of it.

    Attributes:
        defects: How many there are, by sort: ``mismatch``, ``error``, ``hang``.
    """

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed
        self.defects: Counter[str] = Counter()
        self._given = bed.parameters
        self._kinds: Counter[str] = Counter()
        self._bytes = 0
        self._longest = 0
        self._seconds = 0.0
        self._noops_ms: list[float] = []
        self._supplies: dict[str, Supply] = {}
        self._under_way: dict[str, str] = {}

    async def prepare(self) -> None:
        """Give each guest its copy of the corpus and its commands, and let its kernel print."""
        seed = self.bed.random.getrandbits(32)
        total = self._given["bytes"]
        sizes = draw_sizes(seed, total, self._given["commands"] * 6 // 10)
        corpus = await self._share_corpus(seed, max(sizes) + max(sizes) // 8)
        skipped = self._given["skip"].split(",")
        kinds = {name: kind for name, kind in _KINDS.items() if name not in skipped}
        names = list(self.bed.guests)
        for index, name in enumerate(names):
            container = self.bed.topology.nodes[name].type == "container"
            traits = Traits(
                container,
                self._given["late_s"],
                ("/tmp", "/run"),
                self._given["corpus_in_guest"],
                not self._given["second"],
            )
            maker = Maker(name, seed, corpus, sizes[index :: len(names)], traits)
            share = len(range(index, self._given["commands"], len(names)))
            self._supplies[name] = Supply(maker, share, kinds)
        await self._make_noise()

    async def _share_corpus(self, seed: int, size: int) -> bytes:
        """See to it that each guest has a copy."""
        given, there = self._given["corpus"], self._given["corpus_in_guest"]
        path = Path(given) if given else self.bed.directory / "corpus"
        if not given:
            path.write_bytes(make_corpus(seed, size))
        corpus = path.read_bytes()

        async def share(guest: Guest) -> None:
            if not given:
                await guest.copy_to(path, there)
            said = await guest.succeed(f"sha256sum <{there}")
            assert said.split()[0] == hashlib.sha256(corpus).hexdigest(), f"{guest.name}: the copy is wrong"

        async with trio.open_nursery() as nursery:
            for guest in self.bed.guests.values():
                nursery.start_soon(share, guest)
        if not given:
            path.unlink()
        return corpus

    async def _make_noise(self) -> None:
        if self._given["noise"]:
            for guest in self.bed.guests.values():
                await guest.succeed(NOISE if self._given["second"] else KERNEL_NOISE)

    async def run(self) -> None:
        """Run all commands, a round of one sort after the other."""
        start_s = time.monotonic()
        try:
            await self._rounds()
        finally:
            self._seconds = time.monotonic() - start_s

    async def _rounds(self) -> None:
        done, total = 0, self._left()
        while self._left():
            rounds: list[Callable[[], Awaitable[None]]] = [self._verbs]
            if not any(case.late for supply in self._supplies.values() if (case := supply.look())):
                rounds += [self._task] * 5 + [self._lists, self._beside_daemon]
                rounds += [self._beside_second] if self._given["second"] else []
            with trio.move_on_after(self._given["hang_s"]) as limit:
                await self.bed.random.choice(rounds)()
            if limit.cancelled_caught:
                ways = ", ".join(f"{tag}: {text[:300]!r}" for tag, text in self._under_way.items())
                self._defect("hang", None, f"a round did not end within {self._given['hang_s']:g} s: {ways}")
                return
            before, done = done, total - self._left()
            if done * 20 // total > before * 20 // total:
                self.bed.progress("torture", done=done, total=total)

    def _left(self) -> int:
        return sum(supply.left for supply in self._supplies.values())

    def _take(self, most: int) -> dict[str, list[Case]]:
        """Up to ``most`` commands of each guest that has some."""
        taken = {name: supply.take(most) for name, supply in self._supplies.items()}
        self._under_way = {case.tag: case.command.text for cases in taken.values() for case in cases}
        return {name: cases for name, cases in taken.items() if cases}

    async def _task(self) -> None:
        cases = {name: taken[0] for name, taken in self._take(1).items()}
        done = await self._run_task(Task("torture", {name: case.command for name, case in cases.items()}, check=False))
        for name, case in cases.items():
            if name in done:
                self._judge(case, done[name])

    async def _lists(self) -> None:
        cases = self._take(4)
        work: Work = {name: [case.command for case in taken] for name, taken in cases.items()}
        done = await self._run_task(Task("lists", work, check=False))
        for name, taken in cases.items():
            for case, completed in zip(taken, done.get(name, []), strict=False):
                self._judge(case, completed)

    async def _beside_daemon(self) -> None:
        """A Daemon on each guest says that it is there, and its command that this was seen."""
        cases = {name: taken[0] for name, taken in self._take(1).items()}
        said = {name: f"torture-daemon-{case.tag}" for name, case in cases.items()}
        work: Work = {
            name: [
                Daemon(f"echo {said[name]}; echo >/dev/shm/{said[name]}; exec sleep 1000"),
                f"until [ -e /dev/shm/{said[name]} ]; do sleep 0.02; done; rm /dev/shm/{said[name]}",
                case.command,
            ]
            for name, case in cases.items()
        }
        done = await self._run_task(Task("daemons", work, check=False))
        for name, case in cases.items():
            if name in done:
                daemon, waiting, completed = done[name]
                self._judge(case, completed)
                seen = (daemon.output_bytes, daemon.exit_status, waiting.output_bytes, waiting.exit_status)
                if seen != (said[name].encode() + b"\n", 130, b"", 0):
                    self._defect("mismatch", case, f"a Daemon beside it: {seen!r}")

    async def _run_task(self, task: Task) -> dict[str, Any]:
        try:
            return (await self.bed.execute(task)).results
        except QemunetError as error:
            self._defect("error", None, f"{task!r}: {type(error).__name__}: {error.message}")
            self._lose(error)
            return {}

    async def _verbs(self) -> None:
        async with trio.open_nursery() as nursery:
            for name, cases in self._take(self.bed.random.randrange(1, 9)).items():
                nursery.start_soon(self._one_after_another, self.bed.guests[name], cases)

    async def _beside_second(self) -> None:
        """Two shells of each guest at once."""
        async with trio.open_nursery() as nursery:
            for name, cases in self._take(6).items():
                guest = self.bed.guests[name]
                nursery.start_soon(self._one_after_another, guest, cases[::2])
                nursery.start_soon(self._on_second, guest, cases[1::2])

    async def _on_second(self, guest: Guest, cases: list[Case]) -> None:
        try:
            async with guest.open() as second:
                await self._one_after_another(second, cases)
        except QemunetError as error:
            self._defect("error", None, f"open() on {guest.name}: {type(error).__name__}: {error.message}")

    async def _one_after_another(self, guest: GuestVerbs, cases: list[Case]) -> None:
        for case in cases:
            start_s = time.monotonic()
            try:
                completed = await guest.run(case.command)
            except CommandTimeout as error:
                self._judge_late(case, error)
            except QemunetError as error:
                self._defect("error", case, f"{type(error).__name__}: {error.message}")
                self._lose(error)
                return
            else:
                self._judge(case, completed)
                if case.kind == "noop":
                    self._noops_ms.append((time.monotonic() - start_s) * 1e3)

    def _judge(self, case: Case, completed: CompletedCommand) -> None:
        self._count(case, len(completed.output_bytes))
        wrong = case.wrong(completed.output_bytes, completed.exit_status)
        if case.late:
            wrong = f"it ended, with status {completed.exit_status}, and should have been late"
        if wrong is not None:
            self._defect("mismatch", case, wrong)

    def _judge_late(self, case: Case, error: CommandTimeout) -> None:
        output = error.output.encode("utf-8", "surrogateescape")
        self._count(case, len(output))
        wrong = case.wrong(output, None) if case.late else f"it was late: {error.message}"
        if wrong is not None:
            self._defect("mismatch", case, wrong)

    def _count(self, case: Case, output_bytes: int) -> None:
        del self._under_way[case.tag]
        self._kinds[case.kind] += 1
        self._bytes += output_bytes
        self._longest = max(self._longest, output_bytes)

    def _lose(self, error: QemunetError) -> None:
        """A guest that has gone, or whose shell has, takes no more commands."""
        if isinstance(error, GuestError) and error.node is not None:
            self._supplies.pop(error.node, None)

    def _defect(self, sort: str, case: Case | None, what: str) -> None:
        self.defects[sort] += 1
        entry: dict[str, Any] = {"sort": sort, "what": what}
        if case is not None:
            entry |= {"kind": case.kind, "tag": case.tag, "text": case.command.text, "before": case.before}
        with (self.bed.directory / "defects.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    async def reboot(self) -> None:
        """End one guest after the other by its own hand; those that are left go on."""
        names = list(self._supplies)
        for name in names if self._given["reboot"] else []:
            try:
                completed = await self.bed.guests[name].run(self._given["reboot"])
                self._defect("mismatch", None, f"{name} should have rebooted: {completed!r}")
            except GuestExitedError as error:
                if (error.node, error.reason) != (name, "reboot"):
                    self._defect("mismatch", None, f"{name} rebooted, and that was called {error.reason}: {error}")
            except QemunetError as error:
                self._defect("error", None, f"{name} rebooted: {type(error).__name__}: {error.message}")
            for other in names[names.index(name) + 1 :]:
                if (said := await self.bed.guests[other].succeed("echo still here")) != "still here\n":
                    self._defect("mismatch", None, f"{other}, after the reboot of {name}: {said!r}")

    def metrics(self) -> dict[str, Any]:
        """What the run has seen; sizes in bytes, times of the host's monotonic clock."""
        logs = self.bed.directory.glob("console/*.log")
        return {
            "commands": sum(self._kinds.values()),
            "output_bytes": self._bytes,
            "longest_output_bytes": self._longest,
            "mismatches": self.defects["mismatch"],
            "errors": self.defects["error"],
            "hangs": self.defects["hang"],
            "seconds": round(self._seconds, 1),
            "bytes_per_s": round(self._bytes / self._seconds) if self._seconds else None,
            "noop_ms": round(statistics.median(self._noops_ms), 1) if self._noops_ms else None,
            "kernel_messages": sum(log.read_bytes().count(TRACE) for log in logs),
            "kinds": dict(sorted(self._kinds.items())),
        }

"""Guests are killed in the middle of Tasks of five: whoever waits is told which one it was, and what the others wrote is kept.

Each Task is hit at a random instant, by turns anywhere in it, while it is armed, and at its very start; the last one at its
barrier, when the victim has done its part and others have not. When a guest goes that nobody runs anything on, the run itself
ends, and names it. So ``kills.jsonl`` has a line before each kill, and one after it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio

from qemunet import Task
from qemunet.errors import GuestExitedError
from qemunet.testbed import Testbed

PARAMETERS = {
    "kills": 5,  # in this run; it needs four guests more
    "deadline_s": 60.0,  # within which a Task ends after a kill
    "lines": 300,  # that each command writes
}

_GUESTS = 5
_LOOP = "i=0; while [ $i -lt {lines} ]; do echo {tag} $i; i=$((i+1)); done"


async def experiment(bed: Testbed) -> dict[str, Any]:
    """Kill one guest after the other."""
    killer = _Killer(bed)
    await killer.prepare()
    for number in range(bed.parameters["kills"]):
        await killer.kill(number)
    return {"typical_s": killer.typical_s}


class _Killer:
    """Kills, and looks at what becomes of it.

    Attributes:
        typical_s: How long a Task takes from its start to its barrier if nobody is killed.
    """

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed
        self.typical_s = 0.0
        self._pids: dict[str, int] = {}
        self._rng = random.Random(bed.random.getrandbits(32))

    async def prepare(self) -> None:
        """Find the guests' processes, and out how long a Task takes."""
        self._pids = await _processes(self.bed)
        start_s = time.monotonic()
        await self.bed.run(self._task("typical", list(self._pids)[:_GUESTS], "", at_s=None))
        self.typical_s = time.monotonic() - start_s

    def _task(self, name: str, nodes: list[str], early: str, *, at_s: float | None) -> Task:
        """Two commands that write all the time, on each guest; ``early`` has but one short one."""
        commands = {}
        for node in nodes:
            loops = [_LOOP.format(lines=self.bed.parameters["lines"], tag=f"{name}-{node}-{part}") for part in (1, 2)]
            commands[node] = [f"echo {name}-{node}-1 0"] if node == early else [loops[0], f"sleep 0.1; {loops[1]}"]
        return Task(name, commands, at_s=at_s)

    async def kill(self, number: int) -> None:
        """Run a Task over five guests that are left, and kill one of them."""
        nodes = self._rng.sample(sorted(self._pids), _GUESTS)
        victim = self._rng.choice(nodes)
        last = number == self.bed.parameters["kills"] - 1
        where = "barrier" if last else self._rng.choice(("anywhere", "anywhere", "arming", "start"))
        name = f"kill-{number}"
        pid = self._pids.pop(victim)
        at_s = self.bed.now_s + self.typical_s + 0.5 if where == "start" else None
        task = self._task(name, nodes, victim if where == "barrier" else "", at_s=at_s)
        line = {"number": number, "victim": victim, "where": where}
        self._write({**line, "is": "due"})
        raised: GuestExitedError | None = None
        start_s = time.monotonic()

        async def strike() -> None:
            if at_s is not None:
                await self.bed.sleep_until(at_s + self._rng.uniform(-0.005, 0.01))
            elif where == "barrier":
                await self._has_arrived(name, victim)
            else:
                share = 0.2 if where == "arming" else 1.0
                await trio.sleep(self._rng.uniform(0, share * self.typical_s))
            os.kill(pid, signal.SIGKILL)

        with trio.fail_after(self.bed.parameters["deadline_s"]) as limit:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(strike)
                try:
                    await self.bed.run(task)
                except GuestExitedError as error:
                    raised = error
        # What is stopped is shielded from cancellation, so it may be too late all the same.
        assert trio.current_time() <= limit.deadline, f"{name}: {victim} was killed, and the Task took too long to end"
        if raised is None:
            # It had done its part. Nobody runs anything on it any more, so it is the run that ends, and names it.
            assert self._hit(name, victim) == "arrived", f"{name}: {victim} was killed and the Task did not notice"
            self._check_records(name)
            self._write({**line, "is": "over", "hit": "arrived"})
            await self.bed.sleep(self.bed.parameters["deadline_s"])
            raise AssertionError(f"{name}: {victim} was killed, and nobody has said so")
        assert (raised.node, raised.reason) == (victim, "crash"), f"{name}: {victim} was killed, {raised!r} was raised"
        self._check_records(name)
        self._write(
            {**line, "is": "done", "seconds": round(time.monotonic() - start_s, 3), "hit": self._hit(name, victim)}
        )

    async def _has_arrived(self, name: str, victim: str) -> None:
        def arrived() -> bool:
            return any(event["event"] == "arrived" and event.get("node") == victim for event in self._events(name))

        while not arrived():  # noqa: ASYNC110 - files have no events
            await trio.sleep(0.005)

    def _events(self, name: str) -> Iterator[dict[str, Any]]:
        for text in (self.bed.directory / "events.jsonl").read_text().splitlines():
            event = json.loads(text)
            if event.get("task") == name:
                yield event

    def _hit(self, name: str, victim: str) -> str:
        """What the victim had come to."""
        seen = [event["event"] for event in self._events(name) if event.get("node") == victim]
        return next((kind for kind in ("arrived", "started", "fired", "armed") if kind in seen), "nothing")

    def _check_records(self, name: str) -> None:
        """What was fired is on disk: its output is the beginning of what it had to write, and all of it if it has ended."""
        fired = [(event["node"], event["command"]) for event in self._events(name) if event["event"] == "fired"]
        texts = (self.bed.directory / "tasks.jsonl").read_text().splitlines()
        lines = [line for line in map(json.loads, texts) if line["task"] == name]
        assert sorted(fired) == sorted((line["node"], line["command"]) for line in lines), (name, fired, lines)
        for line in lines:
            part = 2 if line["command"].startswith("sleep") else 1
            count = self.bed.parameters["lines"] if "while" in line["command"] else 1
            due = "".join(f"{name}-{line['node']}-{part} {number}\n" for number in range(count))
            assert due.startswith(line["output"]), f"{name}: {line['node']} wrote {line['output']!r}"
            assert line["exit_status"] != 0 or line["output"] == due, f"{name}: {line['node']} ended too early"

    def _write(self, line: dict[str, Any]) -> None:
        with (self.bed.directory / "kills.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


async def _processes(bed: Testbed) -> dict[str, int]:
    """The process that each guest ends with: QEMU, or a container's PID 1; never one of another run."""
    machines: dict[str, int] = {}
    namespaces: dict[str, int] = {}
    for path in _descendants(os.getpid()):
        words = (path / "cmdline").read_bytes().split(b"\0")
        if b"-name" in words:
            machines[words[words.index(b"-name") + 1].decode()] = int(path.name)
        status = (path / "status").read_text().splitlines()
        numbers = next(line for line in status if line.startswith("NSpid:")).split()
        if numbers[-1] == "1":
            namespaces[os.readlink(path / "ns/pid")] = int(path.name)
    containers = [name for name, node in bed.topology.nodes.items() if node.type == "container"]
    if containers:
        done = await bed.run(Task("namespaces", dict.fromkeys(containers, "readlink /proc/self/ns/pid")))
        return {name: namespaces[done[name].output.strip()] for name in containers}
    return {name: machines[name] for name in bed.guests}


def _descendants(pid: int) -> Iterator[Path]:
    children = Path(f"/proc/{pid}/task").glob("*/children")
    for child in " ".join(path.read_text() for path in children).split():
        yield Path("/proc", child)
        yield from _descendants(int(child))

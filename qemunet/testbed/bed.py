"""What an experiment sees of the running network: the Testbed and its Guests."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import trio

from qemunet import tasks
from qemunet.errors import QemunetError, TaskError
from qemunet.guest import transfer
from qemunet.guest.clock import ClockOffset
from qemunet.guest.shell import Shell
from qemunet.metrics import plain
from qemunet.plan.model import InterfacePlan
from qemunet.progress import Progress
from qemunet.results.fidelity import Measured
from qemunet.results.record import RunDirectory
from qemunet.simulation.report import Counters, SimulationReport
from qemunet.tasks.barrier import TaskOutcome
from qemunet.tasks.chain import run_chain
from qemunet.tasks.engine import Engine
from qemunet.tasks.protocols import Observer, TaskEvent
from qemunet.tasks.verbs import GuestVerbs
from qemunet.testbed.clock import SimulationClock
from qemunet.testbed.guests import BootedGuest
from qemunet.testbed.links import Link, Links
from qemunet.testbed.measuring import Measuring
from qemunet.topology import Topology


class Guest(GuestVerbs):
    """A guest as an experiment sees it; its verbs are those of ``GuestVerbs``.

    Attributes:
        name: Name of its node.
        plan: What it was built from.
    """

    def __init__(self, guest: BootedGuest, clock: SimulationClock, observe: Observer, progress: Progress) -> None:
        super().__init__(guest.shell, clock, observe=observe)
        self.name = guest.plan.node
        self.plan = guest.plan
        self._shells = guest.shells
        self._wall_clock = guest.clock
        self._clock = clock
        self._observe = observe
        self._progress = progress

    @asynccontextmanager
    async def open(self) -> AsyncIterator[GuestVerbs]:
        """A second, independent shell: its verbs do not wait for Tasks or for the guest's other verbs.

        Raises:
            ConsoleError, GuestExitedError: it cannot be had.
        """
        async with self._shells.open() as shell:
            self._tell("shell-opened")
            try:
                yield GuestVerbs(shell, self._clock, observe=self._observe)
            finally:
                self._tell("shell-closed")

    async def copy_to(self, source: str | PathLike[str], target: str) -> None:
        """Copy a file or folder of the host to the guest, into ``target`` if that is a folder there.

        It goes over a console of its own, beside Tasks and verbs, if the guest has more than one.

        Raises:
            GuestError: there is no such source, or the guest could not take it.
        """
        with self._copying("to", str(source), target) as told:
            async with self._shells.for_copies() as shell:
                await transfer.send(shell, Path(source), target, told)

    async def copy_from(self, source: str, target: str | PathLike[str]) -> Path:
        """Copy a file or folder of the guest to the host, into ``target`` if that is a folder; returns what was written.

        Raises:
            CommandFailed: the guest could not read it.
            GuestError: the host could not write it.
        """
        with self._copying("from", source, str(target)) as told:
            async with self._shells.for_copies() as shell:
                return await transfer.fetch(shell, source, Path(target), told)

    @contextmanager
    def _copying(self, direction: str, source: str, target: str) -> Iterator[transfer.Told]:
        """Tell of a copy: to who waits, and in the record."""
        bytes_done = 0
        here, there = (f"{self.name}:", "") if direction == "from" else ("", f"{self.name}:")
        with self._progress.step(f"copying {here}{source} to {there}{target}") as step:

            def told(done: int, total: int | None) -> None:
                nonlocal bytes_done
                bytes_done = done
                step.update(done=done, total=total)

            about = {"direction": direction, "source": source, "target": target}
            self._tell("copy-started", **about)
            failure: str | None = "cut short"
            try:
                yield told
                failure = None
            except QemunetError as error:
                failure = error.message
                raise
            finally:
                self._tell("copy-ended", **about, bytes=bytes_done, error=failure)

    async def clock_offset(self) -> ClockOffset:
        """Measure how far its wall clock is from the host's, and so from simulation time.

        Raises:
            GuestError: it does not tell fractions of a second.
            ConsoleError, GuestExitedError: the guest is lost.
        """
        return self._told_of(await self._wall_clock.offset())

    async def sync_clock(self) -> ClockOffset:
        """Bring its wall clock to the host's, and measure how far it then is; it takes about a second.

        This is done before simulation time 0, and wanted again when the guest has changed its clock.

        Raises:
            GuestError: it cannot be told or set.
            ConsoleError, GuestExitedError: the guest is lost.
        """
        return self._told_of(await self._wall_clock.sync())

    def _told_of(self, offset: ClockOffset) -> ClockOffset:
        self._tell("clock", **asdict(offset))
        return offset

    def _tell(self, kind: str, **details: object) -> None:
        host_ns = time.monotonic_ns()
        self._observe(TaskEvent(kind, self._clock.to_simulation_s(host_ns), host_ns, node=self.name, details=details))

    @property
    def interfaces(self) -> tuple[InterfacePlan, ...]:
        """Its interfaces, in order."""
        return self.plan.interfaces

    @property
    def address(self) -> str | None:
        """Its first address without prefix length, None if it has none."""
        return next((address.split("/")[0] for each in self.interfaces for address in each.addresses), None)


class Testbed:
    """The running network.

    Attributes:
        topology: What it was built from.
        parameters: The run's parameters: the experiment's in their default's type, the topology's as text.
        random: Seeded by the run's seed.
        directory: The run directory.
        guests: By name.
        links: Links and lans by name, or by the names of the two nodes that one joins.
        metrics: What ``record`` was given.
        report: What the simulation says about itself, once the run has ended.
    """

    def __init__(
        self,
        topology: Topology,
        parameters: Mapping[str, Any],
        seed: int,
        directory: RunDirectory,
        progress: Progress,
        clock: SimulationClock,
        measuring: Measuring,
    ) -> None:
        self.topology = topology
        self.parameters = parameters
        self.random = random.Random(seed)
        self.directory = directory.path
        self.guests: dict[str, Guest] = {}
        self.links: Mapping[str | tuple[str, str], Link] = Links({})
        self.metrics: dict[str, Any] = {}
        self.report: SimulationReport | None = None
        self._record = directory
        self._progress = progress
        self._clock = clock
        self._counters: Callable[[], Counters] | None = None
        self._measuring = measuring
        self._engine: Engine | None = None
        self._shells: Mapping[str, Shell] = {}
        self._lost: dict[str, trio.Event] = {}

    def join(self, links: Links, counters: Callable[[], Counters]) -> None:
        """Take the links, and what tells of the simulation."""
        self.links = links
        self._counters = counters

    def use(self, engine: Engine, shells: Mapping[str, Shell]) -> None:
        """Take the engine that runs its Tasks, and the shells it runs them on."""
        self._engine = engine
        self._shells = shells

    @property
    def shells(self) -> Mapping[str, Shell]:
        """The command shells below the guests, for benchmarks and tests."""
        return self._shells

    @property
    def extended(self) -> Mapping[str, Any]:
        """What the experiment's ``extend`` returned, once the run has ended."""
        return {} if self.report is None else self.report.metrics

    @property
    def now_s(self) -> float:
        """Simulation time, in seconds."""
        return self._clock.now_s()

    @property
    def simulator_cpu_s(self) -> float:
        """CPU time that the simulator has used so far, in seconds: all its threads, from its start on.

        Raises:
            SimulationError: the simulator has ended before its time.
        """
        return 0.0 if self._counters is None else self._counters().lag.cpu_ns / 1e9

    def at_s(self, unix_time_s: float) -> float:
        """Simulation time of a wall-clock time stamp that was taken in a guest (a log, tcpdump), both in seconds."""
        return self._clock.at_s(unix_time_s)

    def unix_time_s(self, at_s: float) -> float:
        """Wall-clock time, as guests and host have it, at a simulation time, both in seconds."""
        return self._clock.unix_time_s(at_s)

    @property
    def measured(self) -> Measured | None:
        """What the run measured of its timing, once it has ended."""
        return None if self.report is None else self._measuring.result(self.report)

    async def run(self, task: tasks.Task) -> tasks.Results:
        """Run a Task to its barrier; returns a CompletedCommand (a list of them for a list) for each of its nodes.

        Raises:
            TaskError: another Task is running, or a node is no guest.
            CommandFailed, CommandTimeout: the first command that failed or was late.
            GuestExitedError, ConsoleError: a guest was lost.
        """
        if isinstance(task, tasks.Task):
            self._progress.say(f"Task {task.name}")
        return (await self.execute(task)).results

    async def execute(self, task: tasks.Task) -> TaskOutcome:
        """``run``, without a word of progress, and with the skew and the instant of the start beside the results."""
        if self._engine is None:
            raise TaskError("the testbed is not running, so no Task can run")
        return await self._engine.run(task)

    async def run_chain(self, first: tasks.Task, *, limit: int = 1000) -> list[tasks.Results]:
        """Run ``first``, then what its ``analyze`` returns, until that is None; returns the results of each.

        Raises:
            TaskError: the chain is longer than ``limit``; otherwise as ``run``.
        """
        return await run_chain(self.run, first, limit=limit)

    async def sleep(self, duration_s: float) -> None:
        """Wait for a span of simulation time, in seconds."""
        await self._clock.sleep_until(self.now_s + duration_s)

    async def sleep_until(self, at_s: float) -> None:
        """Wait until a simulation time, in seconds."""
        await self._clock.sleep_until(at_s)

    def record(self, name: str, value: Any) -> None:
        """Record a metric of the run.

        Raises:
            TypeError: it cannot be written as JSON.
        """
        try:
            self.metrics[name] = plain(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"metric {name} cannot be written as JSON: {error}") from error

    def progress(self, text: str, *, done: float | None = None, total: float | None = None) -> None:
        """Tell whoever waits how far the experiment is."""
        share = f" ({done:g} of {total:g})" if done is not None and total is not None else ""
        self._progress.say(f"{text}{share}")

    async def noticed(self, node: str) -> None:
        """Wait until a command on a guest has been told that the guest has gone."""
        await self._lost.setdefault(node, trio.Event()).wait()

    def has_noticed(self, node: str) -> bool:
        """Whether a command on a guest has been told that the guest has gone."""
        return node in self._lost and self._lost[node].is_set()

    def observe(self, event: TaskEvent) -> None:
        """Write what a Task or a verb did into events.jsonl, and each ended command into tasks.jsonl."""
        if event.kind == "lost" and event.node is not None:
            self._lost.setdefault(event.node, trio.Event()).set()
        self._measuring.observe(event)
        ended = event.completed
        values = {
            "task": event.task,
            "node": event.node,
            "number": event.number,
            "command": event.command,
            "exit_status": None if ended is None else ended.exit_status,
            **event.details,
        }
        self._record.event(
            event.kind,
            simulation_s=event.at_s,
            host_ns=event.host_ns,
            **{name: value for name, value in values.items() if value is not None},
        )
        if ended is not None:
            self._record.command(
                ended.output_path or ended.output_bytes,
                output_bytes=ended.size_bytes,
                dropped_bytes=ended.dropped_bytes,
                task=event.task,
                number=event.number,
                node=ended.node,
                command=ended.command,
                exit_status=ended.exit_status,
                fired_s=ended.fired_s,
                started_s=ended.started_s,
                ended_s=ended.ended_s,
                interrupted=ended.interrupted,
                daemon=ended.daemon,
                **({"mixed": True} if ended.mixed else {}),
            )

"""One Task on its way: armed on every guest, fired at one instant, followed to the barrier."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import trio

from qemunet.errors import BrokenBarrierError, CommandTimeout, GuestError, QemunetError
from qemunet.tasks.execution import Executor, Running, checked, late
from qemunet.tasks.protocols import Clock, Observer, Shell
from qemunet.tasks.task import CompletedCommand, Daemon, Item, Results, Task


@dataclass(frozen=True)
class Skew:
    """How far apart the first commands of a Task started: last minus first, in ns of the host's clock.

    Attributes:
        written_ns: The instants at which the newlines were written.
        begun_ns: The instants at which the guests' begin marks were read; None if not all began.
    """

    written_ns: int
    begun_ns: int | None


@dataclass(frozen=True)
class TaskOutcome:
    """A Task that reached its barrier.

    Attributes:
        results: As ``bed.run`` returns them.
        skew: Of its first commands.
        fired_s: Simulation time of the event that fired them.
    """

    results: Results
    skew: Skew
    fired_s: float


@dataclass
class _Guest:
    """One guest's part: what it runs, what it runs now, and what has been done."""

    node: str
    shell: Shell
    items: tuple[Item, ...]
    done: list[CompletedCommand | None]
    first: Running | None = None
    current: Running | None = None
    daemons: list[tuple[int, Running]] = field(default_factory=list)


_Work = Callable[[_Guest], Awaitable[None]]


class Execution:
    """Runs one Task, once.

    Args:
        shells: Those of the Task's guests; the caller holds their locks.
        outliving: Gets the Daemons that outlive the Task, with its name.
    """

    def __init__(
        self,
        task: Task,
        shells: Mapping[str, Shell],
        clock: Clock,
        observe: Observer,
        outliving: list[tuple[str, Running]],
    ) -> None:
        self._task = task
        self._clock = clock
        self._executor = Executor(clock, observe, task=task.name)
        self._outliving = outliving
        self._guests = [_Guest(node, shells[node], items, [None] * len(items)) for node, items in task.commands.items()]
        self._failures: list[QemunetError] = []
        self._arrived: list[str] = []

    async def run(self) -> TaskOutcome:
        """Run it to its barrier.

        Raises:
            QemunetError: the first thing that went wrong; its ``__cause__`` is the BrokenBarrierError.
        """
        try:
            await self._all(self._arm)
            self._raise_failure()
            at_s = self._task.at_s
            passed = at_s is not None and at_s < self._clock.now_s()
            firing = await self._clock.fire([guest.shell.number for guest in self._guests], at_s=at_s)
        except BaseException:
            await self._all_shielded(self._disarm)
            raise
        for guest, written_ns in zip(self._guests, firing.written_ns, strict=True):
            self._executor.fired(_armed(guest), written_ns, late=passed)
        try:
            with trio.move_on_after(float("inf") if self._task.timeout_s is None else self._task.timeout_s) as limit:
                await self._all(self._follow)
        finally:
            await self._all_shielded(self._stop_daemons)
        if limit.cancelled_caught and not self._failures:
            self._failures.append(self._late())
        skew = self._skew(firing.written_ns)
        self._executor.note("skew", written_ns=skew.written_ns, begun_ns=skew.begun_ns)
        self._raise_failure()
        self._executor.note("barrier", arrived=list(self._arrived))
        return TaskOutcome(self._results(), skew, firing.at_s)

    async def _all(self, work: _Work) -> None:
        """Do ``work`` for all guests at once; the first error is kept and ends the others."""
        async with trio.open_nursery() as nursery:

            async def one(guest: _Guest) -> None:
                try:
                    await work(guest)
                except QemunetError as error:
                    self._failures.append(error)
                    nursery.cancel_scope.cancel()

            for guest in self._guests:
                nursery.start_soon(one, guest)

    async def _all_shielded(self, work: _Work) -> None:
        """Do ``work`` for all guests to its end, whatever happens; errors are kept."""

        async def one(guest: _Guest) -> None:
            try:
                await work(guest)
            except GuestError as error:
                self._failures.append(error)

        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for guest in self._guests:
                    nursery.start_soon(one, guest)

    async def _arm(self, guest: _Guest) -> None:
        guest.first = guest.current = await self._executor.arm(guest.shell, guest.items[0])

    async def _disarm(self, guest: _Guest) -> None:
        if guest.first is not None:
            await self._executor.interrupt(guest.first)

    async def _follow(self, guest: _Guest) -> None:
        for index, item in enumerate(guest.items):
            running = _armed(guest)
            if index > 0:
                running = guest.current = await self._executor.arm(guest.shell, item)
                self._executor.fire(running)
            if isinstance(item, Daemon):
                guest.daemons.append((index, running))
                await self._executor.begun(running)
            else:
                check = checked(item, self._task.check)
                guest.done[index] = await self._executor.complete(running, timeout_s=item.timeout_s, check=check)
        self._arrived.append(guest.node)
        self._executor.note("arrived", node=guest.node)

    async def _stop_daemons(self, guest: _Guest) -> None:
        for index, running in guest.daemons:
            if isinstance(running.item, Daemon) and running.item.until == "run":
                self._outliving.append((self._task.name, running))
                guest.done[index] = self._executor.runs_on(running)
            elif running.completed is None:  # It is otherwise lost together with its guest.
                guest.done[index] = await self._executor.stop_daemon(running)

    def _raise_failure(self) -> None:
        if not self._failures:
            return
        missing = [guest.node for guest in self._guests if guest.node not in self._arrived]
        self._executor.note("broken", arrived=list(self._arrived), missing=missing, error=self._failures[0].message)
        raise self._failures[0] from BrokenBarrierError(
            f"Task {self._task.name!r} did not reach its barrier: "
            f"{', '.join(self._arrived) or 'nobody'} arrived, {', '.join(missing) or 'nobody'} did not",
            arrived=self._arrived,
            missing=missing,
        )

    def _late(self) -> CommandTimeout:
        """The error of a Task that took too long: the first command that was still on its way."""
        guest = next(guest for guest in self._guests if guest.node not in self._arrived)
        running = guest.current or _armed(guest)
        completed = running.completed or self._executor.runs_on(running)
        return late(completed, self._task.timeout_s or 0.0)

    def _skew(self, written_ns: Sequence[int]) -> Skew:
        begun_ns = [guest.first.begun_ns for guest in self._guests if guest.first and guest.first.begun_ns is not None]
        complete = len(begun_ns) == len(self._guests)
        return Skew(max(written_ns) - min(written_ns), max(begun_ns) - min(begun_ns) if complete else None)

    def _results(self) -> Results:
        return {
            guest.node: list(guest.done) if guest.node in self._task.lists else guest.done[0] for guest in self._guests
        }


def _armed(guest: _Guest) -> Running:
    if guest.first is None:
        raise RuntimeError(f"{guest.node} was not armed")
    return guest.first

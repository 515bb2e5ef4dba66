"""One Task on its way: armed on every guest, fired at one instant, followed to the barrier."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import trio

from qemunet.errors import BrokenBarrierError, CommandTimeout, GuestError, QemunetError, TaskError
from qemunet.tasks.execution import Executor, Running, checked, late
from qemunet.tasks.protocols import Clock, Observer, Shell
from qemunet.tasks.task import CompletedCommand, Daemon, Item, Results, Task

#: Whether a guest is lost is looked at until so shortly before the start; then its command does not begin.
_LOOKED_AFTER_UNTIL_S = 0.5


@dataclass(frozen=True)
class Skew:
    """How far apart the first commands of a Task started: last minus first, in ns of the host's clock.

    Attributes:
        written_ns: The instants at which the newlines were written.
        begun_ns: The instants at which the guests' begin marks arrived; None if not all began.
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
    """One guest's part: what it is to run, and what of that was armed, in order."""

    node: str
    shell: Shell
    items: tuple[Item, ...]
    begun: list[Running] = field(default_factory=list)
    outliving: dict[int, CompletedCommand] = field(default_factory=dict)

    @property
    def first(self) -> Running:
        """Its first command."""
        return self.begun[0]

    def results(self) -> list[CompletedCommand | None]:
        """What each of its items came to; None where nothing ran."""
        results = [self.outliving.get(index, running.completed) for index, running in enumerate(self.begun)]
        return results + [None] * (len(self.items) - len(results))


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
        self._guests = [_Guest(node, shells[node], items) for node, items in task.commands.items()]
        self._failures: list[QemunetError] = []
        self._arrived: list[str] = []

    async def run(self) -> TaskOutcome:
        """Run it to its barrier.

        Raises:
            QemunetError: the first thing that went wrong; its ``__cause__`` is the BrokenBarrierError, which has the rest.
        """
        try:
            await self._all(self._guests, self._arm)
            armed = [guest for guest in self._guests if guest.begun]
            if not armed or any(self._ends_all(error) for error in self._failures):
                self._raise_failure()
            at_s = self._task.at_s
            passed = at_s is not None and at_s < self._clock.now_s()
            if at_s is not None and not passed:
                await self._stand(armed, at_s - _LOOKED_AFTER_UNTIL_S)
            firing = await self._clock.fire([guest.shell.number for guest in armed], at_s=at_s)
        except BaseException:
            await self._all_shielded(self._disarm)
            raise
        for guest, written_ns in zip(armed, firing.written_ns, strict=True):
            self._executor.fired(guest.first, written_ns, late=passed)
        try:
            with trio.move_on_after(float("inf") if self._task.timeout_s is None else self._task.timeout_s) as limit:
                await self._all(armed, self._follow)
        finally:
            await self._all_shielded(self._stop_daemons)
        if limit.cancelled_caught:
            self._failures += self._late()
        skew = self._skew(armed, firing.written_ns)
        self._executor.note("skew", written_ns=skew.written_ns, begun_ns=skew.begun_ns)
        self._raise_failure()
        self._executor.note("barrier", arrived=list(self._arrived))
        return TaskOutcome(self._results(), skew, firing.at_s)

    def _ends_all(self, error: QemunetError) -> bool:
        """Whether the other guests' commands are to end with a failure."""
        # A mistake in the Task itself is nothing of which waiting for the others could tell more.
        return self._task.on_failure == "stop" or type(error) is TaskError

    async def _all(self, guests: Sequence[_Guest], work: _Work) -> None:
        """Do ``work`` for guests at once; errors are kept, and the first ends the others unless all are collected."""
        async with trio.open_nursery() as nursery:

            async def one(guest: _Guest) -> None:
                try:
                    await work(guest)
                except QemunetError as error:
                    self._failures.append(error)
                    if self._ends_all(error):
                        nursery.cancel_scope.cancel()

            for guest in guests:
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
        guest.begun.append(await self._executor.arm(guest.shell, guest.items[0]))

    async def _disarm(self, guest: _Guest) -> None:
        if guest.begun:
            await self._executor.interrupt(guest.first)

    async def _stand(self, armed: Sequence[_Guest], until_s: float) -> None:
        """Wait until a simulation time; a guest that is lost meanwhile ends the Task, of which nothing has begun."""
        lost: list[QemunetError] = []
        async with trio.open_nursery() as nursery:

            async def stand(guest: _Guest) -> None:
                try:
                    await self._executor.stays(guest.first)
                except QemunetError as error:
                    lost.append(error)
                    nursery.cancel_scope.cancel()

            for guest in armed:
                nursery.start_soon(stand, guest)
            await self._clock.sleep_until(until_s)
            nursery.cancel_scope.cancel()
        if lost:
            self._failures += lost
            self._raise_failure()

    async def _follow(self, guest: _Guest) -> None:
        for index, item in enumerate(guest.items):
            if index > 0:
                guest.begun.append(await self._executor.arm(guest.shell, item))
                self._executor.fire(guest.begun[index])
            if isinstance(item, Daemon):
                await self._executor.begun(guest.begun[index])
            else:
                check = checked(item, self._task.check)
                await self._executor.complete(guest.begun[index], timeout_s=item.timeout_s, check=check)
        self._arrived.append(guest.node)
        self._executor.note("arrived", node=guest.node)

    async def _stop_daemons(self, guest: _Guest) -> None:
        for index, running in enumerate(guest.begun):
            if not isinstance(running.item, Daemon) or running.completed is not None:
                continue  # One that is completed already is lost together with its guest.
            if running.item.until == "run":
                self._outliving.append((self._task.name, running))
                guest.outliving[index] = self._executor.runs_on(running)
            else:
                await self._executor.stop_daemon(running)

    def _raise_failure(self) -> None:
        if not self._failures:
            return
        missing = [guest.node for guest in self._guests if guest.node not in self._arrived]
        self._executor.note(
            "broken",
            arrived=list(self._arrived),
            missing=missing,
            error=self._failures[0].message,
            failures=len(self._failures),
        )
        raise self._failures[0] from BrokenBarrierError(
            f"Task {self._task.name!r} did not reach its barrier: "
            f"{', '.join(self._arrived) or 'nobody'} arrived, {', '.join(missing) or 'nobody'} did not",
            arrived=self._arrived,
            missing=missing,
            failures=self._failures,
            results=self._results(),
        )

    def _late(self) -> list[CommandTimeout]:
        """The errors of a Task that took too long: each guest's command that was still on its way."""
        failed = {getattr(error, "node", None) for error in self._failures}
        under_way = [guest.begun[-1] for guest in self._guests if guest.begun and guest.node not in self._arrived]
        return [
            late(running.completed or self._executor.runs_on(running), self._task.timeout_s or 0.0)
            for running in under_way
            if running.shell.node not in failed
        ]

    def _skew(self, guests: Sequence[_Guest], written_ns: Sequence[int]) -> Skew:
        begun_ns = [guest.first.begun_ns for guest in guests if guest.first.begun_ns is not None]
        complete = len(begun_ns) == len(guests)
        return Skew(max(written_ns) - min(written_ns), max(begun_ns) - min(begun_ns) if complete else None)

    def _results(self) -> Results:
        return {
            guest.node: guest.results() if guest.node in self._task.lists else guest.results()[0]
            for guest in self._guests
        }

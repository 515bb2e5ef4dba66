"""One command on one shell, from arming to its record: what Tasks and the verbs of a guest have in common."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field, replace

import trio

from qemunet.errors import CommandFailed, CommandTimeout, GuestError, TaskError
from qemunet.tasks.protocols import Armed, Clock, Ended, Observer, Shell, TaskEvent
from qemunet.tasks.task import Command, CompletedCommand, Daemon, Item

#: How much of a failing command's output its message shows.
_SHOWN_BYTES = 600


@dataclass
class Running:
    """A command that is armed, or runs.

    Attributes:
        number: No other command of the process has it.
        fired_ns: Host monotonic time of its newline; None while it only stands there.
        by_clock: The clock has fired it, not its shell.
        begun_ns: Host monotonic time of its begin mark, None before.
        completed: Its record, once there is one.
    """

    shell: Shell
    item: Item
    armed: Armed
    number: int = field(default_factory=itertools.count(1).__next__)
    fired_ns: int | None = None
    by_clock: bool = False
    begun_ns: int | None = None
    completed: CompletedCommand | None = None


class Executor:
    """Runs single commands and tells the observer.

    Args:
        task: Name of the Task for the record; None for a verb.
    """

    def __init__(self, clock: Clock, observe: Observer, *, task: str | None) -> None:
        self._clock = clock
        self._observe = observe
        self._task = task
        self._arrivals: dict[int, int] = {}
        self._asking = trio.Lock()

    def note(
        self,
        kind: str,
        *,
        running: Running | None = None,
        node: str | None = None,
        host_ns: int | None = None,
        completed: CompletedCommand | None = None,
        **details: object,
    ) -> None:
        """Tell the observer."""
        host_ns = time.monotonic_ns() if host_ns is None else host_ns
        self._observe(
            TaskEvent(
                kind,
                self._clock.to_simulation_s(host_ns),
                host_ns,
                task=self._task,
                node=running.shell.node if running else node,
                command=running.item.text if running else None,
                number=running.number if running else None,
                completed=completed,
                details=details,
            )
        )

    async def arm(self, shell: Shell, item: Item) -> Running:
        """Deliver a command.

        Raises:
            TaskError: it cannot be delivered to any shell.
            ConsoleError, GuestExitedError: the shell is lost.
        """
        stdin = item.stdin.encode("utf-8", "surrogateescape") if isinstance(item.stdin, str) else item.stdin
        daemon = isinstance(item, Daemon)
        try:
            armed = await shell.arm(item.text, cwd=item.cwd, env=item.env, stdin=stdin, daemon=daemon)
        except ValueError as error:
            raise TaskError(f"{shell.node}: {error}", hint="copy a long script to the guest and run it there") from None
        except GuestError as error:
            self.note("lost", node=shell.node, error=error.message)
            raise
        running = Running(shell, item, armed)
        self.note("armed", running=running)
        return running

    def fire(self, running: Running) -> None:
        """Start it from here."""
        self._note_fired(running, running.armed.fire())

    def fired(self, running: Running, host_ns: int, *, late: bool = False) -> None:
        """Note when the clock has written its newline."""
        self._note_fired(running, host_ns, late=late)
        running.by_clock = True

    def _note_fired(self, running: Running, host_ns: int, *, late: bool = False) -> None:
        running.fired_ns = host_ns
        if late:
            self.note("fired", running=running, host_ns=host_ns, late=True)
        else:
            self.note("fired", running=running, host_ns=host_ns)

    async def stays(self, running: Running) -> None:
        """Wait as long as an armed command stands there.

        Raises:
            ConsoleError, GuestExitedError: the shell or the guest is lost.
        """
        try:
            await running.armed.stays()
        except GuestError as error:
            self._lost(running, error)
            raise

    async def begun(self, running: Running) -> None:
        """Wait until it has begun.

        Raises:
            ConsoleError, GuestExitedError: the shell or the guest is lost.
        """
        try:
            read_ns = await running.armed.begun()
        except GuestError as error:
            self._lost(running, error)
            raise
        running.begun_ns = await self._arrival_ns(running, read_ns) if running.by_clock else read_ns
        self.note("started", running=running, host_ns=running.begun_ns)

    async def _arrival_ns(self, running: Running, read_ns: int) -> int:
        """When a begin mark arrived: many that come at once are read one after the other, and so later."""
        number = running.shell.number
        async with self._asking:  # Whoever waits meanwhile mostly has the answer then.
            if number not in self._arrivals:
                self._arrivals.update(await self._clock.arrivals())
        arrival_ns = self._arrivals.get(number, read_ns)
        return arrival_ns if (running.fired_ns or 0) <= arrival_ns <= read_ns else read_ns

    async def complete(self, running: Running, *, timeout_s: float | None, check: bool) -> CompletedCommand:
        """Follow a fired command to its end, or stop it when its time is over or the scope is cancelled.

        Raises:
            CommandFailed: its status is not 0 and ``check``.
            CommandTimeout: it took longer than ``timeout_s``; it has been stopped.
            ConsoleError, GuestExitedError: the shell or the guest is lost.
        """
        ended: Ended | None = None
        try:
            with trio.move_on_after(float("inf") if timeout_s is None else timeout_s):
                await self.begun(running)
                ended = await running.armed.ended()
            if ended is None:
                completed = await self.interrupt(running)
                raise late(completed, timeout_s or 0.0)
            await running.shell.outlived(running.item.text)
        except trio.Cancelled:
            if ended is None:
                await self.interrupt(running)
            else:
                self._record("ended", running, ended)
            raise
        except GuestError as error:
            self._lost(running, error)
            raise
        completed = self._record("ended", running, ended)
        if check and completed.exit_status != 0:
            raise failed(completed)
        return completed

    async def interrupt(self, running: Running) -> CompletedCommand:
        """Stop a command, shielded, and record it with its output so far.

        Raises:
            ConsoleError, GuestExitedError: the shell or the guest is lost.
        """
        with trio.CancelScope(shield=True):
            try:
                ended = await running.armed.stop()
            except GuestError as error:
                self._lost(running, error)
                raise
        return self._record("interrupted", running, ended)

    async def stop_daemon(self, running: Running) -> CompletedCommand:
        """Stop a Daemon, shielded, and record its output and status.

        Raises:
            ConsoleError, GuestExitedError: the shell or the guest is lost.
        """
        with trio.CancelScope(shield=True):
            try:
                ended = await running.armed.stop()
                await running.shell.outlived("")
            except GuestError as error:
                self._lost(running, error)
                raise
        return self._record("ended", running, ended)

    def runs_on(self, running: Running) -> CompletedCommand:
        """The record, for now, of a Daemon that outlives its Task."""
        completed = self._completed(running, None)
        return replace(completed, exit_status=None, ended_s=None)

    def _record(self, kind: str, running: Running, ended: Ended | None) -> CompletedCommand:
        (running.armed if ended is None else ended).written.close()
        completed = self._completed(running, ended, interrupted=kind != "ended")
        if running.fired_ns is not None and running.completed is None:
            running.completed = completed
            self.note(kind, running=running, completed=completed, host_ns=None if ended is None else ended.ended_ns)
        return completed

    def _lost(self, running: Running, error: GuestError) -> None:
        """Note that nobody will know its end; one that was not even fired leaves no record."""
        if running.completed is None:
            if running.fired_ns is not None:
                running.armed.written.close()
                running.completed = self._completed(running, None, interrupted=True)
            self.note("lost", running=running, completed=running.completed, error=error.message)

    def _completed(self, running: Running, ended: Ended | None, *, interrupted: bool = False) -> CompletedCommand:
        """The record of a command; without ``ended`` it is one of whose end nobody knows."""
        seconds = self._clock.to_simulation_s
        now_ns = time.monotonic_ns()
        fired_ns = now_ns if running.fired_ns is None else running.fired_ns
        begun_ns = ended.begun_ns if ended is not None and running.begun_ns is None else running.begun_ns
        written = (running.armed if ended is None else ended).written
        return CompletedCommand(
            node=running.shell.node,
            command=running.item.text,
            written=written,
            exit_status=None if ended is None else ended.exit_status,
            fired_s=seconds(fired_ns),
            started_s=seconds(fired_ns if begun_ns is None else begun_ns),
            ended_s=seconds(now_ns if ended is None else ended.ended_ns),
            dropped_bytes=written.dropped_bytes,
            interrupted=interrupted,
            daemon=isinstance(running.item, Daemon),
            mixed=ended is not None and ended.mixed,
        )


def checked(item: Command, default: bool) -> bool:
    """Whether a command's status counts."""
    return default if item.check is None else item.check


def failed(completed: CompletedCommand) -> CommandFailed:
    """The error of a command that returned another status than 0."""
    return CommandFailed(
        f"{completed.node}: {_short(completed.command)!r} returned {completed.exit_status}{_said(completed)}",
        node=completed.node,
        command=completed.command,
        output=lambda: completed.output,
        exit_status=-1 if completed.exit_status is None else completed.exit_status,
    )


def late(completed: CompletedCommand, timeout_s: float) -> CommandTimeout:
    """The error of a command that did not end in its time."""
    return CommandTimeout(
        f"{completed.node}: {_short(completed.command)!r} did not end within {timeout_s:g} s{_said(completed)}",
        node=completed.node,
        command=completed.command,
        output=lambda: completed.output,
        timeout_s=timeout_s,
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:117] + "..."


def _said(completed: CompletedCommand) -> str:
    """The end of its output, for a message."""
    text = completed.tail(2 * _SHOWN_BYTES).strip()
    if not text:
        return "; it wrote nothing"
    return "; it wrote:\n" + (text if len(text) <= _SHOWN_BYTES else "..." + text[-_SHOWN_BYTES:])

"""Commands that stand armed at a shell, and what can be done with them then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from qemunet.errors import ConsoleError
from qemunet.guest import framing
from qemunet.guest.output import Output
from qemunet.guest.watch import Watch

if TYPE_CHECKING:
    from qemunet.guest.shell import Shell

DISARM = b" :\n"
"""Makes an armed command harmless; nothing at all if it has been fired."""

_INTERRUPT, _QUIT = b"\x03", b"\x1c"
_TERM, _KILL = 15, 9
_SIGHUP_STATUS, _SIGKILL_STATUS = 129, 137
#: What users are promised that a Daemon has after each signal; not stretched for slow guests.
_DAEMON_GRACE_S = 2.0
#: A command on a noisy terminal is asked after when nothing was heard for this time, times its shell's patience.
_SILENCE = 0.5


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        written: What it wrote, as it came.
        exit_status: As the shell says it: 128 and the signal's number if a signal ended it.
        begun_ns, ended_ns: Host monotonic time at which the marks were read.
        mixed: Other things that the terminal printed may be in the output.
    """

    written: Output
    exit_status: int
    begun_ns: int
    ended_ns: int
    mixed: bool = False

    @property
    def output(self) -> bytes:
        """All of ``written``."""
        return self.written.data()


class _ShellReplacedError(Exception):
    """The shell died under a command, and another one answers."""


class Armed:
    """A command of which nothing is missing but the newline."""

    def __init__(self, shell: Shell, watch: Watch) -> None:
        self._shell = shell
        self._watch = watch
        self._alerts = shell.console.alerts
        self._status: int | None = None

    def fire(self) -> int:
        """Start it from here, at once; returns host monotonic time, in ns, of the key stroke."""
        return self._shell.console.write(b"\n")

    async def stays(self) -> None:
        """Return when it does not stand there any more because it was fired.

        Raises:
            ConsoleError, GuestExitedError: the shell or the guest is lost.
        """
        watch = self._watch
        while not self._decided():
            if watch.error is not None:
                raise watch.error
            if "died" in watch.hits:
                self._shell.lose()
                raise ConsoleError(
                    f"the shell of {self._shell.node} died before a command began", node=self._shell.node
                )
            await watch.changed()
        await trio.lowlevel.checkpoint()

    async def begun(self) -> int:
        """Wait until it has begun; returns host monotonic time, in ns.

        Raises:
            ConsoleError: it did not begin although it was fired.
            GuestExitedError: the guest is gone.
        """
        node = self._shell.node
        with trio.move_on_after(self._shell.reply_s):
            await self._decision()
            hits = self._watch.hits
            if "begin" in hits:
                return hits["begin"].read_ns
            self._shell.lose()
            raise ConsoleError(f"a fired command was refused by {node}", node=node)
        self._shell.lose()
        raise ConsoleError(
            f"a command that was fired at {node} did not begin within {self._shell.reply_s:g} s", node=node
        )

    async def ended(self) -> Ended:
        """Wait until it has ended.

        Raises:
            ConsoleError, GuestExitedError: the shell or the guest is lost; ``output`` is what came.
        """
        try:
            await self._end()
        except _ShellReplacedError:
            await self._recover()
        return self._result()

    @property
    def written(self) -> Output:
        """What it writes."""
        return self._watch.output

    def output(self) -> bytes:
        """What it has written so far."""
        return self.written.data()

    async def stop(self) -> Ended | None:
        """Make it end: interrupt, quit, kill, and find the shell again; None if it had never begun.

        Call it in a shielded scope. It takes at most four times ``grace_s`` and what the shell's recovery takes.

        Raises:
            ConsoleError, GuestExitedError: the shell or the guest is lost.
        """
        shell, watch = self._shell, self._watch
        if not await self._has_begun():
            return None
        try:
            if await self._ends_in(self._unsettled_s()):
                return self._result()
            for key in (_INTERRUPT, _QUIT):
                shell.console.write(key)
                if await self._ends_in(shell.grace_s):
                    return self._result()
                shell.deafen()
            for signal in (_TERM, _KILL):
                if await shell.kill(signal, watch) and await self._ends_in(shell.grace_s):
                    return self._result()
        except _ShellReplacedError:
            await self._recover()
            return self._result()
        await shell.synchronize(shell.reply_s)
        return self._result()

    async def _has_begun(self) -> bool:
        """Make an armed command harmless, and say whether that was too late."""
        shell, watch = self._shell, self._watch
        if not self._decided():
            if not watch.hits.keys() - {"armed"}:  # It stands there, or its newline is on its way.
                shell.console.write(DISARM)
            with trio.move_on_after(shell.reply_s):
                await self._decision()
        if not self._decided():
            await shell.synchronize(shell.reply_s)
        return "begin" in watch.hits

    def _decided(self) -> bool:
        """Whether the shell has said that it runs, or that it does not."""
        return bool(self._watch.hits.keys() & {"begin", "end"})

    async def _decision(self) -> None:
        """Wait until that is decided, or the shell has died before it was."""
        while not self._decided():
            if self._watch.error is not None:
                raise self._watch.error
            if "died" in self._watch.hits:
                # The terminal may be ahead of the channel.
                await self._flushed()
                return
            await self._watch.changed()
        await trio.lowlevel.checkpoint()

    def _unsettled_s(self) -> float:
        """How long the command is still too young for a signal."""
        begun = self._watch.hits.get("begin")
        return 0.0 if begun is None else max(0.0, begun.read_ns / 1e9 + self._shell.settle_s - time.monotonic())

    async def _ends_in(self, limit_s: float) -> bool:
        with trio.move_on_after(limit_s):
            await self._end()
            return True
        return False

    async def _end(self) -> None:
        """Wait for the end; when a shell seems to have started, ask whether it is another one."""
        shell, watch = self._shell, self._watch
        while "end" not in watch.hits:
            if watch.error is not None:
                raise watch.error
            if watch.hits.keys() & {"died", "probe"}:
                raise _ShellReplacedError
            if shell.console.alerts != self._alerts:
                self._alerts = shell.console.alerts
                if shell.watched:
                    # Anything may print on it: whoever reads it says whether it is still what it was.
                    if not await shell.is_there(watch):
                        raise _ShellReplacedError
                    continue
                # What is typed may be read by the command: only if it may be another shell that reads it.
                if not await shell.lives():
                    shell.type_probe(watch)
                continue
            if self._told_of_end():
                return
            with trio.move_on_after(shell.reply_s * _SILENCE if shell.watched else float("inf")) as silence:
                await watch.changed()
            if silence.cancelled_caught:
                nonce = framing.new_nonce()
                watch.add("state", nonce)
                shell.console.write(f"q_h {nonce}\n".encode())
        await trio.lowlevel.checkpoint()

    def _told_of_end(self) -> bool:
        """Whether a shell that was asked has said that this command has ended: its mark was lost."""
        state = self._watch.hits.get("state")
        if state is None or self._watch.names.get(state.words[0].encode()) != "end":
            return False
        self._status = int(state.words[1])
        return True

    async def _recover(self) -> None:
        """Read what a command has written whose shell has died, and find another shell."""
        shell, watch = self._shell, self._watch
        with trio.CancelScope(shield=True):
            if "probe" in watch.hits or "died" in watch.hits:
                await self._flushed()
            await shell.synchronize(shell.reply_s)

    async def _flushed(self) -> None:
        """Wait for the last that a dead shell's command wrote, as long as something can still come."""
        shell, watch = self._shell, self._watch
        if "flush" not in watch.names.values():
            shell.type_flush(watch)
        with trio.move_on_after(shell.grace_s):
            while "flush" not in watch.hits and not (watch.decoder and watch.decoder.complete):
                if watch.error is not None:
                    return
                await watch.changed()

    def _result(self) -> Ended:
        watch = self._watch
        if "begin" not in watch.hits:
            raise ConsoleError(f"the shell of {self._shell.node} died before a command began", node=self._shell.node)
        begun_ns = watch.hits["begin"].read_ns
        # A session that has ended took its commands along by SIGHUP.
        last = watch.hits.get("end") or watch.hits.get("died") or watch.hits.get("probe")
        status = _SIGHUP_STATUS if self._status is None else self._status
        if last is not None and last.words:
            status = int(last.words[0])
        decoder = watch.decoder
        if decoder is not None and (rest := decoder.rest()):
            watch.output.append(rest)
        return Ended(
            written=watch.output,
            exit_status=status,
            begun_ns=begun_ns,
            # The mark of a shell that died comes by the terminal, which may be ahead of the channel.
            ended_ns=time.monotonic_ns() if last is None else max(last.read_ns, begun_ns),
            mixed=self._shell.watched and (decoder is None or decoder.mixed or not decoder.complete),
        )


class ArmedDaemon(Armed):
    """A command that runs in the background once it is fired; its shell is then free for others."""

    def __init__(self, shell: Shell, watch: Watch, number: int) -> None:
        super().__init__(shell, watch)
        self._number = number

    async def ended(self) -> Ended:
        """Not for a Daemon: it is stopped."""
        raise TypeError("a Daemon is not waited for")

    async def stop(self) -> Ended | None:
        """SIGINT to its process group, after 2 s SIGTERM, after 2 s SIGKILL; its output and status.

        The shell must be idle. Call it in a shielded scope.
        """
        shell, watch = self._shell, self._watch
        begun = await self._has_begun()
        told = watch.hits.get("end")
        if told is None:
            if begun:
                raise ConsoleError(f"a Daemon on {shell.node} did not start", node=shell.node)
            return None
        pid = told.words[0]
        if pid == "-":
            return None
        await shell.ready()
        status = "-"
        await trio.sleep(self._unsettled_s())
        for signal in ("INT", "TERM", "KILL"):
            status = await self._signal(signal, pid)
            if status != "-":
                break
        now_ns = time.monotonic_ns()
        collected = await shell.collect(self._number)
        return Ended(
            written=collected.output,
            exit_status=int(status) if status.isdigit() else _SIGKILL_STATUS,
            begun_ns=watch.hits.get("begin", told).read_ns,
            ended_ns=now_ns,
            mixed=collected.decoder is not None and (collected.decoder.mixed or not collected.decoder.complete),
        )

    def _decided(self) -> bool:
        """Whether it runs and the shell has said which process it is, in either order, or that it does not."""
        hits = self._watch.hits
        return "end" in hits and ("begin" in hits or hits["end"].words == ("-",))

    async def _signal(self, signal: str, pid: str) -> str:
        """Send a signal and wait; returns the exit status, ``gone`` if there is none, or ``-`` if it still runs."""
        shell = self._shell
        pause_s = 0.001
        (status,) = await shell.ask(f"q_k {{}} {signal} {pid} {self._number}")
        with trio.move_on_after(_DAEMON_GRACE_S):
            while status == "-":
                await trio.sleep(pause_s)
                pause_s = min(pause_s * 2, 0.05)
                with trio.CancelScope(shield=True):
                    (status,) = await shell.ask(f"q_k {{}} 0 {pid} {self._number}")
        return status

"""The command shell of a guest, over any console: commands are armed, fired, followed to their end, and stopped.

One command at a time. A caller that shares a shell holds its ``lock``. Every wait can be cancelled; a command that has
been armed must then be told to ``stop`` before the shell is used again.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import trio

from qemunet.errors import ConsoleError
from qemunet.guest import framing
from qemunet.guest.console import Console, Watch
from qemunet.guest.output import Output

#: Sends a signal, by its number, to what runs in the foreground of a console.
Killer = Callable[[int], Awaitable[None]]

_INTERRUPT, _QUIT = b"\x03", b"\x1c"
#: Makes an armed line harmless; nothing at all if it has been fired.
_DISARM = b" :\n"
#: ioctl that names a terminal's session; the termios module of Python 3.11 has no name for it.
_TIOCGSID = 0x5429
_SIGHUP_STATUS, _SIGKILL_STATUS = 129, 137
#: What users are promised that a Daemon has after each signal; not stretched for slow guests.
_DAEMON_GRACE_S = 2.0


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        written: What it wrote, as it came.
        exit_status: As the shell says it: 128 and the signal's number if a signal ended it.
        begun_ns, ended_ns: Host monotonic time at which the marks were read.
        mixed: Messages of the guest's kernel may be in the output, and could not be told apart.
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


class Shell:
    """A command shell on a console.

    Args:
        console: An open console.
        number: The console's number at the simulation, which fires armed commands.
        sh: The shell in the guest: ``sh``, or for example ``busybox sh``.
        stray: A file of the guest for what left-behind processes write, such as the device of another console; without
            it that output is read and dropped.
        control: A synchronized second shell of the same guest, through which commands that ignore the keyboard are
            killed.
        killer: Another way to do that.
        patience: Factor on all waiting times of the shell's own (a slow guest).
        outlived: What ``outlived`` asks; without it every guest is taken to go on.
        outputs: Makes what takes the output of a command.

    Attributes:
        directory: Where in the guest the shell keeps its pipe and the output of Daemons.
    """

    def __init__(
        self,
        console: Console,
        *,
        number: int = 0,
        sh: str = "sh",
        stray: str = "",
        control: Shell | None = None,
        killer: Killer | None = None,
        patience: float = 1.0,
        outlived: Callable[[str], Awaitable[None]] | None = None,
        outputs: Callable[[], Output] = Output,
    ) -> None:
        self.console = console
        self.node = console.node
        self.number = number
        self.lock = trio.Lock()
        self.reply_s = 10.0 * patience
        self.grace_s = 2.0 * patience
        # A command's own shell may lose a signal while it starts (dash does when it forks), so none is sent so early.
        self.settle_s = 0.05 * patience
        self._sh = sh
        self._stray = stray
        self._killer = killer or (None if control is None else self._kill_through(control))
        self._outlived = outlived
        self._outputs = outputs
        self.directory = ""
        self._name = f"qemunet-{secrets.token_hex(4)}"
        self._pid = 0
        self._daemons = 0
        self._synchronized = False
        self._deaf = False  # The terminal may have stopped to turn ^C into a signal.

    def _kill_through(self, control: Shell) -> Killer:
        async def kill(signal: int) -> None:
            async with control.lock:
                await control._ask(f"q_g {{}} {signal} {self._pid}\n")

        return kill

    async def synchronize(self, deadline_s: float = 30.0) -> None:
        """Find or bring the console's shell to a known state; nothing that stands on the console matters.

        Raises:
            ConsoleError: no shell answered within ``deadline_s``.
            GuestExitedError: the guest is gone.
        """
        self._synchronized = False
        with trio.move_on_after(deadline_s):
            while not await self._set_up():
                pass
            self._synchronized = True
            return
        raise ConsoleError(
            f"the shell of {self.node} did not answer within {deadline_s:g} s",
            node=self.node,
            hint=f"what the console said is in {self.console.log}",
        )

    async def _set_up(self) -> bool:
        patience_s, attempt = self.reply_s / 40, 0
        # Only the answer to the last attempt counts: of what was typed after an earlier one nobody knows which shell
        # has read it.
        while True:
            hello = framing.new_nonce()
            watch = self.console.watch({"hello": hello})
            self.console.write(framing.greeting(hello, attempt, sh=self._sh))
            with trio.move_on_after(patience_s):
                if await self._greeted(watch):
                    break
                continue
            patience_s, attempt = min(patience_s * 1.5, self.reply_s / 2), attempt + 1
        nonce = framing.new_nonce()
        watch = self.console.watch({"ready": nonce})
        self.console.write(framing.set_up(nonce, sh=self._sh, stray=self._stray, directory=self._name))
        with trio.move_on_after(self.reply_s):
            pid, self.directory = (await watch.reached("ready")).words
            self._pid = int(pid)
            return True
        return False

    async def _greeted(self, watch: Watch) -> bool:
        """Wait for the answer to a greeting; False if meanwhile a fresh shell said that it is there, so greet again."""
        while not watch.alerts:
            if "hello" in watch.hits:
                return True
            if watch.error is not None:
                raise watch.error
            await watch.changed()
        return "hello" in watch.hits

    async def arm(
        self,
        text: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        daemon: bool = False,
        output: Output | None = None,
    ) -> Armed:
        """Deliver a command, and type the line that runs it, without its newline.

        Args:
            text: For the guest's POSIX sh; anything but NUL.
            cwd: Its working directory.
            env: Variables added to its environment.
            stdin: What the command reads; None is /dev/null.
            daemon: It runs in the background, in a process group of its own.
            output: Takes what the command writes; if None, as the shell was told.

        Raises:
            ValueError: the text cannot be delivered.
            ConsoleError, GuestExitedError: the shell is lost.
        """
        if not self._synchronized:
            await self.synchronize()
        self._daemons += daemon
        if self._deaf:
            await self._ask(framing.mend("{}").decode())
            self._deaf = False
        mended = False
        for _ in range(3):
            nonces = {name: framing.new_nonce() for name in ("armed", "begin", "end")}
            delivery = framing.delivery(
                nonces["armed"], text, cwd=cwd, env=env or {}, stdin=stdin or b"", daemon=daemon
            )
            watch = self.console.watch(nonces, output=output or self._outputs())
            line = f"{'q_b' if daemon else 'q_r'} {nonces['begin']} {nonces['end']} "
            self.console.write(delivery + line.encode() + (b"%d " % self._daemons if daemon else b""))
            answer = None
            try:
                with trio.move_on_after(self.reply_s):
                    answer = await watch.reached("armed")
            except trio.Cancelled:
                self.console.write(_DISARM)
                raise
            if answer is None or answer.words != ("ok",):
                await self.synchronize(self.reply_s)
            elif (answer.translated or watch.echoed) and not mended:
                mended = True
                self.console.write(_DISARM)
                await self._ask(framing.mend("{}").decode())
            else:
                return ArmedDaemon(self, watch, self._daemons) if daemon else Armed(self, watch)
        raise ConsoleError(
            f"a command could not be delivered to {self.node}: something else reads its console", node=self.node
        )

    async def outlived(self, command: str) -> None:
        """For after the end of a command: return if the guest goes on.

        Raises:
            GuestExitedError: it goes down, or has gone.
        """
        if self._outlived is not None:
            await self._outlived(command)

    async def _ask(self, line: str) -> tuple[str, ...]:
        """Type a line with a nonce at ``{}`` and return the words of its answer."""
        nonce = framing.new_nonce()
        watch = self.console.watch({"answer": nonce})
        self.console.write(line.replace("{}", nonce).encode())
        with trio.move_on_after(self.reply_s):
            return (await watch.reached("answer")).words
        raise ConsoleError(f"the shell of {self.node} does not answer", node=self.node)

    async def _collect(self, number: int) -> Output:
        nonces = {"begin": framing.new_nonce(), "end": framing.new_nonce()}
        watch = self.console.watch(nonces, output=self._outputs())
        self.console.write(f"q_o {nonces['begin']} {nonces['end']} {number}\n".encode())
        await watch.reached("end")
        return watch.output

    async def _kill(self, signal: int) -> bool:
        """Send a signal to what runs in the foreground, past the keyboard; False if there is no way to."""
        if self._killer is None:
            return False
        with trio.move_on_after(self.reply_s):
            try:
                await self._killer(signal)
            except ConsoleError:
                return False
            return True
        return False


class Armed:
    """A command that stands typed at a shell."""

    def __init__(self, shell: Shell, watch: Watch) -> None:
        self._shell = shell
        self._watch = watch
        self._alerts = watch.alerts

    def fire(self) -> int:
        """Start it from here, at once; returns host monotonic time, in ns, of the key stroke."""
        return self._shell.console.write(b"\n")

    async def begun(self) -> int:
        """Wait until it has begun; returns host monotonic time, in ns.

        Raises:
            ConsoleError: it did not begin although it was fired.
            GuestExitedError: the guest is gone.
        """
        with trio.move_on_after(self._shell.reply_s):
            await self._decision()
            hits = self._watch.hits
            if "begin" in hits:
                return hits["begin"].read_ns
            raise ConsoleError(
                f"a fired command was refused by {self._shell.node}: {hits['end'].words}", node=self._shell.node
            )
        self._shell._synchronized = False
        raise ConsoleError(
            f"a command that was fired at {self._shell.node} did not begin within {self._shell.reply_s:g} s",
            node=self._shell.node,
        )

    async def ended(self) -> Ended:
        """Wait until it has ended.

        Raises:
            ConsoleError, GuestExitedError: the shell or the guest is lost; ``output`` is what came.
        """
        try:
            await self._end()
        except _ShellReplacedError:
            with trio.CancelScope(shield=True):
                await self._shell.synchronize(self._shell.reply_s)
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
                if "end" not in watch.hits:
                    shell.console.write(key)
                if await self._ends_in(shell.grace_s):
                    return self._result()
                shell._deaf = True
            for signal in (15, 9):
                if await shell._kill(signal) and await self._ends_in(shell.grace_s):
                    return self._result()
        except _ShellReplacedError:
            pass
        await shell.synchronize(shell.reply_s)
        return self._result()

    async def _has_begun(self) -> bool:
        """Make an armed line harmless, and say whether that was too late."""
        shell, watch = self._shell, self._watch
        if not self._decided():
            if not watch.hits:  # The armed line stands there, or its newline is on its way.
                shell.console.write(_DISARM)
            with trio.move_on_after(shell.reply_s):
                await self._decision()
        if not self._decided():
            await shell.synchronize(shell.reply_s)
        return "begin" in watch.hits

    def _decided(self) -> bool:
        """Whether the shell has said that it runs, or that it does not."""
        return bool(self._watch.hits.keys() & {"begin", "end"})

    async def _decision(self) -> None:
        """Wait until that is decided."""
        while not self._decided():
            if self._watch.error is not None:
                raise self._watch.error
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
        watch = self._watch
        while "end" not in watch.hits:
            if watch.error is not None:
                raise watch.error
            if "probe" in watch.hits:
                self._shell._synchronized = False
                raise _ShellReplacedError
            if watch.alerts != self._alerts:
                self._alerts = watch.alerts
                nonce = framing.new_nonce()
                watch.add("probe", nonce)
                self._shell.console.write(framing.probe(nonce))
            await watch.changed()
        await trio.lowlevel.checkpoint()

    def _result(self) -> Ended:
        watch = self._watch
        if "begin" not in watch.hits:
            raise ConsoleError(f"the shell of {self._shell.node} died before a command began", node=self._shell.node)
        begun_ns = watch.hits["begin"].read_ns
        # The order of hits is that in which they were read; a shell that died took its command along by SIGHUP.
        last = watch.hits.get("end") or watch.hits.get("probe")
        status = int(watch.hits["end"].words[0]) if "end" in watch.hits else _SIGHUP_STATUS
        return Ended(
            written=watch.output,
            exit_status=status,
            begun_ns=begun_ns,
            ended_ns=begun_ns if last is None else last.read_ns,
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
        status = "-"
        await trio.sleep(self._unsettled_s())
        for signal in ("INT", "TERM", "KILL"):
            status = await self._signal(signal, pid)
            if status != "-":
                break
        now_ns = time.monotonic_ns()
        return Ended(
            written=await shell._collect(self._number),
            exit_status=int(status) if status.isdigit() else _SIGKILL_STATUS,
            begun_ns=watch.hits.get("begin", told).read_ns,
            ended_ns=now_ns,
        )

    def _decided(self) -> bool:
        """Whether it runs and the shell has said which process it is, in either order, or that it does not."""
        hits = self._watch.hits
        return "end" in hits and ("begin" in hits or hits["end"].words == ("-",))

    async def _signal(self, signal: str, pid: str) -> str:
        """Send a signal and wait; returns the exit status, ``gone`` if there is none, or ``-`` if it still runs."""
        shell = self._shell
        pause_s = 0.001
        (status,) = await shell._ask(f"q_k {{}} {signal} {pid} {self._number}\n")
        with trio.move_on_after(_DAEMON_GRACE_S):
            while status == "-":
                await trio.sleep(pause_s)
                pause_s = min(pause_s * 2, 0.05)
                with trio.CancelScope(shield=True):
                    (status,) = await shell._ask(f"q_k {{}} 0 {pid} {self._number}\n")
        return status


def pty_killer(master: int) -> Killer:
    """A killer for a shell on a pty of this host's kernel: its foreground process group, by the master's descriptor."""

    async def kill(signal: int) -> None:
        with suppress(OSError):
            (session,) = struct.unpack("i", fcntl.ioctl(master, _TIOCGSID, bytes(4)))
            group = os.tcgetpgrp(master)
            if group != session:  # The shell itself leads the session; with nothing in the foreground it is to live.
                os.killpg(group, signal)

    return kill

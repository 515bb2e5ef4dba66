"""The command shell of a guest, over any console: commands are armed, fired, followed to their end, and stopped.

One command at a time. A caller that shares a shell holds its ``lock``. Every wait can be cancelled; a command that has
been armed must then be told to ``stop`` before the shell is used again.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import trio

from qemunet.errors import ConsoleError
from qemunet.guest import framing
from qemunet.guest.armed import DISARM, Armed, ArmedDaemon
from qemunet.guest.console import Console
from qemunet.guest.encoding import Decoder
from qemunet.guest.keeper import Keeper
from qemunet.guest.login import Login
from qemunet.guest.output import Output
from qemunet.guest.watch import Hit, Watch

#: What a terminal without flow control is given before it has said that it has read it, in bytes.
_PACE_BYTES = 16 * 1024
#: What is typed is long, in bytes.
_LONG_BYTES = 8 * 1024
#: An image of ours that has not said that its shells start is greeted all the same, times the patience.
_START_S = 5.0
#: A shell whose session has ended may be there for another moment.
_LOOKS = 5
#: A request that a command on the terminal may have taken away is typed again this often.
_REQUESTS = 4


class Shell:
    """A command shell on a console.

    Args:
        console: An open console.
        number: The console's number at the simulation, which fires armed commands.
        sh: The shell in the guest: ``sh``, or for example ``busybox sh``.
        channel: The guest's device of the console's channel; "" if its shells have it open; None without a channel.
        login: Says who we are where the terminal asks.
        terminal: The guest's name of the console's terminal.
        stray: A file of the guest for what left-behind processes write, such as the device of another console; without
            it that output is read and dropped.
        control: A synchronized second shell of the same guest, through which commands that ignore the keyboard are
            killed, and the terminal's modes set right. Without it that goes over the same terminal, by a process beside each command.
        patience: Factor on all waiting times of the shell's own (a slow guest).
        outlived: What ``outlived`` asks; without it every guest is taken to go on.
        outputs: Makes what takes the output of a command.

    Attributes:
        directory: Where in the guest the shell keeps its pipe and the output of Daemons.
        reply_s: A shell that reads its terminal answers within this time.
        grace_s: What a command is given to end after each signal.
        settle_s: No signal is sent earlier after the begin: shells may lose one while they start (dash does).
        encoding: How the guest encodes its output, None where it comes as it is.
    """

    def __init__(
        self,
        console: Console,
        *,
        number: int = 0,
        sh: str = "sh",
        channel: str | None = None,
        login: Login | None = None,
        terminal: str = "",
        stray: str = "",
        control: Shell | None = None,
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
        self.settle_s = 0.05 * patience
        self.directory = ""
        self.encoding: str | None = None
        self._sh = sh
        self._channel = channel
        self._terminal = terminal
        self._stray = stray
        self._control = control
        self._outlived = outlived
        self._outputs = outputs
        self._name = f"qemunet-{secrets.token_hex(4)}"
        start_s = 0.0 if channel is None else _START_S * patience
        self._keeper = Keeper(console, sh=sh, login=login, start_s=start_s)
        self._pid = 0
        self._alerts = 0
        self._daemons = 0
        self._synchronized = False
        self._deaf = False

    async def synchronize(self, deadline_s: float = 30.0) -> None:
        """Find or bring the console's shell to a known state; nothing that stands on the console matters.

        Raises:
            ConsoleError: no shell answered within ``deadline_s``, or the login was refused.
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
        """Have a fresh shell, and tell it all that it needs to know; False if it was lost meanwhile."""
        console = self.console
        mend = None if self._control is None else self.mend_from_outside
        hello = await self._keeper.fresh_shell(reply_s=self.reply_s, mend=mend)
        console.expect_greetings(hello)
        nonce = framing.new_nonce()
        watch = console.watch({"ready": nonce, "hello": hello})
        console.write(
            framing.set_up(
                nonce,
                sh=self._sh,
                stray=self._stray,
                directory=self._name,
                channel=self._channel,
                encoded=console.noisy,
                sentinel=self._control is None,
            )
        )
        with trio.move_on_after(self.reply_s):
            words = (await watch.reached("ready", "hello")).words
            if "ready" in watch.hits:
                pid, self.directory, encoder = words
                self._pid, self._keeper.nonce, self._alerts = int(pid), hello, console.alerts
                self.encoding = None if encoder == "-" else encoder
                return True
        return False

    def lose(self) -> None:
        """Nobody knows in which state the shell is: the next who uses it has to find that out."""
        self._synchronized = False

    def deafen(self) -> None:
        """The terminal may have stopped to turn keys into signals."""
        self._deaf = True

    @property
    def watched(self) -> bool:
        """Whether the terminal is also the kernel's, so that a mark may get lost on it."""
        return self.console.noisy

    async def ready(self) -> None:
        """Find the shell again if it was lost, or if another one has taken its place.

        Raises:
            ConsoleError, GuestExitedError: as ``synchronize``.
        """
        if self._synchronized and self.console.alerts != self._alerts:
            self._synchronized = await self._is_the_same()
        if not self._synchronized:
            await self.synchronize()

    async def _is_the_same(self) -> bool:
        """Whether it was something else that looked like the start of a shell: the kernel may print anything."""
        alerts, nonce = self.console.alerts, framing.new_nonce()
        watch = self.console.watch({"answer": nonce})
        self.console.write(DISARM + f"q_h {nonce}\n".encode())
        with trio.move_on_after(self.reply_s / 10):
            await watch.reached("answer")
            self._alerts = alerts
            return True
        return False

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
        """Deliver a command, up to the newline that starts it.

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
        await self.ready()
        self._daemons += daemon
        mended = False
        for attempt in range(4):
            nonces = framing.Nonces()
            lines = framing.delivery(nonces, text, cwd=cwd, env=env or {}, stdin=stdin or b"", daemon=daemon)
            if daemon:
                lines.append(f"q_b {nonces.begin} {nonces.end} {self._daemons} ".encode())
            # A short text shows by itself that a command has left its terminal with an echo. A long one would take
            # minutes on a virtual console, which prints sixteen bytes at a time.
            if self._deaf or sum(map(len, lines)) > _LONG_BYTES:
                await self._mend()
            last = await self._type(lines)
            watch = self._watch(nonces, output)
            self.console.write(last)
            try:
                answer = await self._armed(watch, patiently=attempt > 0)
            except trio.Cancelled:
                await self._disarm(watch)
                raise
            if "idle" in watch.hits:
                continue
            if answer is not None and answer.words == ("bad",) and not mended:
                # Letters that came as others: the terminal's doing, most likely.
                mended = True
                await self._mend()
            elif answer is None or answer.words != ("ok",):
                await self.synchronize(self.reply_s)
            elif (answer.translated or watch.echoed) and not mended:
                mended = True
                await self._disarm(watch)
                await self._mend()
            elif daemon:
                return ArmedDaemon(self, watch, self._daemons)
            else:
                return Armed(self, watch)
        raise ConsoleError(
            f"a command could not be delivered to {self.node}: something else reads its console", node=self.node
        )

    async def _armed(self, watch: Watch, *, patiently: bool) -> Hit | None:
        """The word that a command is armed, if it comes; without patience the terminal is looked after meanwhile."""
        await self._taken(watch)
        if patiently or self._control is None:
            with trio.move_on_after(self.reply_s):
                await watch.reached("armed", "died")
            return watch.hits.get("armed")
        with trio.move_on_after(self.reply_s / 10):
            await watch.reached("armed", "died")
            return watch.hits.get("armed")
        # A command, or what it left behind, may have told the terminal to make something else of a newline. Whatever
        # came of the lines, they are typed again when the shell is idle.
        await self.mend_from_outside()
        nonce = framing.new_nonce()
        watch.add("idle", nonce)
        self.console.write(DISARM + f"q_h {nonce}\n".encode())
        with trio.move_on_after(self.reply_s / 4):
            await watch.reached("idle", "died")
        return None

    async def mend_from_outside(self) -> bool:
        """Let the guest's other console set this one's modes right; whether there is another one and it could."""
        control = self._control
        if control is None or not self._terminal:
            return False
        with trio.move_on_after(self.reply_s), suppress(ConsoleError):
            async with control.lock:
                await control.ready()
                await control.ask(framing.mend_other(self._terminal))
                return True
        return False

    async def _taken(self, watch: Watch) -> None:
        """Wait until the terminal has taken what was typed; it may be as long as it likes while some is taken."""
        before = -1
        while (waiting := self.console.waiting_bytes) not in (0, before) and not watch.hits:
            before = waiting
            with trio.move_on_after(self.reply_s):
                await self.console.drained()

    def _watch(self, nonces: framing.Nonces, output: Output | None) -> Watch:
        decoder = None if self.encoding is None else Decoder(self.encoding, nonces.end.encode())
        names = {"armed": nonces.armed, "begin": nonces.begin, "end": nonces.end, "died": self._keeper.nonce}
        return self.console.watch(names, output=output or self._outputs(), decoder=decoder)

    async def outlived(self, command: str) -> None:
        """For after the end of a command: return if the guest goes on.

        Raises:
            GuestExitedError: it goes down, or has gone.
        """
        if self._outlived is not None:
            await self._outlived(command)

    async def _type(self, lines: Sequence[bytes]) -> bytes:
        """Type all but the last of the lines as fast as the terminal takes them; returns what is left to type."""
        waiting = b""
        for line in lines:
            # A serial port has no flow control; all other terminals stop the writer by themselves.
            if self.console.noisy and len(waiting) + len(line) > _PACE_BYTES:
                self.console.write(waiting)
                await self.ask("q_h {}")
                waiting = b""
            waiting += line
        return waiting

    async def _disarm(self, watch: Watch) -> None:
        """Make what is being armed harmless, at a moment when it is sure who reads that."""
        with trio.CancelScope(shield=True):
            with trio.move_on_after(self.reply_s):
                await watch.reached("armed", "died")
                self.console.write(DISARM)
                await watch.reached("end", "died")
                return
        self.lose()

    async def _mend(self) -> None:
        # From the terminal itself only where nobody else can: what is typed at a deaf one comes out as something else.
        if not await self.mend_from_outside():
            nonce = framing.new_nonce()
            await self._answer(nonce, framing.mend(nonce))
        self._deaf = False

    async def ask(self, line: str) -> tuple[str, ...]:
        """Type a line with a nonce at ``{}`` to the idle shell and return the words of its answer.

        Raises:
            ConsoleError, GuestExitedError: it does not answer.
        """
        nonce = framing.new_nonce()
        return await self._answer(nonce, f"{line}\n".replace("{}", nonce).encode())

    async def _answer(self, nonce: str, typed: bytes) -> tuple[str, ...]:
        """Type what is answered by ``nonce``; it does no harm if that is done twice."""
        for _ in range(2):
            watch = self.console.watch({"answer": nonce, "died": self._keeper.nonce})
            self.console.write(typed)
            if self._control is not None:
                with trio.move_on_after(self.reply_s / 10):
                    await watch.reached("answer", "died")
                if not watch.hits:  # See _armed.
                    await self.mend_from_outside()
                    self.console.write(DISARM + typed)
            with trio.move_on_after(self.reply_s):
                await watch.reached("answer", "died")
            if "answer" in watch.hits:
                return watch.hits["answer"].words
            if "died" not in watch.hits:
                break
            # It took a line for another one, and died of it; what it was to do a fresh one can.
            await self.synchronize(self.reply_s)
        raise ConsoleError(f"the shell of {self.node} does not answer", node=self.node)

    async def collect(self, number: int) -> Watch:
        """What a Daemon has written, between the marks of the watch that is returned.

        Raises:
            ConsoleError, GuestExitedError: the shell is lost.
        """
        nonces = framing.Nonces()
        watch = self._watch(nonces, None)
        self.console.write(f"q_o {nonces.begin} {nonces.end} {number}\n".encode())
        what = "stopped in the middle of"
        before_ns = -1
        # As long as something comes it may be as long as it likes.
        while not watch.hits.keys() & {"end", "died"} and self.console.heard_ns != before_ns:
            before_ns = self.console.heard_ns
            with trio.move_on_after(self.reply_s):
                await watch.reached("end", "died")
        if "end" in watch.hits:
            return watch
        if "died" in watch.hits:
            what = f"died (status {' '.join(watch.hits['died'].words)}) before it had ended"
        self.lose()
        raise ConsoleError(f"the shell of {self.node} {what} handing on what a Daemon wrote", node=self.node)

    async def is_there(self, watch: Watch) -> bool:
        """Whether the shell, or the sentinel beside its command, answers on the terminal, or the command has ended."""
        nonce = framing.new_nonce()
        watch.hits.pop("alive", None)
        watch.add("alive", nonce)
        self.console.write(f"q_h {nonce}\n".encode())
        with trio.move_on_after(self.reply_s / 10):
            await watch.reached("alive", "end", "died")
        return bool(watch.hits.keys() & {"alive", "end"})

    async def lives(self) -> bool:
        """Whether the guest's other console says that this shell is there still, and goes on saying so for a moment."""
        if self._control is None:
            return False
        for _ in range(_LOOKS):
            try:
                async with self._control.lock:
                    (there,) = await self._control.ask(
                        f"q_1=-; [ -e /proc/{self._pid}/exe ] && q_1=+; printf '\\036q%s %s\\n' {{}} $q_1 >&3"
                    )
            except ConsoleError:
                return False
            if there == "-":
                return False
            await trio.sleep(self.settle_s)
        return True

    def type_probe(self, watch: Watch) -> None:
        """Ask the terminal whether a fresh shell reads it, which then sends what is still in the last one's pipe."""
        self.type_flush(watch)
        nonce = framing.new_nonce()
        watch.add("probe", nonce)
        self.console.write(framing.probe(nonce))

    def type_flush(self, watch: Watch) -> None:
        """Let a fresh shell send what is still in the last one's pipe, and the mark ``flush`` behind it."""
        nonce = framing.new_nonce()
        watch.add("flush", nonce)
        if watch.decoder is not None:
            nonce = next(nonce.decode() for nonce, name in watch.names.items() if name == "end")
        self.console.write(framing.flush(nonce, directory=self.directory, encoded=watch.decoder is not None))

    async def kill(self, signal: int, watch: Watch) -> bool:
        """Send a signal to what runs in the foreground, past the keyboard; False if nobody could be told to."""
        if self._control is not None:
            with trio.move_on_after(self.reply_s):
                try:
                    async with self._control.lock:
                        await self._control.ask(f"q_g {{}} {signal} {self._pid}")
                except ConsoleError:
                    return False
                return True
            return False
        for _ in range(_REQUESTS):
            nonce = framing.new_nonce()
            watch.add("killed", nonce)
            self.console.write(f"q_g {nonce} {signal}\n".encode())
            with trio.move_on_after(self.reply_s / _REQUESTS):
                await watch.reached("killed", "end", "died")
                return True
        return False

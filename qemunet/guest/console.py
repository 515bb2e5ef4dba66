"""A guest's console: a terminal, and beside it a channel, that are read at all times, each by a thread of its own.

The threads are the only readers. They write all they read to the console's log, look for marks (framing.py) with
pexpect's matching loop, and keep the bytes between a command's marks. What waits for a mark waits in trio and can be
cancelled. What is typed goes to the terminal; a command's output comes by the channel, or by the terminal where there
is no channel.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType

import pexpect
import trio

from qemunet.errors import ConsoleError, GuestError, GuestExitedError, QemunetError
from qemunet.guest.encoding import Decoder, MessageFilter
from qemunet.guest.framing import READY
from qemunet.guest.output import Output
from qemunet.guest.stream import MarkSearcher, Stream
from qemunet.guest.watch import Hit, Watch

_EXPLANATION_S = 3.0
_LAST_WORDS_S = 1.0
_TAIL_BYTES = 4096
#: What stands at the end when a terminal asks who is there.
_LOGIN = re.compile(rb"(?i)\blogin: ?\Z")


class Console:
    """A console, from ``start`` to ``aclose``; best used as an asynchronous context manager.

    Args:
        fd: The terminal: one end of a stream socket pair, or a pty's master. It is made non-blocking and stays the
            caller's.
        node: The guest's name, for messages.
        log: File that gets every byte the guest prints; it is appended to.
        explain: Asked when the terminal ends, for why the guest has gone; what it returns is raised to all who wait.
            Without an answer within a few seconds it is a GuestExitedError with reason ``crash``.
        channel: Our end of the channel, if there is one; like ``fd``.
        noisy: The guest's kernel prints on the terminal.

    Attributes:
        alerts: How often something was seen that says that another shell reads the terminal now.
        ended: Why nothing more will come.
    """

    def __init__(
        self,
        fd: int,
        *,
        node: str,
        log: Path,
        explain: Callable[[], Awaitable[GuestError]] | None = None,
        channel: int | None = None,
        noisy: bool = False,
    ) -> None:
        self.fd = fd
        self.channel = channel
        self.noisy = noisy
        self.node = node
        self.log = log
        self.alerts = 0
        self.ended: GuestError | None = None
        self._explain = explain
        self._greetings: set[bytes] = set()
        self._watch: Watch | None = None
        self._tail = b""
        self._threads: list[threading.Thread] = []

    async def __aenter__(self) -> Console:
        """Start reading."""
        self._token = trio.lowlevel.current_trio_token()
        self._flushed = trio.Event()
        self._said = trio.Event()
        self._channel_read = trio.Event()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._terminal = self._open_stream(self.fd)
        self._streams = [self._terminal]
        self._start(self._read_terminal, "terminal")
        if self.channel is None:
            self._channel_read.set()
        else:
            self._streams.append(self._open_stream(self.channel))
            self._start(self._read_channel, "channel")
        return self

    def _open_stream(self, fd: int) -> Stream:
        os.set_blocking(fd, False)
        messages = MessageFilter() if self.noisy and fd == self.fd else None
        return Stream(fd, self._log, flushed=partial(self._tell, self._wake_drained), messages=messages)

    def _start(self, read: Callable[[], None], what: str) -> None:
        thread = threading.Thread(target=read, name=f"{what} {self.node}", daemon=True)
        self._threads.append(thread)
        thread.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop reading; whoever waits gets a ConsoleError."""
        threads, self._threads = self._threads, []
        if threads:
            for stream in self._streams:
                stream.stop()
            with trio.CancelScope(shield=True):
                for thread in threads:
                    await trio.to_thread.run_sync(thread.join, limiter=trio.CapacityLimiter(1))
            for stream in self._streams:
                stream.release()
            os.close(self._log)

    def watch(self, marks: Mapping[str, str], *, output: Output | None = None, decoder: Decoder | None = None) -> Watch:
        """Wait for marks (name -> nonce) from now on, and no longer for those of the watch before.

        Call it before what makes the guest write them. ``output`` takes the bytes between ``begin`` and ``end``.
        """
        watch = Watch(self._token, marks, output, decoder)
        if self.ended is not None:
            watch.fail(self.ended)
        self._watch = watch
        if self.ended is not None:  # It may have ended between the two.
            watch.fail(self.ended)
        return watch

    def expect_greetings(self, nonce: str) -> None:
        """Count every mark with this nonce as an alert from now on."""
        self._greetings.add(nonce.encode())

    def write(self, data: bytes) -> int:
        """Type ``data``, without waiting; returns the host's monotonic time, in ns, at which it was handed over."""
        return self._terminal.queue(data)

    @property
    def heard_ns(self) -> int:
        """Host monotonic time at which the guest last said something, in ns; 0 if never."""
        return max(stream.read_ns for stream in self._streams)

    @property
    def waiting_bytes(self) -> int:
        """How much of what was written the guest has not taken yet."""
        return self._terminal.waiting_bytes()

    async def drained(self, limit_bytes: int = 0) -> None:
        """Wait until the guest has taken all that was written but ``limit_bytes``.

        Raises:
            ConsoleError, GuestExitedError: it never will.
        """
        while self.waiting_bytes > limit_bytes:
            if self.ended is not None:
                raise self.ended
            await self._flushed.wait()

    @property
    def tail(self) -> bytes:
        """The last that the terminal has printed."""
        return self._tail

    def forget(self) -> None:
        """Let ``tail`` begin anew."""
        self._tail = b""

    async def said(self) -> None:
        """Wait until the terminal prints something.

        Raises:
            ConsoleError, GuestExitedError: it never will.
        """
        if self.ended is not None:
            raise self.ended
        await self._said.wait()
        if self.ended is not None:
            raise self.ended

    def fail(self, error: GuestError) -> None:
        """Tell everyone who waits, now or later, that the guest is gone, and why."""
        if self.ended is None:
            self.ended = error
        if self._watch is not None:
            self._watch.fail(self.ended)
        self._tell(self._wake_drained)
        self._tell(self._wake_said)

    def _tell(self, wake: Callable[[], None]) -> None:
        """Wake whoever waits (a console's thread)."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(wake, idempotent=True)

    def _wake_drained(self) -> None:
        self._flushed.set()
        self._flushed = trio.Event()

    def _wake_said(self) -> None:
        self._said.set()
        self._said = trio.Event()

    def _known(self, nonce: bytes) -> bool:
        return (self._watch is not None and nonce in self._watch.names) or nonce in self._greetings

    def _read_terminal(self) -> None:
        try:
            self._read(self._terminal, self._take_printed)
        except OSError as error:
            self.fail(ConsoleError(f"the console of {self.node} cannot be read: {error}", node=self.node))
        if self._terminal.closing:
            self.fail(ConsoleError(f"the console of {self.node} was closed", node=self.node))
        elif self.ended is None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(trio.lowlevel.spawn_system_task, self._tell_end)

    def _read_channel(self) -> None:
        try:
            self._read(self._streams[1], self._take_output)
        except OSError as error:
            self.fail(ConsoleError(f"the channel of {self.node} cannot be read: {error}", node=self.node))
        self._tell(self._channel_read.set)

    def _read(self, stream: Stream, take: Callable[[bytes], None]) -> None:
        """Read until the stream ends."""
        searcher = MarkSearcher(self._known)
        try:
            while True:
                found = stream.expect_loop(searcher, timeout=None)
                if found == 0:
                    take(stream.before or b"")
                    nonce, words, translated = searcher.match.groups()
                    self._take_mark(nonce, Hit(stream.read_ns, tuple(words.decode().split()), bool(translated)))
                else:
                    take(stream.handed_on())
        except pexpect.EOF:
            take(stream.before or b"")

    def _take_output(self, data: bytes) -> None:
        if self._watch is not None:
            self._watch.take(data)

    def _take_printed(self, data: bytes) -> None:
        watch = self._watch
        if watch is not None:
            watch.look_for_echo(data)
            if self.channel is None:
                watch.take(data)
        fresh = self._tail[1 - len(READY) :] + data
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        if READY in fresh or (self.noisy and _LOGIN.search(self._tail)):
            self._alert()
        self._tell(self._wake_said)

    def _take_mark(self, nonce: bytes, hit: Hit) -> None:
        watch = self._watch
        if watch is not None and nonce in watch.names:
            watch.hit(nonce, hit)
        if nonce in self._greetings:
            self._alert()

    def _alert(self) -> None:
        self.alerts += 1
        if self._watch is not None:
            self._watch.announce()

    async def _tell_end(self) -> None:
        error: GuestError = GuestExitedError(f"{self.node} has gone: its console ended", node=self.node)
        if self._explain is not None and self.ended is None:
            # Without an explanation the plain fact is enough.
            with trio.move_on_after(_EXPLANATION_S), suppress(QemunetError):
                error = await self._explain()
        # What the guest wrote last is still read. Somebody else may hold the channel's other end: not for long.
        with trio.move_on_after(_LAST_WORDS_S):
            await self._channel_read.wait()
        self.fail(error)

"""A guest's console: a byte stream that is read at all times, by a thread of its own.

The thread is the only reader. It writes all it reads to the console's log, looks for marks (framing.py) with pexpect's
matching loop, and keeps the bytes between a command's marks. What waits for a mark waits in trio and can be cancelled.
"""

from __future__ import annotations

import errno
import os
import re
import select
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pexpect
import trio
from pexpect.expect import searcher_re
from pexpect.spawnbase import SpawnBase as _SpawnBase

from qemunet.errors import ConsoleError, GuestError, GuestExitedError, QemunetError
from qemunet.guest.framing import MARK, MARK_BYTES, READY
from qemunet.guest.output import Output

if TYPE_CHECKING:
    SpawnBase = _SpawnBase[bytes]
    _Searcher = searcher_re[bytes]
else:
    SpawnBase = _SpawnBase
    _Searcher = object  # pexpect asks for nothing but search, start, end and match.

_READ_BYTES = 65536
_EXPLANATION_S = 3.0
#: The beginning of a mark whose end has not been read yet.
_UNFINISHED = re.compile(rb"\x1e(?:q(?:[0-9a-f]{0,16}|[0-9a-f]{16} [0-9A-Za-z/._+ -]*)\r?)?")


@dataclass(frozen=True)
class Hit:
    """A mark that was read.

    Attributes:
        read_ns: Host monotonic time right after the read that completed it.
        words: What it says.
        translated: The terminal made its newline into carriage return and newline.
    """

    read_ns: int
    words: tuple[str, ...]
    translated: bool


class Watch:
    """Marks that are waited for, each by a name; the bytes between ``begin`` and ``end`` are kept.

    ``hits`` and ``output`` are filled by the console's thread.

    Attributes:
        echoed: What is typed comes back: the terminal's echo is on.
        alerts: How often what our images print at the start of a shell was seen.
    """

    def __init__(self, token: trio.lowlevel.TrioToken, marks: Mapping[str, str], output: Output | None = None) -> None:
        self.names = {nonce.encode(): name for name, nonce in marks.items()}
        self.hits: dict[str, Hit] = {}
        self.output = output or Output()
        self.echoed = False
        self.alerts = 0
        self.error: GuestError | None = None
        self._token = token
        self._changed = trio.Event()

    def add(self, name: str, nonce: str) -> None:
        """Wait for one more mark."""
        self.names[nonce.encode()] = name

    def take(self, data: bytes) -> None:
        """Bytes that are no mark of this watch (console's thread)."""
        if "begin" in self.hits:
            if "end" not in self.hits:
                self.output.append(data)
        elif not self.hits:
            self.echoed = self.echoed or b"q_a " in data

    def hit(self, nonce: bytes, hit: Hit) -> None:
        """A mark of this watch was read (console's thread)."""
        self.hits[self.names[nonce]] = hit
        self.announce()

    def fail(self, error: GuestError) -> None:
        """Nothing more will come (any thread)."""
        if self.error is None:
            self.error = error
        self.announce()

    def announce(self) -> None:
        """Wake whoever waits (any thread)."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._wake)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def changed(self) -> None:
        """Wait for news; look before you wait, and wait before anything else can run."""
        await self._changed.wait()

    async def reached(self, *names: str) -> Hit:
        """Wait for the first of some marks.

        Raises:
            ConsoleError, GuestExitedError: it cannot come any more.
        """
        while True:
            for name in names:
                if name in self.hits:
                    await trio.lowlevel.checkpoint()
                    return self.hits[name]
            if self.error is not None:
                raise self.error
            await self.changed()


class _MarkSearcher(_Searcher):
    """A searcher for pexpect's loop: 0 is a mark that is waited for, 1 is data before any mark.

    Data is handed on at once, so however long an output is, only what was just read is ever searched.
    """

    eof_index = -1
    timeout_index = -1

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self.start = 0
        self.end = 0
        self.match: Any = None  # pexpect's declaration leaves no room for None

    def search(self, buffer: bytes, freshlen: int, searchwindowsize: int | None = None) -> int:
        """Look at what has been read and not yet handed on."""
        watch = self.watch
        if watch is not None:
            for match in MARK.finditer(buffer):
                if match[1] in watch.names:
                    self.match, self.start, self.end = match, *match.span()
                    return 0
        self.match = None
        self.start, self.end = 0, len(buffer)
        last = buffer.rfind(b"\x1e", max(0, len(buffer) - MARK_BYTES))
        if last >= 0 and _UNFINISHED.fullmatch(buffer, last):
            self.end = last
        return 1 if self.end else -1


class _Stream(SpawnBase):
    """The descriptor as pexpect sees it: reading waits without a limit, writes what is queued, and logs."""

    def __init__(self, fd: int, log: int, flushed: Callable[[], None]) -> None:
        super().__init__(timeout=None, maxread=_READ_BYTES)
        self.flushed = flushed
        self.delayafterread = None
        self.fd = fd
        self.read_ns = 0
        self.closing = False
        self._log = log
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._queue = bytearray()
        self._alert = b""
        self.alerts = 0

    def queue(self, data: bytes) -> int:
        """Write ``data`` as soon as the guest takes it (any thread).

        Returns:
            Host monotonic time, in ns, right before it was handed to the kernel, or to the queue: no answer is older.
        """
        with self._lock:
            written_ns = time.monotonic_ns()
            if not self._queue:
                try:
                    data = data[os.write(self.fd, data) :]
                except BlockingIOError:
                    pass
                except OSError:
                    data = b""  # The reader sees the end of the stream and tells everyone.
            if data:
                self._queue += data
                os.eventfd_write(self._wake, 1)
        return written_ns

    def stop(self) -> None:
        """Make the reading thread end (any thread)."""
        self.closing = True
        os.eventfd_write(self._wake, 1)

    def release(self) -> None:
        """Close what the stream has opened itself."""
        os.close(self._wake)

    def _flush(self) -> None:
        with self._lock:
            try:
                del self._queue[: os.write(self.fd, self._queue)]
            except BlockingIOError:
                pass
            except OSError:
                self._queue.clear()
        self.flushed()

    def waiting_bytes(self) -> int:
        """How much has not been taken by the guest yet (any thread)."""
        with self._lock:
            return len(self._queue)

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> bytes:
        """Some bytes, as soon as there are any.

        Raises:
            pexpect.EOF: the other end is closed, or ``stop`` was called.
        """
        while not self.closing:
            poll = select.poll()
            poll.register(self._wake, select.POLLIN)
            poll.register(self.fd, select.POLLIN | (select.POLLOUT if self._queue else 0))
            events = dict(poll.poll())
            if self._wake in events:
                os.eventfd_read(self._wake)
            if events.get(self.fd, 0) & select.POLLOUT:
                self._flush()
            if events.get(self.fd, 0) & ~select.POLLOUT:
                try:
                    data = os.read(self.fd, size)
                except BlockingIOError:
                    continue
                except OSError as error:  # A pty without a holder of its other side reads as EIO.
                    if error.errno not in (errno.EIO, errno.ECONNRESET):
                        raise
                    data = b""
                self.read_ns = time.monotonic_ns()
                if not data:
                    break
                os.write(self._log, data)
                self._look_for_start(data)
                return data
        raise pexpect.EOF("end of the console")

    def handed_on(self) -> bytes:
        """What the searcher took."""
        return self.after if isinstance(self.after, bytes) else b""

    def _look_for_start(self, data: bytes) -> None:
        seen = self._alert + data
        self.alerts += seen.count(READY)
        self._alert = seen[-(len(READY) - 1) :] if not seen.endswith(READY) else b""


class Console:
    """A console, from ``start`` to ``aclose``; best used as an asynchronous context manager.

    Args:
        fd: One end of a stream socket pair, or a pty's master. It is made non-blocking and stays the caller's.
        node: The guest's name, for messages.
        log: File that gets every byte the guest prints; it is appended to.
        explain: Asked when the stream ends, for why the guest has gone; what it returns is raised to all who wait.
            Without an answer within a few seconds it is a GuestExitedError with reason ``crash``.
    """

    def __init__(
        self, fd: int, *, node: str, log: Path, explain: Callable[[], Awaitable[GuestError]] | None = None
    ) -> None:
        self.fd = fd
        self._explain = explain
        self.node = node
        self.log = log
        self.ended: GuestError | None = None
        self._searcher = _MarkSearcher()
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> Console:
        """Start reading."""
        os.set_blocking(self.fd, False)
        self._token = trio.lowlevel.current_trio_token()
        self._flushed = trio.Event()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._stream = _Stream(self.fd, self._log, self._tell_flushed)
        self._thread = threading.Thread(target=self._read, name=f"console {self.node}", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop reading; whoever waits gets a ConsoleError."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stream.stop()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(thread.join, limiter=trio.CapacityLimiter(1))
            self._stream.release()
            os.close(self._log)

    def watch(self, marks: Mapping[str, str], *, output: Output | None = None) -> Watch:
        """Wait for marks (name -> nonce) from now on, and no longer for those of the watch before.

        Call it before what makes the guest write them. ``output`` takes the bytes between ``begin`` and ``end``.
        """
        watch = Watch(self._token, marks, output)
        if self.ended is not None:
            watch.fail(self.ended)
        self._searcher.watch = watch
        if self.ended is not None:  # It may have ended between the two.
            watch.fail(self.ended)
        return watch

    def write(self, data: bytes) -> int:
        """Type ``data``, without waiting; returns the host's monotonic time, in ns, at which it was handed over."""
        return self._stream.queue(data)

    @property
    def heard_ns(self) -> int:
        """Host monotonic time at which the guest last said something, in ns; 0 if never."""
        return self._stream.read_ns

    async def drained(self, limit_bytes: int = 0) -> None:
        """Wait until the guest has taken all that was written but ``limit_bytes``.

        Raises:
            ConsoleError, GuestExitedError: it never will.
        """
        while self._stream.waiting_bytes() > limit_bytes:
            if self.ended is not None:
                raise self.ended
            await self._flushed.wait()

    def _tell_flushed(self) -> None:
        """Wake whoever waits in ``drained`` (console's thread)."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._wake_drained, idempotent=True)

    def _wake_drained(self) -> None:
        self._flushed.set()
        self._flushed = trio.Event()

    def fail(self, error: GuestError) -> None:
        """Tell everyone who waits, now or later, that the guest is gone, and why."""
        if self.ended is None:
            self.ended = error
        watch = self._searcher.watch
        if watch is not None:
            watch.fail(self.ended)
        self._tell_flushed()

    def _read(self) -> None:
        stream, searcher = self._stream, self._searcher
        alerts = 0
        try:
            while True:
                found = stream.expect_loop(searcher, timeout=None)
                watch = searcher.watch
                if watch is None:
                    continue
                if found == 0 and searcher.match is not None:
                    watch.take(stream.before or b"")
                    nonce, words, translated = searcher.match.groups()
                    watch.hit(nonce, Hit(stream.read_ns, tuple(words.decode().split()), bool(translated)))
                else:
                    watch.take(stream.handed_on())
                if stream.alerts != alerts:
                    alerts = stream.alerts
                    watch.alerts += 1
                    watch.announce()
        except pexpect.EOF:
            if searcher.watch is not None:
                searcher.watch.take(stream.before or b"")
            if stream.closing:
                self.fail(ConsoleError(f"the console of {self.node} was closed", node=self.node))
            else:
                self._token.run_sync_soon(trio.lowlevel.spawn_system_task, self._tell_end)
        except OSError as error:
            self.fail(ConsoleError(f"the console of {self.node} cannot be read: {error}", node=self.node))

    async def _tell_end(self) -> None:
        error: GuestError = GuestExitedError(f"{self.node} has gone: its console ended", node=self.node)
        if self._explain is not None and self.ended is None:
            # Without an explanation the plain fact is enough.
            with trio.move_on_after(_EXPLANATION_S), suppress(QemunetError):
                error = await self._explain()
        self.fail(error)

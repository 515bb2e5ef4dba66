"""A descriptor that a thread of its own reads with pexpect's matching loop."""

from __future__ import annotations

import errno
import os
import re
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pexpect
from pexpect.expect import searcher_re
from pexpect.spawnbase import SpawnBase as _SpawnBase

from qemunet.guest.encoding import MessageFilter
from qemunet.guest.framing import MARK, MARK_BYTES

if TYPE_CHECKING:
    SpawnBase = _SpawnBase[bytes]
    _Searcher = searcher_re[bytes]
else:
    SpawnBase = _SpawnBase
    _Searcher = object  # pexpect asks for nothing but search, start, end and match.

_READ_BYTES = 65536
#: The beginning of a mark whose end has not been read yet.
_UNFINISHED = re.compile(rb"\x1e(?:q(?:[0-9a-f]{0,16}|[0-9a-f]{16} [0-9A-Za-z/._+ -]*)\r?)?")


class MarkSearcher(_Searcher):
    """A searcher for pexpect's loop: 0 is a mark that somebody knows, 1 is data before any mark.

    Data is handed on at once, so however long an output is, only what was just read is ever searched.
    """

    eof_index = -1
    timeout_index = -1

    def __init__(self, known: Callable[[bytes], bool]) -> None:
        self._known = known
        self.start = 0
        self.end = 0
        self.match: Any = None  # pexpect's declaration leaves no room for None

    def search(self, buffer: bytes, freshlen: int, searchwindowsize: int | None = None) -> int:
        """Look at what has been read and not yet handed on."""
        for match in MARK.finditer(buffer):
            if self._known(match[1]):
                self.match, self.start, self.end = match, *match.span()
                return 0
        self.match = None
        self.start, self.end = 0, len(buffer)
        last = buffer.rfind(b"\x1e", max(0, len(buffer) - MARK_BYTES))
        if last >= 0 and _UNFINISHED.fullmatch(buffer, last):
            self.end = last
        return 1 if self.end else -1


class Stream(SpawnBase):
    """A descriptor as pexpect sees it: reading waits without a limit, writes what is queued, and logs."""

    def __init__(self, fd: int, log: int, *, flushed: Callable[[], None], messages: MessageFilter | None) -> None:
        super().__init__(timeout=None, maxread=_READ_BYTES)
        self.delayafterread = None
        self.fd = fd
        self.read_ns = 0
        self.closing = False
        self._flushed = flushed
        self._messages = messages
        self._log = log
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._queue = bytearray()

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
        self._flushed()

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
                if self._messages is not None:
                    data = self._messages.feed(data)
                if data:
                    return data
        raise pexpect.EOF("end of the console")

    def handed_on(self) -> bytes:
        """What the searcher took."""
        return self.after if isinstance(self.after, bytes) else b""

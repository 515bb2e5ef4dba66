"""Where a command's output goes as it is read: memory, then a file, up to a limit.

The console's thread appends; whoever wants to know reads. Nothing here may keep a console from being read on: what a
full disk does not take, and what exceeds the limit, is counted, and a cut output says so in its last line.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

INLINE_BYTES = 64 * 1024
"""Output of this length stays in memory; a longer one is in a file from its first byte on."""

LIMIT_BYTES = 1024 * 1024 * 1024
"""Output of one command that is kept where nobody says otherwise."""


class Output:
    """The bytes of one command's output.

    Args:
        place: Asked, by the console's thread, for the path of the file when one is needed; without it the file has no
            name, and goes when nobody needs it any more.
        limit_bytes: How much is kept.

    Attributes:
        size_bytes: How much is kept so far; the line that marks a cut is not counted.
        dropped_bytes: How much came and is not kept.
        path: The file; None while everything is in memory, and where it has no name.
        error: Why a file could not be written, if so.
    """

    def __init__(self, place: Callable[[], Path] | None = None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._place = place
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._closed = False
        self.size_bytes = 0
        self.dropped_bytes = 0
        self.path: Path | None = None
        self.error: OSError | None = None

    def append(self, chunk: bytes) -> None:
        """Add what was read; nothing any more once it is closed."""
        with self._lock:
            if self._closed:
                return
            kept = b"" if self.error else chunk[: self._limit_bytes - self.size_bytes]
            if kept:
                kept = kept[: self._keep(kept)]
            self.size_bytes += len(kept)
            self.dropped_bytes += len(chunk) - len(kept)

    def _keep(self, data: bytes) -> int:
        """Keep ``data``, where it belongs; returns how much of it."""
        if self._file is None and len(self._memory) + len(data) <= INLINE_BYTES:
            self._memory += data
            return len(data)
        if self._file is None and not self._spool():
            return 0
        return self._write(data)

    def _spool(self) -> bool:
        """Move what is in memory to the file; where that fails it stays in memory."""
        try:
            path = None if self._place is None else self._place()
            self._file = open(path, "wb", buffering=0) if path else tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        except OSError as error:
            self.error = error
            return False
        if self._write(self._memory) < len(self._memory):
            self._file.close()
            self._file = None
            return False
        self.path = path
        self._memory.clear()
        return True

    def _write(self, data: bytes | bytearray) -> int:
        written = 0
        try:
            while self._file is not None and written < len(data):
                written += self._file.write(memoryview(data)[written:])
        except OSError as error:
            self.error = error
        return written

    def data(self, last_bytes: int | None = None) -> bytes:
        """What is kept so far, and the mark of a cut; read from the file if it is there.

        Args:
            last_bytes: How much of its end is wanted; None wants all.

        Raises:
            OSError: the file is gone, or cannot be read.
        """
        with self._lock:
            size = self.size_bytes
            mark = self._mark()
            memory = bytes(self._memory)
            path, file = self.path, self._file
        start = 0 if last_bytes is None else max(0, size + len(mark) - last_bytes)
        if path is not None:
            with path.open("rb") as again:
                again.seek(start)
                kept = again.read(max(0, size - start))
        elif file is not None:
            kept = os.pread(file.fileno(), max(0, size - start), start)
        else:
            kept = memory[start:size]
        return kept + mark[max(0, start - size) :]

    def close(self) -> None:
        """Take no more, and write the mark if something is missing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._write(self._mark())
                if self.path is not None and self._file is not None:
                    self._file.close()
                    self._file = None

    def _mark(self) -> bytes:
        if not self.dropped_bytes:
            return b""
        why = f": {self.error.strerror}" if self.error else ""
        return f"\n[qemunet: cut here; {self.dropped_bytes} more bytes came and were dropped{why}]\n".encode()


class FileOutput(Output):
    """Output that goes to a file as it comes, however long it is.

    Args:
        descriptor: Of the file, which stays the caller's.
        progress: Told the number of bytes so far, by the console's thread.
    """

    def __init__(self, descriptor: int, progress: Callable[[int], None]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._progress = progress

    def append(self, chunk: bytes) -> None:
        """Write what was read; after an error nothing more is written."""
        try:
            while chunk and self.error is None:
                written = os.write(self._descriptor, chunk)
                self.size_bytes += written
                chunk = chunk[written:]
        except OSError as error:
            self.error = error
        self.dropped_bytes += len(chunk)
        self._progress(self.size_bytes)

    def data(self, last_bytes: int | None = None) -> bytes:
        """Nothing: the file is the caller's."""
        return b""

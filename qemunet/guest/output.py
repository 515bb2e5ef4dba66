"""Where the bytes of a command's output go."""

from __future__ import annotations

import os
from collections.abc import Callable

#: Output of one command that is kept in memory; what exceeds it is counted and is in the console's log.
OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024


class Output:
    """The bytes of one command's output, up to a limit.

    Attributes:
        dropped_bytes: How many came after the limit and are not kept.
    """

    def __init__(self, limit_bytes: int = OUTPUT_LIMIT_BYTES) -> None:
        self._chunks: list[bytes] = []
        self._room = limit_bytes
        self.dropped_bytes = 0

    def append(self, chunk: bytes) -> None:
        """Add what was read."""
        kept = chunk[: self._room]
        if kept:
            self._chunks.append(kept)
        self._room -= len(kept)
        self.dropped_bytes += len(chunk) - len(kept)

    def data(self) -> bytes:
        """What is kept so far."""
        return b"".join(self._chunks)


class FileOutput(Output):
    """Output that goes to a file as it comes, however long it is.

    Args:
        descriptor: Of the file, which stays the caller's.
        progress: Told the number of bytes so far, by the console's thread.

    Attributes:
        error: What kept the file from being written; nothing is written after that.
    """

    def __init__(self, descriptor: int, progress: Callable[[int], None]) -> None:
        super().__init__(0)
        self._descriptor = descriptor
        self._progress = progress
        self._size = 0
        self.error: OSError | None = None

    def append(self, chunk: bytes) -> None:
        """Write what was read."""
        try:
            while chunk and self.error is None:
                written = os.write(self._descriptor, chunk)
                self._size += written
                chunk = chunk[written:]
        except OSError as error:
            # The console must be read on, whatever becomes of the file.
            self.error = error
        self._progress(self._size)

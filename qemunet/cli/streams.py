"""Standard input, output and error as they were found: closed, full, or with a reader that has gone."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def open_standard_streams() -> None:
    """Make them fit to be used.

    What was started without them (``>&-``) has /dev/null in their place, or the next files to be opened would get their
    descriptors, and what is printed. Standard error is for whoever looks; where it takes no more, as a log on a full disk
    or a pipe to a terminal that was closed, nothing ends because of that.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(null, True)
            setattr(sys, name, os.fdopen(null, "r" if name == "stdin" else "w", encoding="utf-8"))
    found = sys.__stderr__
    if found is not None and sys.stderr is found:
        raw = io.BufferedWriter(_Lossy(found.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, encoding=found.encoding, errors=found.errors, line_buffering=True)


def give_up_output() -> None:
    """Let what is still to be written to standard output go nowhere, also at the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Lossy(io.FileIO):
    """A file that loses what it cannot take."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, or lose; all of it counts as written."""
        with suppress(OSError):
            return super().write(data) or memoryview(data).nbytes
        return memoryview(data).nbytes

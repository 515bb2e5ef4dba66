"""The command line that a process shows: a fork has that of what it was forked from until it says another."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

ROOM = "." * 8192
"""Argument for a program whose forks will show command lines of their own: they are written over its own one."""

# Fields 48 and 49 of /proc/PID/stat, counted after the second, which may hold anything.
_START, _END = 45, 46


def show_command_line(words: Sequence[str]) -> None:
    """Let /proc, and with it ``ps`` and ``qemunet ps``, show ``words`` for this process; cut where there is no room."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        stat = file.read().rpartition(")")[2].split()
    start, end = int(stat[_START]), int(stat[_END])
    text = b"".join(os.fsencode(word) + b"\0" for word in words)
    # The last byte has to be 0: the kernel reads on into the environment otherwise.
    ctypes.memmove(start, text[: end - start - 1].ljust(end - start, b"\0"), end - start)

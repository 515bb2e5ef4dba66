"""What every part may need to know of processes: those started in the Run's namespaces, and whether one still runs.

``host`` implements these Protocols; ``guest`` and ``simulation`` use them without importing ``host``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Process(Protocol):
    """A process that the Run's init started."""

    @property
    def pid(self) -> int:
        """Process id inside the Run's PID namespace."""

    @property
    def returncode(self) -> int | None:
        """Exit status, minus the signal's number if a signal ended it, or None while it runs."""

    async def wait(self) -> int:
        """Wait for its end and return ``returncode``."""

    async def kill(self, signal: int = 9) -> None:
        """Send a signal; nothing happens if it has ended."""


class Spawner(Protocol):
    """Starts processes in the Run's namespaces."""

    async def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        fds: Mapping[int, int] | None = None,
        log: int,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start ``argv`` inside the Run.

        Args:
            name: What the process is, for messages.
            argv: Program (looked up in PATH) and arguments.
            fds: Descriptors the child gets: its number -> ours. Ours stay open here.
            log: Our descriptor of a file that takes standard output and standard error; standard input is /dev/null.
            env: Variables added to those of the controller.

        Raises:
            MissingRequirement: the program is not there.
            HostError: it could not be started.
        """


def process_stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third (state) on; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may hold anything, parentheses included.
    return text.rpartition(")")[2].split()


def process_start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is none, or only a zombie."""
    fields = process_stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def process_alive(pid: int, start_ticks: int) -> bool:
    """Whether the process that had this id and started then still runs; a zombie does not."""
    return process_start_ticks(pid) == start_ticks

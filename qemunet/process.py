"""What every part may need to know of processes: those started in the Run's namespaces, and whether one still runs.

``host`` implements these Protocols; ``guest`` and ``simulation`` use them without importing ``host``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class ContainerInterface:
    """An interface of a container.

    Attributes:
        name: In the container.
        mac: As ``02:..``.
        veth: Interface of the Run that becomes it; None makes a tap.
    """

    name: str
    mac: str
    veth: str | None = None


@dataclass(frozen=True)
class StartedContainer:
    """A container that runs; its descriptors are the caller's to close.

    Attributes:
        process: Its PID 1, with which all of it ends: ``returncode`` is -SIGHUP after a reboot, -SIGINT after a
            power-off from inside.
        consoles: Masters of its terminals: ``shell``, ``control``, ``spare1`` and on.
        channels: Our ends of stream sockets beside them, which the shells on the terminals have as descriptor 3.
        taps: One for each interface without ``veth``, in order; each frame is one read or write, without any header.
        writing: What may be changed in its file system: ``mapped`` (everything), ``partly`` (what does not belong to
            another user of this computer), ``none`` (only /tmp, /run and the like).
    """

    process: Process
    consoles: Mapping[str, int]
    channels: Mapping[str, int]
    taps: Sequence[int]
    writing: str


class ContainerStarter(Protocol):
    """Starts containers in the Run."""

    async def start_container(
        self, hostname: str, *, root: Path, disk_mib: int, interfaces: Sequence[ContainerInterface]
    ) -> StartedContainer:
        """Start a container.

        Args:
            hostname: Its name.
            root: Directory that it sees as its root; nothing in it is changed.
            disk_mib: What it may write, in MiB.
            interfaces: In order.

        Raises:
            MissingRequirement: /dev/net/tun is missing.
            HostError: the kernel refused something; the message names it.
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

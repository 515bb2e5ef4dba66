"""What the engine needs to know of a guest's shell and of the clock; ``guest`` and ``simulation`` have what fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import trio

from qemunet.tasks.task import CompletedCommand


class Written(Protocol):
    """What a command has written: in memory while it is short, else in a file, up to a limit."""

    @property
    def size_bytes(self) -> int:
        """How much is kept."""

    @property
    def dropped_bytes(self) -> int:
        """How much came beyond the limit."""

    @property
    def path(self) -> Path | None:
        """The file, if there is one with a name."""

    def data(self, last_bytes: int | None = None) -> bytes:
        """All of it, or its end; what is cut says so in its last line."""

    def close(self) -> None:
        """Take no more."""


class Ended(Protocol):
    """How a command ended."""

    @property
    def written(self) -> Written:
        """What it wrote."""

    @property
    def mixed(self) -> bool:
        """Whether messages of the guest's kernel may be in it, which could not be told apart."""

    @property
    def exit_status(self) -> int:
        """As a shell says it."""

    @property
    def begun_ns(self) -> int:
        """Host monotonic time at which its begin mark was read."""

    @property
    def ended_ns(self) -> int:
        """Host monotonic time at which its end mark was read."""


class Armed(Protocol):
    """A command that is delivered and stands typed, without its newline."""

    def fire(self) -> int:
        """Write the newline at once; returns host monotonic time in ns."""

    async def stays(self) -> None:
        """Wait as long as it stands there; raises if its shell or guest is lost meanwhile."""

    async def begun(self) -> int:
        """Wait for the guest's word that it has begun; returns host monotonic time in ns."""

    async def ended(self) -> Ended:
        """Wait for its end."""

    async def stop(self) -> Ended | None:
        """Make it end, whatever it does; None if it had not begun. To be called in a shielded scope."""

    @property
    def written(self) -> Written:
        """What it has written so far."""


class Shell(Protocol):
    """The command shell of a guest."""

    @property
    def node(self) -> str:
        """Name of the guest."""

    @property
    def number(self) -> int:
        """Number of its console at the clock."""

    @property
    def lock(self) -> trio.Lock:
        """Held by whoever uses the shell."""

    async def arm(
        self,
        text: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        daemon: bool = False,
    ) -> Armed:
        """Deliver a command and type the line that runs it, without its newline."""

    async def outlived(self, command: str) -> None:
        """For after the end of a command (its text): return if the guest goes on, raise GuestExitedError if not."""


class Firing(Protocol):
    """What became of ``Clock.fire``."""

    @property
    def at_s(self) -> float:
        """Simulation time of the event."""

    @property
    def written_ns(self) -> Sequence[int]:
        """Host monotonic time at which each console's newline was written."""


class Clock(Protocol):
    """Simulation time."""

    def now_s(self) -> float:
        """Simulation time, in seconds."""

    def to_simulation_s(self, host_ns: int) -> float:
        """Simulation time at an instant of the host's monotonic clock."""

    async def sleep_until(self, at_s: float) -> None:
        """Wait until a simulation time."""

    async def fire(self, consoles: Sequence[int], *, at_s: float | None) -> Firing:
        """Type a newline at each console, in one event at a simulation time, or as soon as possible.

        Blanks may precede it: an armed line bears them at its end.
        """

    async def arrivals(self) -> Mapping[int, int]:
        """Host monotonic time, in ns, at which consoles of the last ``fire`` were first heard of.

        Measured at once and not where it is read; those for which there is no such time are missing.
        """


@dataclass(frozen=True)
class TaskEvent:
    """Something that happened, for the record.

    Attributes:
        kind: ``armed``, ``fired`` (with ``late`` if ``Task.at_s`` had passed), ``started``, ``ended``, ``interrupted``, ``lost`` (its shell or guest), ``arrived``
            (a guest at the barrier), ``barrier`` (all are there), ``broken`` (some are not), ``skew``, ``clock`` (a guest's
            was measured), ``copy-started``, ``copy-ended``, ``shell-opened``, ``shell-closed``.
        at_s: Simulation time.
        host_ns: Host monotonic time.
        task: Name of the Task; None for a verb.
        node: Name of the guest; None if it is about all.
        command: Text of the command it is about.
        number: Of that command; no other one of the run has it.
        completed: The command that has ended (``ended``, ``interrupted``, ``lost``).
        details: Anything else, as JSON knows it.
    """

    kind: str
    at_s: float
    host_ns: int
    task: str | None = None
    node: str | None = None
    command: str | None = None
    number: int | None = None
    completed: CompletedCommand | None = None
    details: Mapping[str, object] = field(default_factory=dict)


#: Is told every event, in order. It must not raise.
Observer = Callable[[TaskEvent], None]


def ignore(event: TaskEvent) -> None:
    """Observe nothing."""

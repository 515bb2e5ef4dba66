"""Every error that qemunet raises on purpose.

Each carries the object it is about, what was seen and the rule that was broken in its message, and the remedy
in its hint. A ``layer`` says which part failed; it is what ``run.json`` records and what decides the exit status.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class QemunetError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: What is wrong: the object, the observed value, the rule.
        hint: What the user can do about it, one sentence.
    """

    layer = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(QemunetError):
    """Wrong usage, or an input file that cannot be used."""

    layer = "input"


class SourceError(InputError):
    """A text with mistakes.

    ``problems`` holds every mistake found, each formatted as ``file:line:column: message``.
    """

    def __init__(self, problems: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = tuple(problems)


class TopologyError(SourceError):
    """A topology that cannot be read."""


class SweepError(SourceError):
    """A sweep file that cannot be read."""


class PlanError(TopologyError):
    """A topology that was read but cannot be built: what ns-3 or QEMU would abort on or silently spoil."""


class HostError(QemunetError):
    """The host refused something that a run needs."""

    layer = "host"


class MissingRequirement(HostError):
    """A program, device or permission that a run needs is missing; the hint is the command that brings it."""


class SimulationError(QemunetError):
    """The ns-3 worker failed."""

    layer = "simulation"


class GuestError(QemunetError):
    """A guest failed.

    Args:
        node: The name of the guest's node.
    """

    layer = "guest"

    def __init__(self, message: str, *, node: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.node = node


class GuestBootTimeout(GuestError):
    """A guest did not come up in time."""


class GuestExitedError(GuestError):
    """A guest ended or restarted while it was needed.

    Args:
        reason: ``"reboot"``, ``"shutdown"``, ``"panic"``, ``"crash"``, ``"launch"``, or ``"hang"`` (no sign of life).
    """

    def __init__(
        self, message: str, *, node: str | None = None, reason: str = "crash", hint: str | None = None
    ) -> None:
        super().__init__(message, node=node, hint=hint)
        self.reason = reason


class ConsoleError(GuestError):
    """A console lost step and could not be brought back."""


class TaskError(QemunetError):
    """A Task that cannot be run, or that did not end as it should."""

    layer = "task"


class CommandError(TaskError):
    """A command that did not end as it should.

    Args:
        node: The name of the guest's node.
        command: Its text.
        output: What it wrote, or what reads it: a long output is in a file.
    """

    def __init__(
        self, message: str, *, node: str, command: str, output: str | Callable[[], str], hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.node = node
        self.command = command
        self._output = output

    @property
    def output(self) -> str:
        """What it wrote."""
        return self._output if isinstance(self._output, str) else self._output()


class CommandFailed(CommandError):
    """A checked command ended with a status other than 0.

    ``output`` is what it wrote, ``exit_status`` what it returned.
    """

    def __init__(
        self,
        message: str,
        *,
        node: str,
        command: str,
        output: str | Callable[[], str],
        exit_status: int,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, node=node, command=command, output=output, hint=hint)
        self.exit_status = exit_status


class CommandTimeout(CommandError):
    """A command did not end in its time; ``output`` is what it had written by then."""

    def __init__(
        self,
        message: str,
        *,
        node: str,
        command: str,
        output: str | Callable[[], str],
        timeout_s: float,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, node=node, command=command, output=output, hint=hint)
        self.timeout_s = timeout_s


class BrokenBarrierError(TaskError):
    """A Task's barrier broke: some of its guests arrived, others cannot any more.

    Args:
        arrived: Names of the guests that did all they were to do.
        missing: Names of the others.
        failures: What went wrong, in order; the first is what the Task raises.
        results: As the Task would have returned them; None for each command that did not run.
    """

    def __init__(
        self,
        message: str,
        *,
        arrived: Sequence[str],
        missing: Sequence[str],
        failures: Sequence[QemunetError] = (),
        results: Mapping[str, Any] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.arrived = tuple(arrived)
        self.missing = tuple(missing)
        self.failures = tuple(failures)
        self.results = dict(results or {})


class LinkError(QemunetError):
    """A change of a link that an experiment asks for and that cannot be made."""

    layer = "experiment"


class ExperimentError(InputError):
    """An experiment file that does not load, or has no ``experiment``."""


def install_command(package: str) -> str:
    """The command that installs a package of Debian's or Ubuntu's, as this user has to type it; made for hints."""
    return f"{'' if os.geteuid() == 0 else 'sudo '}apt-get install -y {package}"

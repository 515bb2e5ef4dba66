"""What an experiment asks for: commands, grouped into Tasks; and what it gets back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from qemunet.errors import TaskError

if TYPE_CHECKING:
    from qemunet.tasks.protocols import Written

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_LATEST_S = 2**63 / 1e9
"""Simulation time is counted in nanoseconds, in 64 bits."""

Results = dict[str, Any]
"""``{node: CompletedCommand}``; a list of them where the Task had a list."""


@dataclass(frozen=True)
class Command:
    """One command of one guest, run by its POSIX sh.

    Args:
        text: Any text without NUL: several lines, here-documents and quotes included.
        timeout_s: Longest time it may take, in seconds.
        check: Whether a status other than 0 is a failure; None asks the Task.
        cwd: Its working directory.
        env: Variables added to its environment.
        stdin: What it reads; None is /dev/null.

    Raises:
        TaskError: a value that cannot be used.
    """

    text: str
    timeout_s: float | None = field(default=None, kw_only=True)
    check: bool | None = field(default=None, kw_only=True)
    cwd: str | None = field(default=None, kw_only=True)
    env: Mapping[str, str] | None = field(default=None, kw_only=True)
    stdin: str | bytes | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_surroundings(self.text, self.cwd, self.env, self.stdin)
        check_time("timeout_s", self.timeout_s)


@dataclass(frozen=True)
class Daemon:
    """A command that runs beside the others and is stopped by SIGINT (after 2 s SIGTERM, after 2 s SIGKILL).

    Its exit status is recorded and not checked.

    Args:
        text: As for a Command.
        until: ``"task"`` stops it when the Task's other commands have ended, ``"run"`` at the end of the run.
        cwd, env, stdin: As for a Command.

    Raises:
        TaskError: a value that cannot be used.
    """

    text: str
    until: Literal["task", "run"] = field(default="task", kw_only=True)
    cwd: str | None = field(default=None, kw_only=True)
    env: Mapping[str, str] | None = field(default=None, kw_only=True)
    stdin: str | bytes | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_surroundings(self.text, self.cwd, self.env, self.stdin)
        if self.until not in ("task", "run"):
            raise TaskError(f"a Daemon is until='task' or until='run', not until={self.until!r}")


Item = Command | Daemon


@dataclass(frozen=True)
class CompletedCommand:
    """A command that has ended. Times are simulation time, in seconds.

    Attributes:
        node: Name of the guest.
        command: Its text.
        written: What it wrote; a long output is in a file, and read only when it is asked for.
        exit_status: As a shell says it: 128 and the signal's number if a signal ended it. None for a Daemon that runs
            on, and where nobody knows because the guest is gone.
        fired_s: When the key stroke that started it was written.
        started_s: When the guest's word that it has begun was read.
        ended_s: When its end was read; None for a Daemon that runs on.
        dropped_bytes: How much exceeded the limit on the length of outputs, and is only in the console's log; if any,
            the last line of the output says so.
        interrupted: It was stopped before its end by a time-out, a failure elsewhere or a cancellation.
        daemon: It was a Daemon.
        mixed: Messages of the guest's kernel may be in the output, and could not be told apart.
    """

    node: str
    command: str
    written: Written | bytes = field(repr=False)
    exit_status: int | None
    fired_s: float
    started_s: float
    ended_s: float | None
    dropped_bytes: int = 0
    interrupted: bool = False
    daemon: bool = False
    mixed: bool = False

    @property
    def output_bytes(self) -> bytes:
        """Exactly what it wrote, standard output and error as they came; read anew each time if it is in a file."""
        return self.written if isinstance(self.written, bytes) else self.written.data()

    @property
    def output(self) -> str:
        """``output_bytes`` as text: UTF-8, undecodable bytes by surrogateescape, no newline translated."""
        return self.output_bytes.decode("utf-8", "surrogateescape")

    @property
    def output_path(self) -> Path | None:
        """The file that a long output is in; None for a short one."""
        return None if isinstance(self.written, bytes) else self.written.path

    @property
    def size_bytes(self) -> int:
        """Length of the output, in bytes; the line that marks a cut is not counted."""
        return len(self.written) if isinstance(self.written, bytes) else self.written.size_bytes

    def tail(self, last_bytes: int) -> str:
        """The end of ``output``, of so many bytes, whatever its length."""
        data = self.written[-last_bytes:] if isinstance(self.written, bytes) else self.written.data(last_bytes)
        return data.decode("utf-8", "surrogateescape")

    @property
    def duration_s(self) -> float | None:
        """From ``started_s`` to ``ended_s``."""
        return None if self.ended_s is None else self.ended_s - self.started_s


class Task:
    """Commands of several guests that start at one instant and end at a barrier.

    Args:
        name: For messages and records.
        commands: For each guest a text, a Command, a Daemon, or a list of these that run one after the other.
        check: A command that ends with another status than 0 is a failure, unless it says otherwise itself.
        timeout_s: Longest time from the start to the barrier, in seconds.
        at_s: Simulation time of the start; as soon as possible if None, or if it has passed.
        on_failure: ``"stop"`` stops the other guests' commands at the first that fails, is late or loses its guest;
            ``"collect"`` lets them go on to their ends, and then raises the first failure. What became of all is in
            its ``__cause__``, a BrokenBarrierError, either way.

    Raises:
        TaskError: there is nothing to run, or to wait for, or something of another type.
    """

    def __init__(
        self,
        name: str,
        commands: Mapping[str, str | Item | Sequence[str | Item]],
        *,
        check: bool = True,
        timeout_s: float | None = None,
        at_s: float | None = None,
        on_failure: Literal["stop", "collect"] = "stop",
    ) -> None:
        if not isinstance(name, str) or not name:
            raise TaskError(f"a Task needs a name, a text; seen: {name!r}")
        if not isinstance(commands, Mapping):
            raise TaskError(f"Task {name!r}: its commands are a mapping of node to command, not {_kind(commands)}")
        if not commands:
            raise TaskError(f"Task {name!r} has no commands")
        check_time("timeout_s", timeout_s)
        if at_s is not None and not (
            isinstance(at_s, (int, float)) and not isinstance(at_s, bool) and 0 <= at_s < _LATEST_S
        ):
            raise TaskError(f"Task {name!r}: at_s is a simulation time in seconds, not {at_s!r}")
        if on_failure not in ("stop", "collect"):
            raise TaskError(f"Task {name!r}: on_failure is 'stop' or 'collect', not {on_failure!r}")
        self.name = name
        self.check = check
        self.timeout_s = timeout_s
        self.at_s = at_s
        self.on_failure = on_failure
        self.commands: dict[str, tuple[Item, ...]] = {}
        self.lists: frozenset[str] = frozenset(node for node, given in commands.items() if _is_list(given))
        for node, given in commands.items():
            if not isinstance(node, str):
                raise TaskError(f"Task {name!r}: nodes are named by text, not by {_kind(node)}")
            items = given if _is_list(given) else [given]
            if not items:
                raise TaskError(f"Task {name!r}: the list of {node} is empty")
            self.commands[node] = tuple(_item(name, node, item) for item in items)
        all_items = [item for items in self.commands.values() for item in items]
        commands_to_wait_for = [item for item in all_items if isinstance(item, Command)]
        if not commands_to_wait_for and any(isinstance(item, Daemon) and item.until == "task" for item in all_items):
            raise TaskError(
                f"Task {name!r} has Daemons alone, and not all of them until='run'",
                hint="give it a command, or make all its Daemons until='run'",
            )

    def analyze(self, results: Results) -> Task | None:
        """Choose the next Task of a chain from this one's results, or None to end it. Override it."""
        return None

    def __repr__(self) -> str:
        return f"Task({self.name!r}, {list(self.commands)})"


def check_time(name: str, value: float | None) -> None:
    """Raise a TaskError unless ``value`` is None or a positive number of seconds."""
    if value is not None and not (isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0):
        raise TaskError(f"{name} is a positive number of seconds or None, not {value!r}")


def check_surroundings(text: str, cwd: str | None, env: Mapping[str, str] | None, stdin: str | bytes | None) -> None:
    """Raise a TaskError for a command, directory, environment or input that no shell can be given."""
    if not isinstance(text, str):
        raise TaskError(f"a command is a text, not {_kind(text)}")
    if not text.strip():
        raise TaskError("a command is empty")
    if cwd is not None and not isinstance(cwd, str):
        raise TaskError(f"cwd is a text, not {_kind(cwd)}")
    if stdin is not None and not isinstance(stdin, (str, bytes)):
        raise TaskError(f"stdin is a text or bytes, not {_kind(stdin)}")
    if env is not None and not isinstance(env, Mapping):
        raise TaskError(f"env is a mapping of names to texts, not {_kind(env)}")
    for variable, value in (env or {}).items():
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
            raise TaskError(f"{variable!r} cannot be the name of an environment variable")
        if not isinstance(value, str):
            raise TaskError(f"the environment variable {variable} is a text, not {_kind(value)}")
    if "\0" in text + (cwd or "") + "".join((env or {}).values()):
        raise TaskError("a command, its directory and its environment cannot hold a NUL character")
    for what in (text, cwd, *(env or {}).values(), stdin):
        if isinstance(what, str):
            try:
                what.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError as error:
                raise TaskError(
                    f"{_kind(what[error.start])} is no character that a guest can be sent",
                    hint="bytes that are no text are given as stdin=b'...', or as output has them (surrogateescape)",
                ) from None


def _is_list(given: object) -> TypeGuard[Sequence[object]]:
    return isinstance(given, Sequence) and not isinstance(given, (str, bytes))


def _item(task: str, node: str, item: object) -> Item:
    if isinstance(item, str):
        return Command(item)
    if isinstance(item, (Command, Daemon)):
        return item
    raise TaskError(
        f"Task {task!r}: {node} is given {_kind(item)}; it takes a text, a Command, a Daemon or a list of these"
    )


def _kind(value: object) -> str:
    return f"{type(value).__name__} {value!r}"[:80]

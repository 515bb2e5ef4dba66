"""What happened when: the Tasks and commands of a run, from its events. All times are simulation time in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from qemunet.report.text import first_line, one_line

Outcome = Literal["ok", "failed", "stopped", "lost", "unknown"]
"""How a command ended: status 0 (a Daemon: as it should), another status, interrupted, with its guest, nobody knows."""

_LINK_EVENTS = {"link-down": "down", "link-up": "up", "link-set": "set"}


@dataclass
class Command:
    """A command on its guest.

    Attributes:
        number: Of the run's commands.
        node: Its guest.
        text: What it is, in one line.
        task: Index of its Task; None for one of a guest's verbs.
        daemon: It is a Daemon.
        armed_s, fired_s, started_s, ended_s: When; None where it did not come to it.
        status: What it returned.
        interrupted: It was stopped.
        lost: Its guest or console was lost.
    """

    number: int
    node: str
    text: str
    task: int | None
    daemon: bool = False
    armed_s: float | None = None
    fired_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    status: int | None = None
    interrupted: bool = False
    lost: bool = False

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        if self.lost:
            return "lost"
        if self.interrupted:
            return "stopped"
        if self.ended_s is None:
            return "unknown"
        return "ok" if self.daemon or self.status == 0 else "failed"

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.outcome == "lost":
            return "lost with its guest"
        if self.outcome == "stopped":
            return "stopped"
        if self.outcome == "unknown":
            return "end unknown" if self.fired_s is not None else "not fired"
        return "status unknown" if self.status is None else f"status {self.status}"

    @property
    def begin_s(self) -> float:
        """When it is first heard of."""
        return min((at for at in (self.armed_s, self.fired_s, self.started_s) if at is not None), default=0.0)


@dataclass
class TaskSpan:
    """One Task, once.

    Attributes:
        index: From 0, in order.
        name: What the experiment calls it.
        begin_s: When its first command was armed.
        fired_s: When its first commands were fired.
        end_s: When it reached its barrier, or broke; None where neither is known.
        broken: It did not reach its barrier.
        error: Why not.
        written_ns, begun_ns: Skew of its start: instants of the newlines, arrivals of the begin marks.
        arrived, missing: Guests at the barrier, and those that did not come.
        commands: Its commands, in order.
    """

    index: int
    name: str
    begin_s: float
    fired_s: float | None = None
    end_s: float | None = None
    broken: bool = False
    error: str | None = None
    written_ns: int | None = None
    begun_ns: int | None = None
    arrived: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)

    @property
    def nodes(self) -> list[str]:
        """Its guests."""
        return list(dict.fromkeys(command.node for command in self.commands))


@dataclass(frozen=True)
class Mark:
    """Something that happened at an instant: a link that changed, a guest that ended."""

    at_s: float
    kind: str
    subject: str
    text: str


@dataclass
class Timeline:
    """All of a run that has a simulation time.

    Attributes:
        tasks: In order.
        commands: All, by number.
        marks: Links that changed and guests that ended.
        end_s: The last simulation time that is known.
        cut: The run's events end before the run's own end.
        guests: All that booted, in the order of the topology.
    """

    tasks: list[TaskSpan] = field(default_factory=list)
    commands: dict[int, Command] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    end_s: float = 0.0
    cut: bool = True
    guests: list[str] = field(default_factory=list)

    @property
    def nodes(self) -> list[str]:
        """Guests that something ran on, in the order of the topology."""
        used = dict.fromkeys(command.node for command in self.commands.values())
        return list(dict.fromkeys([*(node for node in self.guests if node in used), *used]))


class TimelineReader:
    """Takes events one after the other and keeps what a Timeline needs of them."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self._open: TaskSpan | None = None
        self._origin_ns: int | None = None

    def take(self, event: Mapping[str, Any]) -> None:
        """Take the next event of events.jsonl."""
        kind = str(event.get("event"))
        at_s = self._time(event)
        if kind == "time-0":
            host_ns = event.get("host_ns")
            self._origin_ns = host_ns if isinstance(host_ns, int) else None
        if kind == "booting":
            self.timeline.guests.append(str(event.get("node")))
        if kind == "end":
            self.timeline.cut = False
        if at_s is None:
            return
        self.timeline.end_s = max(self.timeline.end_s, at_s)
        if isinstance(event.get("number"), int):
            self._command(kind, at_s, event)
        elif kind == "lost" and event.get("task") is not None and self._open is None:
            self._begin(str(event["task"]), at_s)
        elif kind in ("skew", "barrier", "broken"):
            self._task(kind, at_s, event)
        elif kind in _LINK_EVENTS:
            text = one_line(f"{_LINK_EVENTS[kind]} {set_to(event)}".strip(), 120)
            self.timeline.marks.append(Mark(at_s, _LINK_EVENTS[kind], str(event.get("link")), text))
        elif kind == "guest-exited":
            text = one_line(str(event.get("message", "ended")), 160)
            self.timeline.marks.append(Mark(at_s, "exited", str(event.get("node")), text))

    def records(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in what tasks.jsonl knows beside: which commands are Daemons, and which were stopped."""
        for line in lines:
            command = self.timeline.commands.get(line.get("number", -1))
            if command is None:
                continue
            command.daemon = bool(line.get("daemon"))
            command.interrupted = command.interrupted or bool(line.get("interrupted"))

    def _time(self, event: Mapping[str, Any]) -> float | None:
        at_s, host_ns = event.get("simulation_s"), event.get("host_ns")
        if isinstance(at_s, (int, float)) and isfinite(at_s):
            return float(at_s)
        if self._origin_ns is not None and isinstance(host_ns, int) and host_ns >= self._origin_ns:
            return (host_ns - self._origin_ns) / 1e9
        return None

    def _begin(self, name: str, at_s: float) -> TaskSpan:
        self._open = TaskSpan(len(self.timeline.tasks), one_line(name, 120), at_s)
        self.timeline.tasks.append(self._open)
        return self._open

    def _command(self, kind: str, at_s: float, event: Mapping[str, Any]) -> None:
        number = int(event["number"])
        command = self.timeline.commands.get(number)
        if command is None:
            name = event.get("task")
            task = None
            if name is not None:
                same = self._open is not None and self._open.name == one_line(str(name), 120)
                task = self._open if self._open is not None and same else self._begin(str(name), at_s)
            command = Command(
                number,
                str(event.get("node")),
                one_line(str(event.get("command", "")), 400),
                None if task is None else task.index,
            )
            self.timeline.commands[number] = command
            if task is not None:
                task.commands.append(command)
        if kind == "armed":
            command.armed_s = at_s
        elif kind == "fired":
            command.fired_s = at_s
            task = None if command.task is None else self.timeline.tasks[command.task]
            if task is not None and task.fired_s is None:
                task.fired_s = at_s
        elif kind == "started":
            command.started_s = at_s
        elif kind in ("ended", "interrupted", "lost"):
            command.ended_s = at_s
            command.interrupted = kind == "interrupted"
            command.lost = kind == "lost"
            status = event.get("exit_status")
            command.status = status if isinstance(status, int) else None

    def _task(self, kind: str, at_s: float, event: Mapping[str, Any]) -> None:
        task = self._open
        if task is None:
            return
        if kind == "skew":
            task.written_ns, task.begun_ns = _whole(event.get("written_ns")), _whole(event.get("begun_ns"))
            return
        task.end_s = at_s
        task.broken = kind == "broken"
        task.error = first_line(str(event["error"])) if event.get("error") else None
        task.arrived = [str(node) for node in event.get("arrived") or ()]
        task.missing = [str(node) for node in event.get("missing") or ()]
        self._open = None


def set_to(event: Mapping[str, Any]) -> str:
    """What a link was set to, as a topology would write it."""
    values = event.get("impairments")
    if not isinstance(values, Mapping):
        return ""
    return " ".join(f"{key}={'(as by default)' if value is None else value}" for key, value in values.items())


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None

"""All that a run has left on disk, as far as a report shows it. A run may have been cut at any instant."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qemunet.report.jsonl import read_lines, read_object
from qemunet.report.text import Excerpt, excerpt, file_excerpt, one_line
from qemunet.report.timeline import Timeline, TimelineReader, set_to
from qemunet.results.record import read_run

OUTPUT_HEAD, OUTPUT_TAIL = 6_000, 10_000
"""Of an output longer than both, so much is shown of its beginning and its end."""
LOG_TAIL = 12_000
"""Of a log so much of its end is shown, in bytes."""
MOST_OUTPUTS = 240
"""So many outputs are shown; those of commands that failed come first."""
_MOST_NOTES = 200
_NOTED = {
    "warning": "warning",
    "failure": "failure",
    "guest-exited": "guest ended",
    "lost": "lost",
    "broken": "broken barrier",
    "link-down": "link down",
    "link-up": "link up",
    "link-set": "link changed",
}


@dataclass(frozen=True)
class Output:
    """What a command wrote.

    Attributes:
        number: Of the command.
        shown: What there is to see of it.
        file: Relative path of the file that has all of it; None where all is in tasks.jsonl.
        missing_bytes: So much was not kept at all.
    """

    number: int
    shown: Excerpt
    file: str | None
    missing_bytes: int


@dataclass(frozen=True)
class Log:
    """The end of a log: of a console, of QEMU, of ns-3."""

    name: str
    shown: Excerpt


@dataclass(frozen=True)
class Note:
    """An event that is worth a line: when (simulation time, where it has one), what, where, and what it said."""

    at_s: float | None
    kind: str
    subject: str
    text: str


@dataclass
class RunData:
    """A run.

    Attributes:
        directory: Its directory, absolute.
        record: run.json's content.
        timeline: Its Tasks and commands.
        outputs: By number of the command.
        outputs_left_out: So many are in tasks.jsonl only.
        notes: Warnings, failures, changes of links.
        logs: Ends of logs that are not empty.
        host: host.json's content.
        lag: lag.json's content, empty where the run has none.
        boots: Seconds from the start of each guest's boot to its end.
    """

    directory: Path
    record: dict[str, Any]
    timeline: Timeline = field(default_factory=Timeline)
    outputs: dict[int, Output] = field(default_factory=dict)
    outputs_left_out: int = 0
    notes: list[Note] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    host: dict[str, Any] = field(default_factory=dict)
    lag: dict[str, Any] = field(default_factory=dict)
    boots: dict[str, float] = field(default_factory=dict)


def read_run_data(directory: Path) -> RunData:
    """Read a run's directory.

    Raises:
        OSError, ValueError: there is no run.json in it, or none of a run.
    """
    directory = directory.resolve()
    data = RunData(directory, read_run(directory))
    reader = TimelineReader()
    boots: dict[str, int] = {}
    for event in read_lines(directory / "events.jsonl"):
        reader.take(event)
        kind, node, host_ns = event.get("event"), str(event.get("node")), event.get("host_ns")
        if kind == "booting" and isinstance(host_ns, int):
            boots[node] = host_ns
        elif kind == "booted" and isinstance(host_ns, int) and node in boots:
            data.boots[node] = (host_ns - boots[node]) / 1e9
        elif kind in _NOTED and len(data.notes) < _MOST_NOTES:
            data.notes.append(_note(event))
    reader.records(read_lines(directory / "tasks.jsonl"))
    data.timeline = reader.timeline
    wanted = set(_numbers_shown(data.timeline))
    data.outputs = dict(_outputs(directory, wanted))
    data.outputs_left_out = max(0, len(data.timeline.commands) - len(wanted))
    data.logs = list(_logs(directory))
    data.host = read_object(directory / "host.json")
    data.lag = read_object(directory / "lag.json")
    return data


def repeat_command(data: RunData) -> tuple[str, str]:
    """Return the command that runs the same again, and the one that does with the files as they were."""
    record = data.record
    request = record.get("request") or {}
    seed = ["--seed", str(record.get("seed", 1))]
    timeout = request.get("timeout_s")
    rest = [*seed, *(["--timeout", f"{timeout:g}"] if isinstance(timeout, (int, float)) else [])]
    typed: Mapping[str, Any] = request.get("parameters", record.get("parameters")) or {}
    every: Mapping[str, Any] = {**(record.get("parameters") or {}), **typed}
    topology = str(request.get("topology", data.directory / "topology.txt"))
    experiment = str(request.get("experiment", data.directory / "experiment.py"))
    kept = [*_words(every), *rest]
    again = ["qemunet", "run", topology, experiment, *_words(typed), *rest]
    suffix = Path(topology).suffix.lower()
    if suffix in ("", ".txt"):
        own = ["qemunet", "run", str(data.directory / "topology.txt"), str(data.directory / "experiment.py"), *kept]
        return shlex.join(again), shlex.join(own)
    return shlex.join(again), ""


def _words(parameters: Mapping[str, Any]) -> list[str]:
    return [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]


def _note(event: Mapping[str, Any]) -> Note:
    at_s = event.get("simulation_s")
    says = event.get("message") or event.get("error") or event.get("what") or set_to(event)
    subject = str(event.get("node") or event.get("link") or event.get("task") or "")
    kind = _NOTED[str(event["event"])]
    return Note(at_s if isinstance(at_s, (int, float)) else None, kind, one_line(subject, 60), one_line(str(says), 400))


def _numbers_shown(timeline: Timeline) -> Sequence[int]:
    """Return the commands whose outputs are shown: all, or those that failed and then the first ones."""
    failed = [number for number, command in timeline.commands.items() if command.outcome not in ("ok", "unknown")]
    return list(dict.fromkeys([*failed, *timeline.commands]))[:MOST_OUTPUTS]


def _outputs(directory: Path, wanted: set[int]) -> Iterator[tuple[int, Output]]:
    for line in read_lines(directory / "tasks.jsonl"):
        number = line.get("number")
        if not isinstance(number, int) or number not in wanted:
            continue
        missing, text, path = line.get("dropped_bytes") or 0, line.get("output"), line.get("output_path")
        if isinstance(text, str):
            shown = excerpt(text, head=OUTPUT_HEAD, tail=OUTPUT_TAIL)
            yield number, Output(number, shown, "tasks.jsonl" if shown.left_out else None, int(missing))
        elif isinstance(path, str):
            try:
                shown = file_excerpt(_inside(directory, path), head=OUTPUT_HEAD, tail=OUTPUT_TAIL)
            except (OSError, ValueError) as error:
                shown = Excerpt(f"{path} cannot be read: {error}")
            yield number, Output(number, shown, path, int(missing))


def _inside(directory: Path, path: str) -> Path:
    """Return a path of the run; what points elsewhere is not read."""
    found = (directory / path).resolve()
    if not found.is_relative_to(directory):
        raise ValueError("it is outside of the run's directory")
    return found


def _logs(directory: Path) -> Iterator[Log]:
    files = [*sorted((directory / "console").glob("*.log")), *sorted((directory / "qemu").glob("*.log"))]
    for path in [*files, directory / "ns3.log"]:
        try:
            shown = file_excerpt(path, head=0, tail=LOG_TAIL)
        except OSError:
            continue
        if shown.bytes:
            yield Log(str(path.relative_to(directory)), shown)

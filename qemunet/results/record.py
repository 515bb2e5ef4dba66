"""The RunRecord on disk: one directory a run, plain files, each whole or a valid prefix at any instant.

``run.json`` is replaced as a whole (written beside, then renamed); ``events.jsonl`` and ``tasks.jsonl`` grow by
whole lines, each written by a single write.
"""

from __future__ import annotations

import json
import math
import os
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qemunet.errors import HostError
from qemunet.process import process_alive, process_start_ticks

SCHEMA = 1
"""Version of run.json's layout."""


class RunDirectory:
    """A run's directory while the run writes it.

    Attributes:
        path: The directory.
        number: Its number under the experiment's name.
        record: What run.json holds; changed by ``update``.
    """

    def __init__(self, path: Path, number: int, record: dict[str, Any]) -> None:
        self.path = path
        self.number = number
        self.record = record
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._events = os.open(path / "events.jsonl", append, 0o644)
        self._tasks = os.open(path / "tasks.jsonl", append, 0o644)
        self._outputs = 0
        self._lock = threading.Lock()

    @classmethod
    def create(cls, runs: Path, experiment: str, record: Mapping[str, Any]) -> RunDirectory:
        """Make the next free ``runs/<experiment>/<number>/`` and write run.json with status ``running``.

        Safe when many processes do so at once: the number is taken by making the directory.

        Raises:
            HostError: the directory cannot be made or written.
        """
        parent = runs / experiment
        try:
            parent.mkdir(parents=True, exist_ok=True)
            taken = [int(entry.name) for entry in parent.iterdir() if entry.name.isdecimal()]
            number = max(taken, default=0) + 1
            while True:
                path = parent / str(number)
                try:
                    path.mkdir()
                    break
                except FileExistsError:
                    number += 1
            for folder in ("console", "qemu", "pcap"):
                (path / folder).mkdir()
            whole = {
                "schema": SCHEMA,
                "status": "running",
                "verdict": None,
                "experiment": experiment,
                "number": number,
                "directory": str(path),
                "metrics": {},
                "started": _now(),
                "ended": None,
                "error": None,
                **record,
            }
            run = cls(path, number, whole)
            run.update()
        except OSError as error:
            raise HostError(
                f"run directory under {parent} cannot be written: {error.strerror}",
                hint="name a writable place with --runs-dir",
            ) from error
        return run

    def update(self, **values: Any) -> None:
        """Change fields of the record and write run.json anew, atomically."""
        self.record.update(values)
        self.write("run.json", to_json(self.record))

    def end(self, status: str, **values: Any) -> None:
        """Write the end of the run: status, time and ``values``, and close the line files."""
        self.event("end", simulation_s=None, host_ns=time.monotonic_ns(), status=status)
        self.update(status=status, ended=_now(), **values)
        for descriptor in (self._events, self._tasks):
            os.close(descriptor)
        self._events = self._tasks = -1

    def write(self, name: str, text: str) -> None:
        """Write a file of the directory, whole or not at all."""
        write_whole(self.path / name, text)

    def event(self, kind: str, *, simulation_s: float | None, host_ns: int, **values: Any) -> None:
        """Append a line to events.jsonl: what happened, at which simulation time (s) and host monotonic time (ns)."""
        if self._events >= 0:
            line = {"event": kind, "simulation_s": simulation_s, "host_ns": host_ns, **values}
            _append(self._events, line)

    def output_path(self, node: str) -> Path:
        """Where the next long output goes: ``outputs/<number>-<node>.out``, in a folder that is there (any thread).

        Raises:
            OSError: the folder cannot be made.
        """
        (self.path / "outputs").mkdir(exist_ok=True)
        with self._lock:
            self._outputs += 1
            return self.path / "outputs" / f"{self._outputs:05d}-{re.sub(r'[^A-Za-z0-9_-]', '_', node)}.out"

    def command(self, output: bytes | Path, *, output_bytes: int, dropped_bytes: int = 0, **values: Any) -> None:
        """Append a command's line to tasks.jsonl.

        Args:
            output: What it wrote, or the file of the directory that has it.
            output_bytes: How long that is, without the line that marks a cut.
            dropped_bytes: How much is missing.
            values: Whatever else the line holds.
        """
        if self._tasks < 0:
            return
        if isinstance(output, Path):
            values |= {"output": None, "output_path": str(output.relative_to(self.path))}
        else:
            values["output"] = output.decode("utf-8", "surrogateescape")
        values["output_bytes"] = output_bytes
        if dropped_bytes:
            values |= {"cut": True, "dropped_bytes": dropped_bytes}
        _append(self._tasks, values)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that at any instant either the old one or the new one is there, never a part."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8", errors="surrogateescape")
    beside.replace(path)


def to_json(value: Any) -> str:
    """JSON with a final newline; undecodable bytes of outputs (surrogates) are escaped, so the text is always UTF-8.

    JSON knows no NaN and no infinity: both are null.
    """
    return json.dumps(finite(value), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """The same value, with None for every number in it that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return value


def _append(descriptor: int, line: Mapping[str, Any]) -> None:
    data = (json.dumps(finite(line), ensure_ascii=True, allow_nan=False) + "\n").encode()
    while data:
        data = data[os.write(descriptor, data) :]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_run(path: Path) -> dict[str, Any]:
    """Read a run.json; a run marked ``running`` whose process is gone reads as ``interrupted``.

    Raises:
        OSError: there is none.
        ValueError: it is not a run.json.
    """
    record = json.loads((path / "run.json").read_text(encoding="utf-8"))
    if not isinstance(record, dict) or "status" not in record:
        raise ValueError(f"{path / 'run.json'} is not the record of a run")
    if _is_cut(record):
        record["status"] = "interrupted"
    return record


def cut_runs(runs: Path) -> list[Path]:
    """Directories under ``runs`` whose run.json says ``running`` although its process is gone."""
    found = []
    for file in sorted(runs.glob("*/*/run.json")):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and _is_cut(record):
            found.append(file.parent)
    return found


def mark_interrupted(directory: Path) -> None:
    """Write into a cut run's run.json what it already reads as."""
    record = read_run(directory)
    write_whole(directory / "run.json", to_json(record))


def this_process() -> dict[str, int]:
    """What tells this process from any later one with the same number: pid and start time in clock ticks."""
    return {"pid": os.getpid(), "start_ticks": process_start_ticks(os.getpid()) or 0}


def _is_cut(record: Mapping[str, Any]) -> bool:
    """Whether a record says ``running`` although nobody writes it any more."""
    process = record.get("process", {})
    return record.get("status") == "running" and not process_alive(process.get("pid", 0), process.get("start_ticks", 0))

"""Runs of ``kills.py`` until so many guests have been killed, and what is wrong with any of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.parts import Say, clean, discard, run


@dataclass
class Killed:
    """What became of the kills.

    Attributes:
        hits: How many victims had come how far: to nothing, armed, fired, started, arrived.
        seconds: From a Task's start to its error, the longest.
        wrong: What was not as it should be.
        directories: Those of the runs in which it was not.
    """

    hits: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)


# Topology; kills in one run; four guests more than that are needed, for each Task has five; seconds for a Task to end.
_KINDS: Mapping[str, tuple[str, int, int]] = {
    "containers": ("containers.txt", 6, 30),
    "machines": ("many.txt", 5, 120),
}


def kill_guests(kind: str, kills: int, seed: int, runs: Path, say: Say) -> Killed:
    """Kill guests of a kind, five-guest Task by five-guest Task, until it is enough or one of them goes unnoticed."""
    topology, most, deadline_s = _KINDS[kind]
    killed = Killed()
    while killed.hits.total() < kills and not killed.wrong:
        count = min(most, kills - killed.hits.total())
        parameters = {"guests": str(count + 4), "kills": str(count), "deadline_s": str(deadline_s)}
        record = run(topology, "kills.py", parameters, seed, runs)
        _look(record, killed)
        say(f"kills of {kind}: {killed.hits.total()} of {kills}, {dict(killed.hits)}")
        seed += 1
    return killed


def _look(record: Mapping[str, Any], killed: Killed) -> None:
    directory = Path(record["directory"])
    path = directory / "kills.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    ends = {line["number"]: line for line in lines if line["is"] != "due"}
    for line in ends.values():
        killed.hits[line["hit"]] += 1
        killed.seconds = max(killed.seconds, line.get("seconds", 0.0))
    last = lines[-1] if lines else {}
    error = record["error"] or {}
    # When the victim had done its part, it is the run that must end and name it.
    ended = last.get("is") == "over" and (error.get("layer"), error.get("node")) == ("guest", last["victim"])
    if ended or clean(record):
        discard(record)
    else:
        killed.wrong.append(f"seed {record['seed']}: after {last}: {error.get('message')}")
        killed.directories.append(str(directory))

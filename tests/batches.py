"""What tests of batches share: sweeps, and a program in place of ``qemunet run`` that does what a script says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from qemunet.batch.executor import LocalExecutor
from qemunet.batch.index import AttemptRow, Index, create_index
from qemunet.batch.model import PlannedRun, Repeat, Sweep
from qemunet.batch.schedule import plan_runs
from qemunet.results.record import RunDirectory, this_process


class Recorder:
    """A View that remembers."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.ends: list[AttemptRow] = []
        self.counted: Counter[int] = Counter()
        self.added = 0
        self.warnings: list[str] = []
        self.running = 0
        self.most = 0

    def began(self, run: PlannedRun, attempt: int) -> None:
        self.begun.append((run.run, attempt))
        self.running += 1
        self.most = max(self.most, self.running)

    def ended(self, run: PlannedRun, row: AttemptRow, *, counts: bool) -> None:
        self.ends.append(row)
        self.counted[run.run] += counts
        self.running -= 1

    def planned(self, runs: int) -> None:
        self.added += runs

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def a_sweep(*, points: int = 1, repeat: int = 1) -> Sweep:
    """A sweep over so many points; its topology and experiment are never read."""
    return Sweep(
        topology="/nowhere/t.txt",
        experiment=Path("/nowhere/e.py"),
        names=("x",),
        points=tuple({"x": str(number)} for number in range(1, points + 1)),
        repeat=Repeat(repeat, repeat),
    )


def new_index(batch: Path, sweep: Sweep) -> Index:
    """The index of a new batch."""
    points = dict(enumerate(sweep.points, 1))
    return create_index(batch, {"name": batch.name}, points, plan_runs(sweep, points))


def executor(capacity: int = 2, *, end_s: float = 5.0) -> LocalExecutor:
    """An executor that starts this very file instead of ``qemunet``."""
    return LocalExecutor(capacity, command=[sys.executable, "-m", "tests.batches"], end_s=end_s)


def script(batch: Path, plan: Mapping[int, Sequence[str]]) -> None:
    """Say what each run does: a word an attempt, the last one for all further ones; other runs pass."""
    (batch / "script.json").write_text(json.dumps({str(run): list(words) for run, words in plan.items()}))


def play(words: Sequence[str]) -> int:
    """Be ``qemunet run``, as far as a batch sees it."""
    from qemunet.signals import end_with_pipe

    options = {name: value for name, value in pairwise(words) if name.startswith("--")}
    batch, run = Path(options["--runs-dir"]), int(options["--batch-run"])
    attempt = int(options["--batch-attempt"])
    end_with_pipe(int(options["--batch-pipe"]))
    plan = json.loads((batch / "script.json").read_text()) if (batch / "script.json").exists() else {}
    todo = plan.get(str(run), ["passed"])
    word = todo[min(attempt, len(todo)) - 1]
    if word == "nothing":
        print("it does not even begin", file=sys.stderr)
        return 7
    if word == "input":
        problem = {"layer": "input", "type": "InputError", "message": "no such file", "hint": None}
        print(json.dumps({"status": "error", "verdict": None, "directory": None, "error": problem}))
        return 2
    record = {"seed": int(options["--seed"]), "batch": {"run": run, "attempt": attempt}, "process": this_process()}
    directory = RunDirectory.create(batch, "e", record)
    print("words of the run", file=sys.stderr)
    match word.split(":"):
        case ["wait"]:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(_end(directory, "interrupted")))
            time.sleep(600)
        case ["deaf"]:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            (directory.path / "deaf").touch()
            time.sleep(600)
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["error", layer]:
            return _end(directory, "error", error={"layer": layer, "message": f"{layer} broke", "hint": None})
        case ["unfaithful"]:
            return _end(directory, word, verdict="passed", fidelity={"faithful": False, "summary": "unfaithful: late"})
        case ["passed", value]:
            return _end(directory, "passed", verdict="passed", metrics={"x": float(value)})
        case _:
            return _end(directory, word, verdict=word, metrics={"x": run})
    return 0


def _end(directory: RunDirectory, status: str, **values: Any) -> int:
    directory.end(status, **values)
    return {"passed": 0, "failed": 1, "error": 4, "unfaithful": 5}.get(status, 143)


if __name__ == "__main__":
    sys.exit(play(sys.argv[1:]))

"""What an attempt comes to: its status and why, whether it counts, and the exit status of the whole batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qemunet.batch.index import AttemptRow, now
from qemunet.batch.model import Attempt, Retry

FINISHED = frozenset({"passed", "failed", "error", "unfaithful"})
"""What run.json of a run says that has a result."""

_EXITS = (("error", 4), ("lost", 4), ("interrupted", 4), ("unfaithful", 5), ("failed", 1))


def row_of(run: int, attempt: int, outcome: Attempt, batch: Path) -> AttemptRow:
    """The index row of an attempt that ended.

    Without a finished run.json it is ``lost`` if its process ended by itself, and ``cut`` if nobody saw it end.
    """
    record = outcome.record or {}
    status = record.get("status")
    if status not in FINISHED | {"interrupted"}:
        status = "cut" if outcome.exit_status is None else "lost"
    directory = None if outcome.directory is None else _relative(outcome.directory, batch)
    return AttemptRow(
        run,
        attempt,
        directory,
        status,
        verdict=record.get("verdict"),
        why=_one_line(why_of(status, record, outcome)),
        exit_status=outcome.exit_status,
        ended=now(),
        executor=outcome.executor,
        metrics=record.get("metrics"),
        fidelity=record.get("fidelity"),
        error=record.get("error"),
    )


def why_of(status: str, record: Mapping[str, Any], outcome: Attempt) -> str:
    """Why an attempt ended so, for a person."""
    error = record.get("error") or {}
    problem = f"{error.get('layer')}: {error.get('message')}" if error else ""
    match status:
        case "passed":
            return "the experiment returned"
        case "unfaithful":
            summary = str((record.get("fidelity") or {}).get("summary") or "over its fidelity limits")
            return summary.removeprefix("unfaithful: ")
        case "failed" | "error":
            return problem or outcome.why or status
        case "interrupted":
            return outcome.why or "a signal ended the run"
        case "cut":
            return outcome.why or "its worker died"
    number = outcome.exit_status or 0
    how = f"killed by signal {-number}" if number < 0 else f"exit {number}"
    return f"left no result, {how}" + (f": {outcome.why}" if outcome.why else "")


def cause_of(row: AttemptRow) -> str | None:
    """What a further try at the run may do better: a layer or ``unfaithful``; None if its result is final."""
    if row.status == "unfaithful":
        return "unfaithful"
    if row.status in ("lost", "interrupted"):
        return "host"
    layer = (row.error or {}).get("layer") if row.status == "error" else None
    return layer if layer in ("host", "guest", "simulation") else None


def counted_attempt(attempts: Sequence[AttemptRow], retry: Retry) -> int | None:
    """The attempt at a run that counts, or None if the run is to be tried (again).

    That is the last one that was not cut, unless its cause has tries left.
    """
    ended = [row for row in attempts if row.status not in ("cut", "running")]
    if not ended:
        return None
    cause = cause_of(ended[-1])
    if cause is not None and sum(cause_of(row) == cause for row in ended) <= getattr(retry, cause):
        return None
    return ended[-1].attempt


def exit_status(statuses: Mapping[str, int], *, experiment_errors: int = 0) -> int:
    """Of a batch all of whose runs are done.

    Args:
        statuses: How many runs have which status.
        experiment_errors: How many of those with an error have it from the experiment; they weigh as failed ones.
    """
    errors = statuses.get("error", 0) - experiment_errors
    weighed = {**statuses, "error": errors, "failed": statuses.get("failed", 0) + experiment_errors}
    return next((status for name, status in _EXITS if weighed.get(name)), 0)


def _relative(directory: Path, batch: Path) -> str:
    try:
        return str(directory.resolve().relative_to(batch.resolve()))
    except ValueError:
        return str(directory)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]

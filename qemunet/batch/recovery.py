"""After a stop of any kind: what the directories say is brought into the index, and runs that still live are ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from qemunet.batch.executor import END_S, keep_log, of_batch, read_record
from qemunet.batch.index import AttemptRow, Index
from qemunet.batch.model import Attempt, Retry
from qemunet.batch.outcome import FINISHED, counted_attempt, row_of
from qemunet.process import process_alive


@dataclass(frozen=True)
class Recovered:
    """What was found.

    Attributes:
        adopted: Attempts that had ended, without the index knowing.
        cut: Attempts that the stop has cut.
    """

    adopted: int = 0
    cut: int = 0


async def recover(index: Index, retry: Retry, *, say: Callable[[str], None], end_s: float = END_S) -> Recovered:
    """Bring the index up to what is on disk; afterwards each run is ``planned`` or ``done``.

    A finished directory that the index has no end of is adopted as it is. An attempt without a result is cut; a run that
    still lives is ended first, for the batch that it belonged to is dead (the batch's lock is held).

    Args:
        index: The batch's.
        retry: How often runs are repeated.
        say: Takes news for the user.
        end_s: What a living run has for its end before it is killed.
    """
    batch = index.directory
    known = {(row.run, row.attempt): row for row in index.attempts()}
    planned = {run.run for run in index.runs()}
    living = [path for _, path in _directories(batch) if _process(path) is not None]
    if living:
        say(f"{len(living)} runs of the batch that died are still ending")
    async with trio.open_nursery() as nursery:
        for path in living:
            nursery.start_soon(_end, path, end_s)
    found = dict(_directories(batch))
    adopted = cut = 0
    for key, path in found.items():
        row = known.get(key)
        if key[0] not in planned:
            say(f"{path}: is of run {key[0]}, which this batch has not; left alone")
        elif row is None or row.status == "running":
            ended = _ended(key, path, row, batch)
            index.end(ended, state=None)
            adopted, cut = adopted + (ended.status != "cut"), cut + (ended.status == "cut")
        elif row.directory is None and row.status == "cut":
            index.end(replace(row, directory=str(path.relative_to(batch))), state=None)
    for key, row in known.items():
        if row.status == "running" and key not in found:
            index.end(replace(row, status="cut", why=_CUT), state=None)
            cut += 1
    for log in batch.glob(".*-*.log"):
        run, _, attempt = log.name[1:].removesuffix(".log").partition("-")
        with suppress(ValueError):
            keep_log(log, found.get((int(run), int(attempt))))
    _settle(index, retry)
    return Recovered(adopted, cut)


_CUT = "the batch was stopped"


def _settle(index: Index, retry: Retry) -> None:
    """Let the attempts say which runs are done."""
    attempts: dict[int, list[AttemptRow]] = {}
    for row in index.attempts():
        attempts.setdefault(row.run, []).append(row)
    done = {run.run for run in index.runs(state="done")}
    for run in index.runs():
        if run.run in done:
            continue
        counted = counted_attempt(attempts.get(run.run, ()), retry)
        index.set_state(run.run, "planned" if counted is None else "done", attempt=counted)


def _ended(key: tuple[int, int], path: Path, row: AttemptRow | None, batch: Path) -> AttemptRow:
    record: Mapping[str, Any] = read_record(path) or {}
    executor = row.executor if row is not None else ""
    # Without an exit status: one that has no result was cut. One that was interrupted, was by the batch's end.
    result = record if record.get("status") in FINISHED else None
    attempt = Attempt(directory=path, record=result, exit_status=None, why=_CUT, executor=executor)
    ended = row_of(*key, attempt, batch)
    when = record.get("ended") or ended.ended
    return replace(ended, started=row.started if row is not None else record.get("started") or "", ended=when)


def _directories(batch: Path) -> Iterator[tuple[tuple[int, int], Path]]:
    """The run directories of a batch that say which run and attempt they are of; of two the finished one comes last."""
    found = []
    for file in batch.glob("*/*/run.json"):
        record = read_record(file.parent)
        key = of_batch(record)
        if record is not None and key is not None:
            found.append((record["status"] in FINISHED, key, file.parent))
    for _, key, path in sorted(found):
        yield key, path


def _process(directory: Path) -> int | None:
    """The process that writes a run directory; None if there is none any more."""
    record = read_record(directory) or {}
    process = record.get("process") or {}
    pid = int(process.get("pid", 0))
    if record.get("status") != "running" or not process_alive(pid, process.get("start_ticks", 0)):
        return None
    return pid


async def _end(directory: Path, end_s: float) -> None:
    """End a run's process: in order, or after ``end_s`` by SIGKILL."""
    pid = _process(directory)
    if pid is None:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _process(directory) != pid:  # it has ended since, and its number may be another's
            return
        for number, wait_s in ((signal.SIGTERM, end_s), (signal.SIGKILL, 10.0)):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)
            with trio.move_on_after(wait_s):
                await trio.lowlevel.wait_readable(pidfd)
                return
    finally:
        os.close(pidfd)

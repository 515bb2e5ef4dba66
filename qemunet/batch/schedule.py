"""Which run is next, how often it is tried, when a point has enough of them; executes them, some at a time."""

from __future__ import annotations

import heapq
import math
import random
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import trio

from qemunet.batch.executor import Executor, find_attempt, read_record
from qemunet.batch.index import AttemptRow, Index, check_room
from qemunet.batch.model import Attempt, Job, PlannedRun, Sweep
from qemunet.batch.outcome import FINISHED, counted_attempt, row_of
from qemunet.batch.space import run_seed
from qemunet.batch.stopping import more_repetitions
from qemunet.errors import HostError, QemunetError
from qemunet.results.statistics import is_number
from qemunet.topology.problems import did_you_mean

HANG_S = 120.0
"""A run that has not ended so long after its own time-out hangs in its teardown, and is ended from outside."""

MOST_CUTS = 5
"""A run whose worker has died more often than this, in one go, is taken for what kills them: it is lost."""

_LOOK_S = 2.0  # how often an executor whose capacity changes is asked for it


class View(Protocol):
    """Is told how a batch goes on."""

    def began(self, run: PlannedRun, attempt: int) -> None:
        """An attempt begins."""

    def ended(self, run: PlannedRun, row: AttemptRow, *, counts: bool) -> None:
        """An attempt has ended; ``counts`` if it is the run's result."""

    def planned(self, runs: int) -> None:
        """So many runs were added by a stopping rule."""

    def warn(self, text: str) -> None:
        """Something is likely not what the user wants."""


class Schedule:
    """Executes what is planned in an index, and what is added meanwhile.

    Args:
        sweep: The batch.
        index: Its index, in which each run is planned or done.
        executor: Executes the runs.
        view: Is told how it goes on.
        hang_s: As ``HANG_S``.
    """

    def __init__(self, sweep: Sweep, index: Index, executor: Executor, *, view: View, hang_s: float = HANG_S) -> None:
        self.stopped_by = "the batch was stopped"
        self._sweep = sweep
        self._index = index
        self._executor = executor
        self._view = view
        self._hang_s = hang_s
        self._queue: list[tuple[int, int, int, PlannedRun]] = []
        self._running: set[int] = set()
        self._cuts: Counter[int] = Counter()
        self._changed = trio.Event()
        self._scope = trio.CancelScope()
        self._failure: QemunetError | None = None
        self._warned = False

    async def run(self) -> None:
        """Execute everything. When cancelled, the runs that are running are ended and written down as cut.

        Raises:
            HostError: the index or the disk took no more, or runs cannot be started; the batch can be resumed.
        """
        for run in self._index.runs(state="planned"):
            tries = sum(row.status != "cut" for row in self._index.attempts(run.run))
            self._push(run, tries)
        for point in self._index.points:
            self._extend(point)
        with self._scope:
            async with trio.open_nursery() as nursery:
                while (self._queue or self._running) and self._failure is None:
                    while self._queue and len(self._running) < max(1, self._executor.capacity):
                        *_, run = heapq.heappop(self._queue)
                        self._running.add(run.run)
                        nursery.start_soon(self._attempt, run)
                    self._changed = trio.Event()
                    with trio.move_on_after(_LOOK_S):
                        await self._changed.wait()
        if self._failure is not None:
            raise self._failure

    def _push(self, run: PlannedRun, tries: int) -> None:
        # A run that is tried again comes behind those that were not tried yet: what disturbed it may have passed.
        heapq.heappush(self._queue, (tries, run.position, run.run, run))

    async def _attempt(self, run: PlannedRun) -> None:
        try:
            check_room(self._index.directory)
            number = self._index.begin(run.run, executor=self._executor.name)
            self._view.began(run, number)
            sweep = self._sweep
            job = Job(run, number, sweep.topology, sweep.experiment, self._index.directory, sweep.timeout_s)
            self._take(run, number, await self._execute(job))
        except QemunetError as error:
            self._failure = self._failure or error
            self._scope.cancel()
        finally:
            self._running.discard(run.run)
            self._changed.set()

    async def _execute(self, job: Job) -> Attempt:
        limit_s = math.inf if job.timeout_s is None else job.timeout_s + self._hang_s
        try:
            with trio.move_on_after(limit_s):
                return await self._executor.execute(job)
        except trio.Cancelled:
            # Its process has ended. Where the index takes no more, the next one to resume finds out.
            with suppress(HostError):
                self._note_cut(job)
            raise
        found = self._found(job, f"did not end within {self._hang_s:g} s of its time-out of {job.timeout_s:g} s")
        return replace(found, exit_status=-signal.SIGKILL)

    def _found(self, job: Job, why: str) -> Attempt:
        directory = find_attempt(job.directory, job.planned.run, job.attempt)
        record = None if directory is None else read_record(directory)
        return Attempt(directory=directory, record=record, exit_status=None, why=why, executor=self._executor.name)

    def _note_cut(self, job: Job) -> None:
        found = self._found(job, self.stopped_by)
        if found.record is None or found.record["status"] not in FINISHED:
            found = replace(found, record=None)
        self._take(job.planned, job.attempt, found)

    def _take(self, run: PlannedRun, number: int, outcome: Attempt) -> None:
        """Write down how an attempt ended, and what follows from it."""
        row = row_of(run.run, number, outcome, self._index.directory)
        if row.status != "passed":
            try:
                check_room(self._index.directory)
            except HostError:
                # It is the disk's failure and not the run's.
                self._index.end(replace(row, status="cut", why="the disk is full"), state="planned")
                raise
        if row.status == "cut":
            self._cuts[run.run] += 1
            if self._cuts[run.run] > MOST_CUTS:
                row = replace(row, status="lost", why=f"{row.why}, {self._cuts[run.run]} times")
        before = [each for each in self._index.attempts(run.run) if each.attempt != number]
        counts = counted_attempt([*before, row], self._sweep.retry) == number
        self._index.end(row, state="done" if counts else "planned")
        self._view.ended(run, row, counts=counts)
        if counts:
            self._extend(run.point)
        else:
            self._push(run, len(before) + 1)

    def _extend(self, point: int) -> None:
        """Plan further repetitions of a point that has all its results and needs more."""
        runs = self._index.runs(point=point)
        counted = self._index.counted(point=point)
        if len(counted) < len(runs):
            return
        more = more_repetitions(
            self._sweep.repeat, [row.metrics if row.status == "passed" else None for row in counted]
        )
        if not more:
            return
        self._warn_of_metric([row.metrics or {} for row in counted if row.status == "passed"])
        everything = self._index.runs()
        number = max(run.run for run in everything)
        position = max(run.position for run in everything)
        added = [
            PlannedRun(
                number + each,
                point,
                len(runs) + each,
                run_seed(self._sweep.seed, runs[0].parameters, len(runs) + each),
                position + each,
                runs[0].parameters,
            )
            for each in range(1, more + 1)
        ]
        self._index.add_runs(added)
        self._view.planned(len(added))
        for run in added:
            self._push(run, 0)

    def _warn_of_metric(self, passed: Sequence[Mapping[str, Any]]) -> None:
        """Say once that a stopping rule waits for what runs do not have: it would take all points to their ``max``."""
        until = self._sweep.repeat.until
        if self._warned or until is None or not passed:
            return
        if not any(is_number(metrics.get(until.metric)) for metrics in passed):
            self._warned = True
            names = dict.fromkeys(name for metrics in passed for name, value in metrics.items() if is_number(value))
            near = did_you_mean(until.metric, names)
            self._view.warn(f"no number {until.metric!r}, by which repetitions end, is among the metrics{near}")


def plan_runs(sweep: Sweep, points: Mapping[int, Mapping[str, str]]) -> list[PlannedRun]:
    """The runs of a new batch: each point as often as the sweep says at least, with their seeds and their order."""
    pairs = [(point, repetition) for point in points for repetition in range(1, sweep.repeat.minimum + 1)]
    positions = list(range(1, len(pairs) + 1))
    if sweep.order == "random":
        random.Random(f"order of {sweep.seed}").shuffle(positions)
    return [
        PlannedRun(number, point, repetition, run_seed(sweep.seed, points[point], repetition), position, points[point])
        for number, ((point, repetition), position) in enumerate(zip(pairs, positions, strict=True), 1)
    ]

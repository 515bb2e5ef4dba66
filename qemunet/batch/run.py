"""One batch, from its sweep file to the end of its last run."""

from __future__ import annotations

import signal
import statistics
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import trio

from qemunet.batch.directory import begin, check_inputs, refuse_changed, refuse_foreign
from qemunet.batch.executor import Executor, LocalExecutor
from qemunet.batch.index import Index, batch_lock, open_index
from qemunet.batch.jobs import AutoExecutor, find_room
from qemunet.batch.model import Sweep
from qemunet.batch.outcome import exit_status
from qemunet.batch.recovery import recover
from qemunet.batch.schedule import Schedule
from qemunet.batch.sweep import read_sweep
from qemunet.batch.view import BatchView, time_left
from qemunet.batch.warm import open_warm
from qemunet.errors import HostError, InputError
from qemunet.progress import Progress
from qemunet.signals import signals_cancel


def points_of(sweep: Sweep) -> dict[int, dict[str, str]]:
    """The points of a sweep by their numbers."""
    return {number: dict(parameters) for number, parameters in enumerate(sweep.points, 1)}


@dataclass(frozen=True)
class BatchRequest:
    """What a user asks for.

    Attributes:
        sweep: The sweep file.
        runs: Where batch directories go.
        jobs: How many runs at a time; ``auto`` finds out how many fit; None takes what the sweep says, else 1.
        dask: Address of a Dask scheduler whose workers execute the runs, or None.
        resume: Go on with a batch that was stopped; one that has not begun begins.
        cold: Start each run anew, and not from a warm template.
    """

    sweep: Path
    runs: Path = Path("runs")
    jobs: int | Literal["auto"] | None = None
    dask: str | None = None
    resume: bool = False
    cold: bool = False


@dataclass(frozen=True)
class BatchOutcome:
    """How a batch ended.

    Attributes:
        directory: The batch directory.
        points: How many points it has.
        planned: How many runs it has.
        statuses: How many runs are done with each status.
        exit_status: As in the README.
    """

    directory: Path
    points: int
    planned: int
    statuses: Mapping[str, int]
    exit_status: int


def run_batch(request: BatchRequest, *, progress: Progress) -> BatchOutcome:
    """Execute the runs of a sweep that are missing, and leave a complete batch directory.

    SIGINT and SIGTERM (in the main thread) end the running runs and leave a batch that can be resumed.

    Raises:
        InputError: the sweep cannot be used, the batch is there already or is another one, or somebody else runs it.
        HostError: the batch directory cannot be written, or runs cannot be started here.
    """
    sweep = read_sweep(request.sweep)
    points = points_of(sweep)
    directory = batch_directory(request)
    existed = directory.exists()
    if existed:
        refuse_foreign(directory)
    else:
        check_inputs(sweep, points)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(
                f"{directory} cannot be made: {error.strerror}", hint="name a writable place with --runs-dir"
            ) from error
    with batch_lock(directory):
        if existed:
            check_inputs(sweep, points)
        index = open_index(directory)
        if index is not None and not request.resume:
            attempts = len(index.attempts())
            index.close()
            if attempts:
                raise InputError(
                    f"{directory} is a batch already, with {attempts} attempts",
                    hint="go on with it by --resume, or choose another place with --runs-dir",
                )
            index = None
        if index is None:
            index = begin(directory, request.sweep, sweep, points)
        else:
            try:
                refuse_changed(directory, index, request.sweep, sweep, say=progress.say)
            except BaseException:
                index.close()
                raise
        try:
            return _Batch(request, sweep, index, progress).run()
        finally:
            index.close()


def batch_directory(request: BatchRequest) -> Path:
    """Where a batch is kept: named by its sweep file."""
    return request.runs.resolve() / request.sweep.stem


class _Batch:
    """The state of one batch while it goes on."""

    def __init__(self, request: BatchRequest, sweep: Sweep, index: Index, progress: Progress) -> None:
        self.request = request
        self.sweep = sweep
        self.index = index
        self.progress = progress
        self.signal: int | None = None
        self.schedule: Schedule | None = None

    def run(self) -> BatchOutcome:
        trio.run(self.main, restrict_keyboard_interrupt_to_checkpoints=True)
        statuses = self.index.statuses()
        return BatchOutcome(
            self.index.directory,
            len(self.index.points),
            self.index.states().total(),
            statuses,
            exit_status(statuses, experiment_errors=self.index.experiment_errors())
            if self.signal is None
            else 128 + self.signal,
        )

    async def main(self) -> None:
        with trio.CancelScope() as scope, signals_cancel(scope, self.note_signal):
            recovered = await recover(self.index, self.sweep.retry, say=self.progress.say)
            if recovered.adopted or recovered.cut:
                self.progress.say(
                    f"resumed: {recovered.adopted} finished runs adopted, {recovered.cut} attempts were cut by the stop"
                )
            async with open_executor(self.request, self.sweep, self.index.directory, self.progress) as executor:
                states = self.index.states()
                with self.progress.step(f"batch {self.index.directory.name}", total=states.total()) as step:
                    view = BatchView(
                        self.progress,
                        step,
                        total=states.total(),
                        statuses=self.index.statuses(),
                        durations_s=self.index.durations_s(),
                        jobs=executor.capacity,
                    )
                    self.schedule = Schedule(self.sweep, self.index, executor, view=view)
                    await self.schedule.run()

    def note_signal(self, number: int) -> None:
        self.signal = number
        name = signal.Signals(number).name
        self.progress.say(f"{name}: ending the running runs; go on later with --resume")
        if self.schedule is not None:
            self.schedule.stopped_by = f"the batch was ended by {name}"


@asynccontextmanager
async def open_executor(
    request: BatchRequest, sweep: Sweep, directory: Path, progress: Progress
) -> AsyncIterator[Executor]:
    """What executes the runs of a batch, as asked for."""
    if request.dask is not None:
        from qemunet.batch.dask import open_dask

        async with open_dask(request.dask, directory, say=progress.say) as dask:
            yield dask
        return
    asked = request.jobs or sweep.jobs or 1
    room = None if isinstance(asked, int) else find_room(sweep)
    jobs = asked if isinstance(asked, int) else 1
    async with AsyncExitStack() as stack:
        executor = LocalExecutor(jobs) if request.cold else await stack.enter_async_context(open_warm(jobs))
        yield executor if room is None else AutoExecutor(executor, room, directory, say=progress.say)


@dataclass(frozen=True)
class Preview:
    """What a batch would do.

    Attributes:
        points: Each with its number and its parameters.
        runs: How many runs are planned, at least.
        most_runs: At most, if the stopping rule wants every repetition it may have.
        done: How many of them have their result.
        attempts: How many attempts there were.
        median_s: How long one takes, or None.
        estimate: How long what is missing takes, for a person; empty if nothing is known.
    """

    points: list[dict[str, Any]]
    runs: int
    most_runs: int
    done: int
    attempts: int
    median_s: float | None
    estimate: str


def preview(request: BatchRequest) -> Preview:
    """Look at what a batch would do, without writing anything.

    Raises:
        InputError: the sweep cannot be used, or is not what the batch was begun with.
    """
    sweep = read_sweep(request.sweep)
    points = points_of(sweep)
    check_inputs(sweep, points)
    directory = batch_directory(request)
    runs, done, attempts, durations_s = len(points) * sweep.repeat.minimum, 0, 0, []
    index = open_index(directory, read_only=True)
    if index is not None:
        try:
            refuse_changed(directory, index, request.sweep, sweep, say=lambda text: None)
            runs, done = index.states().total(), index.states()["done"]
            attempts, durations_s = len(index.attempts()), index.durations_s()
        finally:
            index.close()
    jobs = request.jobs or sweep.jobs
    jobs = jobs if isinstance(jobs, int) else 1
    return Preview(
        [{"point": point, "parameters": parameters} for point, parameters in points.items()],
        runs,
        max(runs, len(points) * sweep.repeat.maximum),
        done,
        attempts,
        statistics.median(durations_s) if durations_s else None,
        time_left(runs - done, durations_s, jobs),
    )

"""Where the runs of a batch are executed: the Protocol, and the executor that starts a process a run.

A run's process is in a session of its own and holds one end of a pipe whose other end this process holds: when the batch
is gone, however it went, its runs notice it and end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol

import trio

from qemunet.batch.model import Attempt, Job
from qemunet.errors import HostError

END_S = 60.0
"""A run that is told to end has this long for its teardown, before it is killed with all of its group."""

OUTPUT = "progress.log"
"""File of a run directory with what the run wrote on standard error while it ran, the experiment's prints included."""


class Executor(Protocol):
    """Executes runs.

    Attributes:
        name: For the index.
        capacity: How many at a time; may change.
    """

    @property
    def name(self) -> str:
        """What the index calls it."""

    @property
    def capacity(self) -> int:
        """How many runs at a time."""

    async def execute(self, job: Job) -> Attempt:
        """Execute one run and wait for its end. When cancelled, the run is ended first.

        An Attempt without a record and without an exit status is one that was cut: its worker died.

        Raises:
            HostError: runs cannot be started here at all.
        """


class RunProcess(Protocol):
    """The process of a run, as an executor sees it; implemented by ``LocalRun`` and ``warm.WarmRun``."""

    async def wait(self) -> int | None:
        """Wait for its end; its exit status, minus the signal's number if a signal ended it, None if nobody knows."""

    def terminate(self) -> None:
        """Tell it to end."""

    def kill_group(self) -> None:
        """Kill it and all of its group."""

    def close(self) -> None:
        """Close what leads to it."""


class LocalRun:
    """The process of a run that was started cold."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process

    async def wait(self) -> int | None:
        """Wait for its end and return its exit status."""
        return await self._process.wait()

    def terminate(self) -> None:
        """Tell it to end."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill_group(self) -> None:
        """Kill it and all of its group, also what its experiment may have left in it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Nothing is open."""


class LocalExecutor:
    """Starts each run as a process of its own, ``qemunet run``.

    Args:
        capacity: How many at a time.
        command: What runs ``qemunet``.
        end_s: As ``END_S``.
    """

    name = "local"

    def __init__(
        self,
        capacity: int,
        *,
        command: Sequence[str] = (sys.executable, "-m", "qemunet.cli.main"),
        end_s: float = END_S,
    ) -> None:
        self.capacity = capacity
        self._command = tuple(command)
        self._end_s = end_s

    async def execute(self, job: Job) -> Attempt:
        """Start the run's process and wait for its end."""
        log = job.directory / f".{job.planned.run}-{job.attempt}.log"
        with ExitStack() as stack:
            try:
                watched, held = os.pipe2(os.O_CLOEXEC)
                stack.callback(os.close, held)
                result = os.memfd_create("qemunet-run-json")
                stack.callback(os.close, result)
                with ExitStack() as passed_on:
                    passed_on.callback(os.close, watched)
                    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                    passed_on.callback(os.close, null)
                    error_output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
                    passed_on.callback(os.close, error_output)
                    with trio.CancelScope(shield=True):  # a process that was started is known here
                        words = [*run_arguments(job), "--batch-pipe", "3"]
                        process = await self._start(words, [null, result, error_output, watched])
            except OSError as error:
                log.unlink(missing_ok=True)
                raise HostError(f"a run could not be started: {error}") from error
            stack.callback(process.close)
            try:
                status = await process.wait()
            except BaseException:
                with trio.CancelScope(shield=True):
                    await self._end(process)
                    keep_log(log, find_attempt(job.directory, job.planned.run, job.attempt))
                raise
            process.kill_group()
            printed = os.pread(result, os.fstat(result).st_size, 0)
        return local_attempt(job, status, printed, log, executor=self.name)

    async def _start(self, words: Sequence[str], descriptors: Sequence[int]) -> RunProcess:
        """Start ``qemunet WORDS``, in a session of its own.

        Args:
            words: The last one is the number of the pipe among the descriptors.
            descriptors: Standard input, output and error, and the pipe; ours stay open.
        """
        null, result, error_output, watched = descriptors
        process = await trio.lowlevel.open_process(
            [*self._command, *words[:-1], str(watched)],
            stdin=null,
            stdout=result,
            stderr=error_output,
            pass_fds=(watched,),
            start_new_session=True,
        )
        return LocalRun(process)

    async def _end(self, process: RunProcess) -> None:
        process.terminate()
        with trio.move_on_after(self._end_s):
            await process.wait()
        # What is in the Run's namespaces ends with it.
        process.kill_group()
        await process.wait()


def run_arguments(job: Job) -> list[str]:
    """The words after ``qemunet`` that execute a job and print its run.json."""
    words = ["run", job.topology, str(job.experiment), "--runs-dir", str(job.directory), "--json"]
    words += ["--seed", str(job.planned.seed)]
    words += [word for name, text in job.planned.parameters.items() for word in ("-p", f"{name}={text}")]
    if job.timeout_s is not None:
        words += ["--timeout", f"{job.timeout_s:g}"]
    return [*words, "--batch-run", str(job.planned.run), "--batch-attempt", str(job.attempt)]


def local_attempt(job: Job, status: int | None, printed: bytes, log: Path, *, executor: str) -> Attempt:
    """What became of a run on this machine.

    Args:
        job: The run.
        status: Of its process; minus the signal's number if one ended it; None if nobody knows.
        printed: What it wrote on standard output.
        log: What it wrote on standard error; moved into the run directory, or told by ``why`` where there is none.
        executor: For the Attempt.
    """
    directory = find_attempt(job.directory, job.planned.run, job.attempt)
    why = "" if directory is not None else _last_line(log)
    keep_log(log, directory)
    record = read_record(directory) if directory is not None else _parse(printed)
    return Attempt(directory=directory, record=record, exit_status=status, why=why, executor=executor)


def find_attempt(batch: Path, run: int, attempt: int) -> Path | None:
    """The run directory of an attempt, or None; the newest ones are looked at first."""
    for parent in (entry for entry in _entries(batch) if entry.is_dir()):
        numbered = [entry for entry in _entries(parent) if entry.name.isdecimal()]
        for directory in sorted(numbered, key=lambda path: -int(path.name)):
            if of_batch(read_record(directory)) == (run, attempt):
                return directory
    return None


def of_batch(record: Mapping[str, Any] | None) -> tuple[int, int] | None:
    """The run and the attempt that a run.json is of, or None."""
    batch = (record or {}).get("batch")
    if isinstance(batch, Mapping) and isinstance(batch.get("run"), int) and isinstance(batch.get("attempt"), int):
        return batch["run"], batch["attempt"]
    return None


def read_record(directory: Path) -> dict[str, Any] | None:
    """What run.json says, literally; None if there is none."""
    with suppress(OSError):
        return _parse((directory / "run.json").read_bytes())
    return None


def keep_log(log: Path, directory: Path | None) -> None:
    """Move a run's standard error into its directory; without one, or where the disk is full, it goes."""
    with suppress(OSError):
        if directory is not None:
            shutil.move(log, directory / OUTPUT)
    log.unlink(missing_ok=True)


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _parse(data: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(data)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "status" in record else None


def _last_line(log: Path) -> str:
    """The last line that says something, of a file's last 4000 bytes."""
    try:
        lines = log.read_bytes()[-4000:].decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip() and "hint:" not in line), "")

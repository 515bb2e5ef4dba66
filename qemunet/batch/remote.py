"""What is done on a worker of a Dask cluster: it starts ``qemunet run`` as a process, and gives the run directory back.

These functions are called there by name, so the worker needs qemunet, of the same version, and nothing is sent but data.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

from qemunet import __version__
from qemunet.batch.executor import END_S, OUTPUT, find_attempt
from qemunet.batch.inputs import are_here, unpack

PIECE_BYTES = 4 << 20
"""A run directory that is larger, packed, is fetched in pieces of this size."""

LOOK_S = 0.5
"""How often a run's task looks whether it is wanted still."""


class Request(TypedDict):
    """A run that a worker is to execute.

    Attributes:
        key: Of its task.
        topology, experiment: As they are called where the batch is.
        words: The other arguments of ``qemunet run``.
        run, attempt: Which run of the batch it is, and which try at it.
        batch: The batch directory, if the worker sees the same one; else None.
        inputs: The directory that the worker has unpacked the inputs to; None if it has them in their places.
    """

    key: str
    topology: str
    experiment: str
    words: list[str]
    run: int
    attempt: int
    batch: str | None
    inputs: str | None


class Reply(TypedDict):
    """How a run ended on a worker.

    Attributes:
        status: Exit status of its process; minus a signal's number if one ended it.
        why: The last line that it said, if it left no run directory.
        directory: Its run directory, where the batch sees it.
        packed: Its run directory as a tar archive, if that is small.
        archive: The file on the worker with the archive, otherwise.
        size_bytes: How long that is.
    """

    status: int
    why: str
    directory: str | None
    packed: bytes | None
    archive: str | None
    size_bytes: int


_running: dict[str, subprocess.Popen[bytes]] = {}
_unwanted: set[str] = set()


def look(batch: str, token: str, wanted: Mapping[str, str]) -> dict[str, Any]:
    """What this worker is: its version of qemunet, whether it sees the batch directory, and has the inputs.

    Args:
        batch: The batch directory; it holds a file of the name ``token``.
        token: See ``batch``.
        wanted: Input files, with the SHA-256 of each.
    """
    return {"version": __version__, "shared": (Path(batch) / token).is_file(), "inputs": are_here(wanted)}


def receive(data: bytes) -> str:
    """Unpack inputs; returns the directory they are in."""
    root = _scratch()
    unpack(data, root)
    return str(root)


def execute(request: Request) -> Reply:
    """Execute a run and wait for its end; called as a task. When the task is not wanted any more the run is ended."""
    from distributed import get_worker

    worker = get_worker()

    def unwanted() -> bool:
        task = worker.state.tasks.get(request["key"])
        return request["key"] in _unwanted or task is None or task.state == "cancelled"

    scratch = _scratch()
    shared = request["batch"]
    runs = Path(shared) if shared else scratch / "runs"
    root = request["inputs"]
    named = (request["topology"], request["experiment"])
    words = ["run", *(f"{root}{name}" if root and os.path.isabs(name) else name for name in named)]
    words += ["--runs-dir", str(runs)]
    try:
        status = _run([*words, *request["words"]], request["key"], scratch / "log", unwanted)
        directory = find_attempt(runs, request["run"], request["attempt"])
        if directory is None:
            said = (scratch / "log").read_text("utf-8", "replace").strip().split("\n")
            why = next((line for line in reversed(said) if line and "hint:" not in line), "")
            return Reply(status=status, why=why, directory=None, packed=None, archive=None, size_bytes=0)
        shutil.move(scratch / "log", directory / OUTPUT)
        if shared:
            return Reply(status=status, why="", directory=str(directory), packed=None, archive=None, size_bytes=0)
        if root:
            _name_inputs(directory / "run.json", root)
        archive = _pack(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    size = archive.stat().st_size
    if size > PIECE_BYTES:
        return Reply(status=status, why="", directory=None, packed=None, archive=str(archive), size_bytes=size)
    packed = archive.read_bytes()
    archive.unlink()
    return Reply(status=status, why="", directory=None, packed=packed, archive=None, size_bytes=size)


def piece(archive: str, offset: int) -> bytes:
    """A piece of an archive, ``PIECE_BYTES`` long unless it is the last one."""
    with open(archive, "rb") as file:
        file.seek(offset)
        return file.read(PIECE_BYTES)


def forget(archive: str) -> None:
    """Remove an archive that was fetched."""
    Path(archive).unlink(missing_ok=True)


async def end(key: str) -> None:
    """End a run, if it is running, and wait until it has ended."""
    _unwanted.add(key)
    while key in _running:  # noqa: ASYNC110 - in a thread of the worker, which cannot set an event of its loop
        await asyncio.sleep(0.02)


def _scratch() -> Path:
    from distributed import get_worker

    # The worker's own directory goes with the worker.
    try:
        directory = get_worker().local_directory
    except ValueError:  # called outside of a task
        directory = None
    return Path(tempfile.mkdtemp(prefix="qemunet-", dir=directory))


def _run(words: Sequence[str], key: str, log: Path, unwanted: Callable[[], bool]) -> int:
    """Run ``qemunet WORDS`` to its end; it ends by itself when this worker is gone."""
    watched, held = os.pipe2(os.O_CLOEXEC)
    try:
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "qemunet.cli.main", *words, "--batch-pipe", str(watched)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
                pass_fds=(watched,),
                start_new_session=True,
            )
        _running[key] = process
        try:
            if not _ends(process, None, unwanted):
                process.terminate()
                _ends(process, END_S, lambda: False)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
            del _running[key]
            _unwanted.discard(key)
    finally:
        os.close(watched)
        os.close(held)
    return status


def _ends(process: subprocess.Popen[bytes], deadline_s: float | None, unwanted: Callable[[], bool]) -> bool:
    """Wait until a process has ended; False if it is not wanted any more before, or takes too long."""
    pidfd = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        waited_s = 0.0
        while not poll.poll(LOOK_S * 1000):
            waited_s += LOOK_S
            if unwanted() or (deadline_s is not None and waited_s >= deadline_s):
                return False
        return True
    finally:
        os.close(pidfd)


def _name_inputs(file: Path, root: str) -> None:
    """Let run.json name the inputs as the batch does, not where they were unpacked."""
    file.write_text(file.read_text(encoding="utf-8").replace(json.dumps(root + "/")[1:-1], "/"), encoding="utf-8")


def _pack(directory: Path) -> Path:
    archive = _scratch() / "run.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(directory, arcname=".")
    return archive

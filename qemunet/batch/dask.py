"""Executor on a Dask cluster: each run is a task that starts ``qemunet run`` on a worker; run directories come back.

A task is bound to the worker that it was given to, so that what is lost with a worker is known here, and listed: Dask
itself would start it again elsewhere without a word.
"""

from __future__ import annotations

import os
import secrets
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from qemunet import __version__
from qemunet.batch import remote
from qemunet.batch.executor import read_record, run_arguments
from qemunet.batch.inputs import digests, input_files, pack
from qemunet.batch.model import Attempt, Job
from qemunet.errors import HostError, MissingRequirement
from qemunet.results.record import to_json, write_whole

if TYPE_CHECKING:
    from distributed import Client, Future

RESOURCE = "qemunet"
"""The resource of a worker that says how many runs it takes at a time."""

CONNECT_S = 30.0
LOOK_S = 1.0
GONE_S = 30.0
"""A scheduler that has not answered for so long is gone."""

_T = TypeVar("_T")


@dataclass
class _Worker:
    """A worker of the cluster.

    Attributes:
        address: Its name for Dask.
        slots: How many runs it takes.
        used: How many of ours it has.
        gone: Called when it is lost, by task.
        ready: Whether it was looked at: then it sees the batch directory (``shared``), and has the inputs in ``inputs``.
    """

    address: str
    slots: int
    used: int = 0
    lost: bool = False
    gone: dict[str, Callable[[], None]] = field(default_factory=dict)
    looking: trio.Lock = field(default_factory=trio.Lock)
    ready: bool = False
    shared: bool = False
    inputs: str | None = None


class DaskExecutor:
    """Executes runs on a cluster; made by ``open_dask``.

    Args:
        client: Connected to its scheduler.
        share: Let workers that see the batch directory write into it.
    """

    name = "dask"

    def __init__(self, client: Client, *, share: bool = True) -> None:
        self._client = client
        self._share = share
        self._workers: dict[str, _Worker] = {}
        self._changed = trio.Event()
        self._failure: HostError | None = None
        self._token = f".{secrets.token_hex(8)}.here"
        # Each run that waits needs no thread, but many may be fetched at the same time.
        self._limiter = trio.CapacityLimiter(16)

    @property
    def capacity(self) -> int:
        """How many runs all workers together take at a time."""
        return sum(worker.slots for worker in self._workers.values())

    async def execute(self, job: Job) -> Attempt:
        """Execute one run on some worker and bring its directory back. When cancelled, the run is ended first."""
        worker = await self._free_worker()
        try:
            try:
                await self._look(worker, job)
            except HostError:
                if worker.lost:
                    return self._cut(worker)
                raise
            return await self._execute(job, worker)
        finally:
            worker.used -= 1
            self._wake()

    async def _execute(self, job: Job, worker: _Worker) -> Attempt:
        planned = job.planned
        key = f"qemunet-{planned.run}-{job.attempt}-{secrets.token_hex(4)}"
        words = run_arguments(job)
        request = remote.Request(
            key=key,
            topology=job.topology,
            experiment=str(job.experiment.absolute()),
            words=words[words.index("--json") :],
            run=planned.run,
            attempt=job.attempt,
            batch=str(job.directory) if worker.shared else None,
            inputs=worker.inputs,
        )
        over = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def done(future: Future[Any]) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(over.set)

        options = {"key": key, "workers": [worker.address], "resources": {RESOURCE: 1}, "pure": False}
        future = await self._call(partial(self._client.submit, remote.execute, request, **options))
        worker.gone[key] = over.set
        try:
            if worker.lost:
                over.set()
            future.add_done_callback(done)  # type: ignore[no-untyped-call]
            await over.wait()
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._call(future.cancel)
                if not worker.lost:
                    await self._on(worker, remote.end, key)
            raise
        finally:
            del worker.gone[key]
        if self._failure is not None:
            raise self._failure
        if worker.lost or future.status in ("cancelled", "lost"):
            await self._call(future.cancel)
            return self._cut(worker)
        if future.status == "error":
            problem = await self._call(future.exception)
            # One that was killed with its worker, before the scheduler has told us of that.
            if type(problem).__name__ in ("KilledWorker", "CommClosedError"):
                return self._cut(worker)
            return Attempt(None, None, 3, f"{worker.address}: {type(problem).__name__}: {problem}", self.name)
        try:
            reply: remote.Reply = await self._call(future.result)
            return await self._take(job, worker, reply)
        except (OSError, HostError) as error:
            if worker.lost:
                return self._cut(worker)
            raise HostError(f"a run directory could not be brought here from {worker.address}: {error}") from error
        finally:
            await self._call(future.release)

    def _cut(self, worker: _Worker) -> Attempt:
        return Attempt(None, None, None, f"its worker {worker.address} was lost", self.name)

    async def _take(self, job: Job, worker: _Worker, reply: remote.Reply) -> Attempt:
        """Make a worker's reply an Attempt, with its directory in its place."""
        directory = None if reply["directory"] is None else Path(reply["directory"])
        if reply["packed"] is not None or reply["archive"] is not None:
            with tempfile.TemporaryDirectory(prefix=".dask-", dir=job.directory) as incoming:
                archive = Path(incoming) / "run.tar.gz"
                data = reply["packed"] or b""
                async with await trio.open_file(archive, "wb") as file:
                    await file.write(data)
                    offset = len(data)
                    while offset < reply["size_bytes"]:
                        data = await self._on(worker, remote.piece, reply["archive"], offset)
                        await file.write(data)
                        offset += len(data)
                directory = await trio.to_thread.run_sync(_place, archive, job)
                if reply["archive"] is not None:
                    await self._on(worker, remote.forget, reply["archive"])
        record = None if directory is None else read_record(directory)
        return Attempt(directory, record, reply["status"], reply["why"], self.name)

    async def _free_worker(self) -> _Worker:
        while True:
            if self._failure is not None:
                raise self._failure
            free = [worker for worker in self._workers.values() if worker.used < worker.slots]
            if free:
                chosen = min(free, key=lambda worker: worker.used / worker.slots)
                chosen.used += 1
                return chosen
            await self._changed.wait()

    async def _look(self, worker: _Worker, job: Job) -> None:
        """Before a worker's first run: is it of our version, does it see our files, and send what it lacks."""
        async with worker.looking:
            if worker.ready:
                return
            files = input_files(job.topology, job.experiment)
            seen = await self._on(worker, remote.look, str(job.directory), self._token, digests(files))
            if seen["version"] != __version__:
                raise HostError(
                    f"the Dask worker {worker.address} has qemunet {seen['version']}, here it is {__version__}",
                    hint="install the same qemunet on all workers",
                )
            worker.shared = self._share and seen["shared"]
            if not seen["inputs"] or not self._share:
                worker.inputs = await self._on(worker, remote.receive, pack(files))
            worker.ready = True

    async def _on(self, worker: _Worker, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function on a worker at once, beside its tasks.

        Raises:
            HostError: it is lost, or the function failed.
        """
        call = partial(self._client.run, function, *arguments, workers=[worker.address])
        try:
            return (await self._call(call))[worker.address]
        except Exception as error:
            await self._refresh()
            raise HostError(
                f"the Dask worker {worker.address} failed: {type(error).__name__}: {error}",
                hint="each worker needs qemunet, of the same version as here",
            ) from error

    async def _call(self, function: Callable[[], _T]) -> _T:
        """Dask's client blocks: it is called in a thread."""
        return await trio.to_thread.run_sync(function, limiter=self._limiter)

    async def watch(self, directory: Path) -> None:
        """Follow the workers of the cluster until cancelled.

        Args:
            directory: The batch directory, which gets a file by which workers recognise it.
        """
        token = directory / self._token
        token.touch()
        answered_s = trio.current_time()
        try:
            while self._failure is None:
                try:
                    await self._refresh()
                    answered_s = trio.current_time()
                except Exception as error:  # noqa: BLE001 - whatever it is, the scheduler did not answer
                    if trio.current_time() - answered_s > GONE_S or self._client.status == "closed":
                        self._failure = HostError(
                            f"the Dask scheduler does not answer any more: {error}",
                            hint="start it again, then go on with --resume",
                        )
                        for worker in self._workers.values():
                            self._lose(worker)
                        self._wake()
                await trio.sleep(LOOK_S)
        finally:
            token.unlink(missing_ok=True)

    async def _refresh(self) -> None:
        """Ask the scheduler for its workers."""
        told = (await self._call(self._client.scheduler_info))["workers"]
        now = {}
        for address, about in told.items():
            # A worker with fewer threads than runs would keep some of them waiting.
            slots = int(min(about.get("resources", {}).get(RESOURCE, 0), about["nthreads"]))
            if slots > 0:
                now[address] = slots
        for address in self._workers.keys() - now.keys():
            self._lose(self._workers.pop(address))
        for address, slots in now.items():
            self._workers.setdefault(address, _Worker(address, slots)).slots = slots
        self._wake()

    def _lose(self, worker: _Worker) -> None:
        worker.lost = True
        for gone in list(worker.gone.values()):
            gone()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _place(archive: Path, job: Job) -> Path:
    """Unpack a run directory and give it the next free number of its experiment here."""
    unpacked = archive.parent / "run"
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    record = read_record(unpacked) or {}
    parent = job.directory / job.experiment.stem
    parent.mkdir(exist_ok=True)
    number = max((int(entry.name) for entry in parent.iterdir() if entry.name.isdecimal()), default=0)
    while True:
        number += 1
        path = parent / str(number)
        with suppress(FileExistsError):
            path.mkdir()
            break
    write_whole(unpacked / "run.json", to_json({**record, "number": number, "directory": str(path)}))
    return unpacked.rename(path)


@asynccontextmanager
async def open_dask(
    address: str, directory: Path, *, say: Callable[[str], None], share: bool = True
) -> AsyncIterator[DaskExecutor]:
    """An executor on a Dask cluster.

    Args:
        address: Of the scheduler, such as ``tcp://10.0.0.1:8786``, or the file that it wrote with --scheduler-file.
        directory: The batch directory.
        say: Takes news for the user.
        share: Let workers that see the batch directory write into it.

    Raises:
        MissingRequirement: the extra ``dask`` is not installed.
        HostError: there is no scheduler, or it has no worker for us.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingRequirement("--dask needs dask.distributed", hint="pip install 'qemunet[dask]'") from error

    def connect() -> Client:
        where = {"scheduler_file": address} if os.path.isfile(address) else {"address": address}
        return Client(**where, timeout=CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]

    try:
        client = await trio.to_thread.run_sync(connect)
    except (OSError, ValueError) as error:
        raise HostError(
            f"there is no Dask scheduler at {address}: {error}", hint="start one: dask scheduler; dask worker ADDRESS"
        ) from error
    executor = DaskExecutor(client, share=share)
    stop, stopped = trio.CancelScope(), trio.Event()

    async def watch() -> None:
        with stop:
            await executor.watch(directory)
        stopped.set()

    try:
        await executor._refresh()
        if executor.capacity == 0:
            raise HostError(
                f"no worker of the Dask scheduler at {address} takes runs",
                hint=f"start workers with --resources {RESOURCE}=N, N runs at a time on each",
            )
        say(f"Dask cluster {address}: {executor.capacity} runs at a time")
        # A system task, and no nursery: errors of the caller's block leave it as they are, in no ExceptionGroup.
        trio.lowlevel.spawn_system_task(watch, name="workers of the Dask cluster")
        try:
            yield executor
        finally:
            with trio.CancelScope(shield=True):
                stop.cancel()
                await stopped.wait()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(client.close)

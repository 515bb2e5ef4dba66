"""Executor of warm workers: Python and ns-3 are loaded once, in a template that is forked for each run.

Each run is a process of its own all the same, in a session of its own, and writes what a run started cold would write.
It does not need the template any more once it has been forked; a template that has died is started again.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import trio

from qemunet.batch.executor import END_S, LocalExecutor
from qemunet.errors import HostError
from qemunet.host.messages import (
    ANCILLARY_BYTES,
    MAX_BYTES,
    Message,
    ancillary_of,
    close_all,
    decode,
    descriptors_of,
    encode,
)
from qemunet.host.title import ROOM

PROGRAM = "qemunet.cli.main"
START_DEADLINE_S = 60.0
_TRIES = 3


class WarmRun:
    """A run that was forked; what of trio.Process an executor needs.

    Attributes:
        pid: Its process id.
        returncode: Exit status, minus the signal's number if a signal ended it; None while it runs, and if the template
            that could tell has died.
    """

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._pidfd = pidfd
        self._told = trio.Event()
        self._waiting = trio.Lock()  # a descriptor can be waited on by one task only

    async def wait(self) -> int | None:
        """Wait for its end and return ``returncode``."""
        async with self._waiting:
            await trio.lowlevel.wait_readable(self._pidfd)
        await self._told.wait()
        return self.returncode

    def terminate(self) -> None:
        """Tell it to end."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def kill_group(self) -> None:
        """Kill it and all of its group; the template has done so with a group whose run has ended."""
        # Its number is its own for as long as its end has not been told: the template has not reaped it until then.
        with suppress(ProcessLookupError):
            if not self._told.is_set():
                os.killpg(self.pid, signal.SIGKILL)

    def told(self, status: int | None) -> None:
        """Called when the template tells of its end, or has died."""
        self.returncode = status
        self._told.set()

    def close(self) -> None:
        """Close what leads to it."""
        os.close(self._pidfd)


class WarmTemplate:
    """A running template, as the batch sees it; made by ``start``."""

    def __init__(self, process: trio.Process, control: socket.socket, stderr: int) -> None:
        self.ended = trio.Event()
        self.pid = process.pid
        self._process = process
        self._control = trio.socket.from_stdlib_socket(control)
        self._stderr = stderr
        self._ready = trio.Event()
        self._sending = trio.Lock()
        self._last_id = 0
        self._asked: dict[int, trio.Event] = {}
        self._answers: dict[int, WarmRun | str] = {}
        self._running: dict[int, WarmRun] = {}

    @classmethod
    async def start(cls, program: str) -> WarmTemplate:
        """Start one and wait until it has loaded everything.

        Raises:
            HostError: it could not.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stderr = os.memfd_create("qemunet-template-stderr")
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            with theirs:
                child_fd = theirs.fileno()
                process = await trio.lowlevel.open_process(
                    [sys.executable, "-m", "qemunet.batch.template", program, str(child_fd), ROOM],
                    stdin=null,
                    stdout=null,
                    stderr=stderr,
                    pass_fds=(child_fd,),
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            os.close(stderr)
            raise HostError(f"the template of warm runs could not be started: {error}") from error
        finally:
            os.close(null)
        template = cls(process, ours, stderr)
        trio.lowlevel.spawn_system_task(template._listen, name="template of warm runs")
        with trio.move_on_after(START_DEADLINE_S):
            await template._ready.wait()
        if not template._ready.is_set() or template.ended.is_set():
            said = os.pread(stderr, 4000, 0).decode("utf-8", "replace").strip()
            await template.close()
            raise HostError(
                f"the template of warm runs did not become ready: {said.rpartition(chr(10))[2] or 'it said nothing'}",
                hint="run the batch with --cold",
            )
        return template

    async def fork(self, words: Sequence[str], descriptors: Sequence[int]) -> WarmRun | None:
        """Fork a run of ``qemunet WORDS`` with these descriptors, numbered from 0; None if the template has died.

        Raises:
            HostError: the kernel refused.
        """
        self._last_id += 1
        identity, answered = self._last_id, trio.Event()
        self._asked[identity] = answered
        # Shielded: a run that was forked has to be known to whoever asked for it.
        with trio.CancelScope(shield=True):
            try:
                async with self._sending:
                    packet = encode({"id": identity, "words": list(words)})
                    await self._control.sendmsg([packet], ancillary_of(list(descriptors)))
            except (BrokenPipeError, ConnectionResetError, trio.ClosedResourceError):
                await self.ended.wait()
            await answered.wait()
        del self._asked[identity]
        answer = self._answers.pop(identity, None)
        if isinstance(answer, str):
            raise HostError(f"a run could not be forked: {answer}")
        return answer

    async def _listen(self) -> None:
        try:
            while True:
                packet, ancillary, _, _ = await self._control.recvmsg(
                    MAX_BYTES, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
                if not packet:
                    break
                self._take(decode(packet), descriptors_of(ancillary))
        except (OSError, trio.ClosedResourceError):
            pass  # a reset is an end as well
        self.ended.set()
        self._ready.set()
        for run in self._running.values():
            run.told(None)
        for answered in self._asked.values():
            answered.set()

    def _take(self, message: Message, descriptors: list[int]) -> None:
        match message:
            case {"event": "ready"}:
                self._ready.set()
            case {"event": "exit"}:
                self._running.pop(message["id"]).told(message["status"])
            case {"pid": pid}:
                run = self._running[message["id"]] = WarmRun(pid, descriptors.pop())
                self._answer(message["id"], run)
            case _:
                self._answer(message["id"], message["failure"])
        close_all(descriptors)

    def _answer(self, identity: int, answer: WarmRun | str) -> None:
        self._answers[identity] = answer
        self._asked[identity].set()

    async def close(self) -> None:
        """Let it end; runs that go on are not touched."""
        with trio.CancelScope(shield=True):
            self._control.close()
            await self.ended.wait()
            with trio.move_on_after(END_S):
                await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            os.close(self._stderr)


class WarmExecutor(LocalExecutor):
    """Forks each run from a template; made by ``open_warm``.

    Args:
        capacity: How many runs at a time.
        program: The module that a run is a call of.
        end_s: How long a run that is told to end has for it.
    """

    name = "warm"

    def __init__(self, capacity: int, *, program: str = PROGRAM, end_s: float = END_S) -> None:
        super().__init__(capacity, end_s=end_s)
        self._program = program
        self._template: WarmTemplate | None = None
        self._starting = trio.Lock()

    @property
    def template_pid(self) -> int | None:
        """Process id of the template, or None before the first run."""
        return None if self._template is None else self._template.pid

    async def _start(self, words: Sequence[str], descriptors: Sequence[int]) -> WarmRun:
        for _ in range(_TRIES):
            run = await (await self._live_template()).fork(words, descriptors)
            if run is not None:
                return run
        raise HostError(f"the template of warm runs died {_TRIES} times in a row", hint="run the batch with --cold")

    async def _live_template(self) -> WarmTemplate:
        async with self._starting:
            if self._template is not None and self._template.ended.is_set():
                await self._template.close()
                self._template = None
            if self._template is None:
                self._template = await WarmTemplate.start(self._program)
            return self._template

    async def close(self) -> None:
        """End the template."""
        if self._template is not None:
            await self._template.close()
            self._template = None


@asynccontextmanager
async def open_warm(capacity: int) -> AsyncIterator[WarmExecutor]:
    """An executor of warm runs, whose template ends with the context.

    Args:
        capacity: How many runs at a time.
    """
    executor = WarmExecutor(capacity)
    try:
        yield executor
    finally:
        await executor.close()

"""Starts processes of tests that need no namespaces."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from signal import Signals

import trio


class LocalProcess:
    """A process started here; implements ``qemunet.process.Process``."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        return await self._process.wait()

    async def kill(self, signal: int = 9) -> None:
        self._process.send_signal(Signals(signal))


class LocalSpawner:
    """Starts processes in this namespace; implements ``qemunet.process.Spawner``."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self.prefix = prefix
        self.processes: list[LocalProcess] = []

    async def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        fds: Mapping[int, int] | None = None,
        log: int,
        env: Mapping[str, str] | None = None,
    ) -> LocalProcess:
        wanted = dict(fds or {})

        def arrange() -> None:
            # Copies first: a number that is wanted may be one that is to be copied.
            copies = {number: os.dup(fd) for number, fd in wanted.items()}
            for number, copy in copies.items():
                os.dup2(copy, number)

        with ExitStack() as reserved:
            # Numbers that are free here could be taken for the pipe by which the child tells of its start.
            for number in wanted:
                if not os.path.exists(f"/proc/self/fd/{number}"):  # noqa: ASYNC240 - takes no time
                    os.dup2(log, number)
                    reserved.callback(os.close, number)
            process = LocalProcess(
                await trio.lowlevel.open_process(
                    [*self.prefix, *argv],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **(env or {})},
                    pass_fds=tuple(wanted),
                    preexec_fn=arrange,
                )
            )
        self.processes.append(process)
        return process

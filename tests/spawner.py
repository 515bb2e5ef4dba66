"""Starts processes of tests that need no namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
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


#: Gives descriptors the numbers that are wanted, then becomes the program. Copies first, out of the way: a number that is
#: wanted may be one that is to be copied.
_ARRANGE = """
import fcntl, json, os, sys
wanted = {int(number): fd for number, fd in json.loads(sys.argv[1]).items()}
copies = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 500) for number, fd in wanted.items()}
for fd in set(wanted.values()):
    os.close(fd)
for number, copy in copies.items():
    os.dup2(copy, number)
os.execvp(sys.argv[2], sys.argv[2:])
"""


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
        process = LocalProcess(
            await trio.lowlevel.open_process(
                [sys.executable, "-I", "-S", "-c", _ARRANGE, json.dumps(wanted), *self.prefix, *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
                pass_fds=tuple(set(wanted.values())),
            )
        )
        self.processes.append(process)
        return process

"""What the tests of the host part share: a Run, controllers in processes of their own, waiting by pidfd."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

import qemunet.host
from qemunet.host.leftovers import RunningRun, running_runs
from qemunet.host.run_init import RunInit, open_run_init

DEADLINE_S = 60.0
SOURCE = Path(qemunet.host.__file__).parents[2]


class Log:
    """A file that takes what processes of the Run write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")


def in_run(body: Callable[[RunInit], Awaitable[None]], *, label: str = "test") -> None:
    """Run ``body`` with a Run's init, all within the deadline."""

    async def main() -> None:
        with trio.fail_after(DEADLINE_S):
            async with open_run_init(label=label) as init:
                await body(init)

    trio.run(main)


class Controller:
    """A program of its own, text of Python, that controls a Run and says by lines how far it is."""

    def __init__(self, program: str, *arguments: str) -> None:
        self._heard = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            start_new_session=True,
            cwd="/",
        )

    def line(self) -> str:
        """The next line that it writes."""
        assert self.process.stdout is not None
        while b"\n" not in self._heard:
            ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE_S)
            assert ready, "the controller says nothing"
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                assert self.process.stderr is not None
                pytest.fail(f"the controller ended: {self.process.stderr.read().decode()}")
            self._heard += part
        line, self._heard = self._heard.split(b"\n", 1)
        return line.decode()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def find_run(label: str) -> RunningRun:
    """The running Run of that label."""
    (run,) = [run for run in running_runs() if run.label == label]
    return run


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process lead to."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(entry))
    return found


class Watch:
    """Holds pidfds of all processes of a Run, to see each of them end, whatever becomes of their numbers."""

    def __init__(self, run: RunningRun) -> None:
        self._pidfds = {run.init_pid: os.pidfd_open(run.init_pid)}
        for pid in run.processes:
            with suppress(ProcessLookupError):  # It has ended since it was found.
                self._pidfds[pid] = os.pidfd_open(pid)
        self._network = os.stat(f"/proc/{run.init_pid}/ns/net").st_ino

    def wait_all_ended(self) -> None:
        for pid, pidfd in self._pidfds.items():
            ready, _, _ = select.select([pidfd], [], [], DEADLINE_S)
            os.close(pidfd)
            assert ready, f"process {pid} is still there"

    def assert_no_namespace_left(self) -> None:
        users = []
        for entry in Path("/proc").glob("[0-9]*/ns/net"):
            try:
                if os.stat(entry).st_ino == self._network:
                    users.append(entry)
            except OSError:
                continue  # ended, or another user's
        assert not users


def end(pid: int) -> None:
    """Kill a process that a test started."""
    os.kill(pid, signal.SIGKILL)

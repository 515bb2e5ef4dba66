"""What the tests of machines share: processes started here, plans by hand, and a shell's end of a console."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import Signals

import trio

from qemunet.guest.images import ImageFiles, image_files
from qemunet.plan import make_plan
from qemunet.plan.model import GuestPlan
from qemunet.progress import PlainProgress
from qemunet.topology import parse_topology

BOOT_DEADLINE_S = 120
ARCHES = ("x86_64", "aarch64")


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
    """Starts processes here, in no namespace; implements ``qemunet.process.Spawner``."""

    async def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        fds: Mapping[int, int] | None = None,
        log: int,
        env: Mapping[str, str] | None = None,
    ) -> LocalProcess:
        del name
        # bash moves each descriptor to its number, out of numbers that none of them has.
        high = {number: fcntl.fcntl(fd, fcntl.F_DUPFD, 300) for number, fd in (fds or {}).items()}
        try:
            moves = " ".join(f"{number}<&{fd} {fd}<&-" for number, fd in high.items())
            process = await trio.lowlevel.open_process(
                ["bash", "-c", f'exec "$@" {moves}', "bash", *argv],
                stdin=None,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
                pass_fds=list(high.values()),
            )
        finally:
            for fd in high.values():
                os.close(fd)
        return LocalProcess(process)


def guest_plan(text: str, directory: Path = Path("/")) -> GuestPlan:
    """The plan of the first guest of a topology."""
    return make_plan(parse_topology(text), seed=1, source_directory=directory).guests[0]


def tiny(arch: str) -> ImageFiles:
    """The image, built if need be."""
    return image_files("tiny", arch, progress=PlainProgress())


async def read_until(stream: trio.SocketStream, text: bytes) -> bytes:
    """What a console prints up to and with ``text``."""
    seen = b""
    with trio.fail_after(BOOT_DEADLINE_S):
        while text not in seen:
            data = await stream.receive_some()
            assert data, f"the console has ended after {seen!r}"
            seen += data
    return seen


def console(fd: int) -> trio.SocketStream:
    """A stream over a console; the machine's own descriptor stays open."""
    return trio.SocketStream(trio.socket.from_stdlib_socket(socket.socket(fileno=os.dup(fd))))


async def run_in(stream: trio.SocketStream, command: str) -> tuple[int, str]:
    """Run a command in a guest's shell: its status, and what it wrote."""
    await stream.send_all(f"({command}\n) </dev/null; s=$?; echo; echo status=$s.\n".encode())
    seen = ""
    while not (end := re.search(r"\nstatus=(\d+)\.\n$", seen)):
        seen += (await read_until(stream, b".\n")).decode()
    return int(end[1]), seen[: end.start()]


def alive(pid: int) -> bool:
    """Whether a process is there."""
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False

"""Real shells on real terminals, for the tests of the shell and of the engine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from qemunet.guest.console import Console
from qemunet.guest.output import Output
from qemunet.guest.shell import Ended, Shell, pty_killer

#: A new shell in a session of its own whenever the last one has died, as the init of a guest does it.
KEEPER = "while :; do printf 'qemunet-ready\\n'; setsid -c -w %s; done"

SHELLS = [shell for shell in ("dash", "bash", "busybox sh") if shutil.which(shell.split()[0])]


@dataclass
class Terminal:
    """A shell on a pty, as the console of a guest."""

    shell: Shell
    console: Console
    process: subprocess.Popen[bytes]

    async def run(self, text: str, *, stdin: bytes | None = None, cwd: str | None = None, **env: str) -> Ended:
        armed = await self.shell.arm(text, stdin=stdin, cwd=cwd, env=env)
        armed.fire()
        return await armed.ended()


def _start(argv: Sequence[str], slave: int, *, session: bool) -> subprocess.Popen[bytes]:
    # An environment that says nothing of where the tests run, as a guest's does.
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "TERM": "dumb"}
    return subprocess.Popen(
        argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=session, env=environment, cwd="/"
    )


def _kill_all_on(terminal: int) -> None:
    """Kill what tests have left behind on a terminal, given by its device number.

    Containers count their terminals from 0 as well: only processes of our own namespace are meant.
    """
    own = os.readlink("/proc/self/ns/pid")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[4]) == terminal and os.readlink(stat.parent / "ns" / "pid") == own:
                os.kill(int(stat.parent.name), signal.SIGKILL)


@asynccontextmanager
async def open_terminal(
    sh: str,
    directory: Path,
    *,
    node: str = "guest",
    number: int = 0,
    kept: bool = False,
    killable: bool = True,
    outputs: Callable[[], Output] = Output,
) -> AsyncIterator[Terminal]:
    master, slave = os.openpty()
    argv: Sequence[str] = ["sh", "-c", KEEPER % sh] if kept else ["setsid", "-c", *sh.split()]
    process = _start(argv, slave, session=kept)
    device = os.fstat(slave).st_rdev
    os.close(slave)
    name = ""
    try:
        async with Console(master, node=node, log=directory / f"{node}.log") as console:
            killer = pty_killer(master) if killable else None
            shell = Shell(console, number=number, sh=sh, killer=killer, outputs=outputs)
            name = shell._name
            await shell.synchronize()
            yield Terminal(shell, console, process)
    finally:
        process.kill()
        _kill_all_on(device)
        os.close(master)
        process.wait()
        for root in ("/run", "/tmp", "/dev/shm", "/dev") if name else ():
            shutil.rmtree(f"{root}/{name}", ignore_errors=True)


@dataclass(frozen=True)
class Fired:
    at_s: float
    written_ns: tuple[int, ...]


class HostClock:
    """Simulation time that passes as the host's; fires by itself instead of in a simulator."""

    def __init__(self, *terminals: Terminal) -> None:
        self._origin_ns = time.monotonic_ns()
        self._descriptors = {terminal.shell.number: terminal.console.fd for terminal in terminals}

    def now_s(self) -> float:
        return self.to_simulation_s(time.monotonic_ns())

    def to_simulation_s(self, host_ns: int) -> float:
        return (host_ns - self._origin_ns) / 1e9

    async def sleep_until(self, at_s: float) -> None:
        await trio.sleep(max(0.0, at_s - self.now_s()))

    async def fire(self, consoles: Sequence[int], *, at_s: float | None) -> Fired:
        if at_s is not None:
            await self.sleep_until(at_s)
        at_s = self.now_s()
        written_ns = []
        for number in consoles:
            written_ns.append(time.monotonic_ns())
            os.write(self._descriptors[number], b"\n")
        return Fired(at_s, tuple(written_ns))

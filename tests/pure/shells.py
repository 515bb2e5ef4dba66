"""Real shells on real terminals, for the tests of the shell and of the engine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from qemunet.guest.armed import Ended
from qemunet.guest.console import Console
from qemunet.guest.framing import CHANNEL_FD
from qemunet.guest.output import Output
from qemunet.guest.shell import Shell

#: A new shell in a session of its own whenever the last one has died, as the init of a guest does it.
KEEPER = "while printf 'qemunet-ready\\n'; do setsid -c -w %s /dev/tty; done"

SHELLS = [shell for shell in ("dash", "bash", "busybox sh") if shutil.which(shell.split()[0])]


@dataclass
class Terminal:
    """A shell on a pty, as the console of a guest."""

    shell: Shell
    console: Console
    process: subprocess.Popen[bytes]
    device: int
    channel: bool

    def kill(self) -> None:
        """Kill all on it, as the end of a guest does."""
        _kill_all_of(self.process.pid, self.device, self.shell.directory)

    async def run(self, text: str, *, stdin: bytes | None = None, cwd: str | None = None, **env: str) -> Ended:
        armed = await self.shell.arm(text, stdin=stdin, cwd=cwd, env=env)
        armed.fire()
        return await armed.ended()


def _start(argv: Sequence[str], slave: int, channel: int | None, *, session: bool) -> subprocess.Popen[bytes]:
    # An environment that says nothing of where the tests run, as a guest's does.
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "TERM": "dumb"}
    if channel is not None:
        # What keeps shells says so itself.
        ready = "" if session else "printf 'qemunet-ready\\n'; "
        argv = ["sh", "-c", f'{ready}exec "$@" {CHANNEL_FD}<&2 2>&1', "sh", *argv]
    return subprocess.Popen(
        argv,
        stdin=slave,
        stdout=slave,
        stderr=slave if channel is None else channel,
        start_new_session=session,
        env=environment,
        cwd="/",
    )


def _kill_all_of(pid: int, terminal: int, directory: str) -> None:
    """Kill a process, all that is left on its terminal, given by its device number, and what reads a shell's pipe.

    Containers count their terminals from 0 as well: only processes of our own namespace are meant.
    """
    own = os.readlink("/proc/self/ns/pid")
    sessions: set[int] = set()
    found = True
    while found:  # What forks while we look is seen the next time.
        found = False
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, _, _, session, device = (process / "stat").read_text().rpartition(")")[2].split()[:5]
                if state in "ZX" or os.readlink(process / "ns" / "pid") != own:
                    continue
                if int(device) == terminal:
                    # Without its leader a session has no terminal any more, but its processes still hold it open.
                    sessions.add(int(session))
                elif int(session) not in sessions | {pid} and not _reads_from(process, directory):
                    continue
                os.kill(int(process.name), signal.SIGKILL)
                found = True


def _reads_from(process: Path, directory: str) -> bool:
    return bool(directory) and os.readlink(process / "fd" / "0").startswith(f"{directory}/")


@asynccontextmanager
async def open_terminal(
    sh: str,
    directory: Path,
    *,
    node: str = "guest",
    number: int = 0,
    kept: bool = False,
    channel: bool = False,
    noisy: bool = False,
    control: Shell | None = None,
    outputs: Callable[[], Output] = Output,
) -> AsyncIterator[Terminal]:
    """A shell on a new terminal.

    Args:
        kept: Another shell is started when it dies.
        channel: It has a channel beside its terminal.
        noisy: Other things may be printed on the terminal.
        control: Another shell.
    """
    master, slave = os.openpty()
    ours, theirs = socket.socketpair() if channel else (None, None)
    argv: Sequence[str] = ["sh", "-c", KEEPER % sh] if kept else ["setsid", "-c", *sh.split()]
    process = _start(argv, slave, None if theirs is None else theirs.fileno(), session=kept)
    device, path = os.fstat(slave).st_rdev, os.ttyname(slave)
    os.close(slave)
    if theirs is not None:
        theirs.close()
    name = directory_in_guest = ""
    try:
        end = None if ours is None else ours.fileno()
        async with Console(master, node=node, log=directory / f"{node}.log", channel=end, noisy=noisy) as console:
            shell = Shell(
                console,
                number=number,
                sh=sh,
                channel="" if channel else None,
                terminal=path,
                control=control,
                outputs=outputs,
            )
            name = shell._name
            await shell.synchronize()
            directory_in_guest = shell.directory
            yield Terminal(shell, console, process, device, channel)
    finally:
        if ours is not None:
            ours.close()
        _kill_all_of(process.pid, device, directory_in_guest)
        os.close(master)
        process.wait()
        for root in ("/dev/shm", "/run", "/tmp", "/dev") if name else ():
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

    async def arrivals(self) -> Mapping[int, int]:
        return {}

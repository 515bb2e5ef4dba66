"""The controller's side of a Run's init: starts it, speaks to it, notices its end, and ends it.

Needs nothing of the program around it: the init is executed, not forked from here, so threads do no harm, and no
signal handler, no path and no parent-death signal is involved.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from qemunet.errors import HostError
from qemunet.host import remedies
from qemunet.host.launch import init_argv, init_environment
from qemunet.host.linux import TUN_DEVICE
from qemunet.host.messages import (
    ANCILLARY_BYTES,
    MAX_BYTES,
    MAX_DESCRIPTORS,
    Message,
    ancillary_of,
    close_all,
    decode,
    descriptors_of,
    encode,
)
from qemunet.plan.model import HostPlan
from qemunet.process import Spawner

START_DEADLINE_S = 30.0
ANSWER_DEADLINE_S = 60.0
CLOSE_DEADLINE_S = 10.0


@dataclass(frozen=True)
class TapMove:
    """A tap that goes into the network namespace of a process of the Run (a container) and is ``new_name`` there."""

    tap: str
    process: RunProcess
    new_name: str


class RunProcess:
    """A process that the Run's init started; implements ``process.Process``."""

    def __init__(self, init: RunInit, name: str, argv: Sequence[str], pid: int) -> None:
        self.name = name
        self.argv = tuple(argv)
        self._init = init
        self._pid = pid
        self._returncode: int | None = None
        self._done = trio.Event()

    @property
    def pid(self) -> int:
        """Process id inside the Run's PID namespace."""
        return self._pid

    @property
    def returncode(self) -> int | None:
        """Exit status, minus the signal's number if a signal ended it, or None while it runs."""
        return self._returncode

    async def wait(self) -> int:
        """Wait for its end and return ``returncode``.

        Raises:
            HostError: the Run's init died, and the process with it.
        """
        await self._done.wait()
        if self._returncode is None:
            raise self._init.death()
        return self._returncode

    async def kill(self, signal: int = 9) -> None:
        """Send a signal to its process group; nothing happens if it has ended."""
        if not self._done.is_set():
            await self._init.send_signal(self, signal)

    def ended(self, status: int | None) -> None:
        """Called by RunInit when it has ended; None if nobody can say how."""
        self._returncode = status
        self._done.set()


@dataclass
class _Pending:
    """A request that waits for its answer; ``abandoned`` if nobody wants it any more."""

    answered: trio.Event = field(default_factory=trio.Event)
    message: Message | None = None
    descriptors: list[int] = field(default_factory=list)


class RunInit:
    """The init of one Run, made by ``open_run_init``; implements ``process.Spawner``.

    Attributes:
        label: What ``qemunet ps`` shows: the run directory.
        ended: Set when the init has ended, on purpose or not.
        namespaces: Names of the namespaces made: user (unless as root), mount, uts, net, pid.
        start_s: Seconds from the start of the process to its being ready.
    """

    def __init__(self, label: str, process: trio.Process, control: socket.socket, stderr: int) -> None:
        self.label = label
        self.ended = trio.Event()
        self.namespaces: tuple[str, ...] = ()
        self.start_s = 0.0
        self._process = process
        self._control = trio.socket.from_stdlib_socket(control)
        self._stderr = stderr
        self._ready = trio.Event()
        self._start_failure: HostError | None = None
        self._pid_one: int | None = None
        self._closing = False
        self._next_id = 0
        self._pending: dict[int, _Pending] = {}
        self._processes: dict[int, RunProcess] = {}

    @property
    def pid(self) -> int:
        """Process id of the outer process, in the controller's PID namespace."""
        return self._process.pid

    @property
    def as_root(self) -> bool:
        """Whether the namespaces were made with root's capabilities, without a user namespace."""
        return "user" not in self.namespaces

    async def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        fds: Mapping[int, int] | None = None,
        log: int,
        env: Mapping[str, str] | None = None,
        paths: Mapping[str, str] | None = None,
    ) -> RunProcess:
        """Start a process in the Run: own session and process group, default signals, no other descriptors.

        Args:
            name: What the process is, for messages.
            argv: Program (looked up in PATH) and arguments.
            fds: Descriptors the child gets: its number (3 or more) -> ours. Ours stay open here.
            log: Our descriptor of a file that takes standard output and standard error; standard input is /dev/null.
            env: Variables added to those the controller had when the Run was opened.
            paths: Files that only this child sees: absolute path -> existing file. Nothing is written to the host's
                file systems; a directory of the host's root that such a path begins with is not seen.

        Raises:
            MissingRequirement: the program is not there.
            HostError: it could not be started, or the Run's init is gone.
        """
        fds, paths = fds or {}, paths or {}
        if any(number < 3 for number in fds) or len(fds) >= MAX_DESCRIPTORS:
            raise ValueError(f"{name}: descriptors are numbered from 3 and fewer than {MAX_DESCRIPTORS}, not {fds}")
        if any(not path.startswith("/") or path.count("/") < 2 for path in paths):
            raise ValueError(f"{name}: a view takes absolute paths below a directory of /, not {list(paths)}")
        request = {"op": "spawn", "argv": list(argv), "env": dict(env or {}), "fds": list(fds), "paths": dict(paths)}
        # Shielded, as all requests are: a process whose start nobody saw would belong to nobody.
        answer, _ = await self._request(request, [*fds.values(), log])
        if "failure" in answer:
            raise remedies.spawn_error(name, argv[0], answer["failure"])
        process: RunProcess = answer["process"]
        process.name, process.argv = name, tuple(argv)
        return process

    def with_paths(self, paths: Mapping[str, str]) -> Spawner:
        """A Spawner whose processes see ``paths`` besides the host's files, as ``spawn`` describes it."""
        return _SpawnerWithPaths(self, dict(paths))

    async def build(self, host: HostPlan) -> None:
        """Make the bridges and taps of a plan, up and ready.

        Raises:
            MissingRequirement: /dev/net/tun or pyroute2 is missing.
            HostError: the kernel refused one; the message names it.
        """
        if not host.bridges and not host.taps:
            return
        taps = [{"name": tap.name, "bridge": tap.bridge} for tap in host.taps]
        answer, _ = await self._request({"op": "build", "bridges": list(host.bridges), "taps": taps})
        if "failure" in answer:
            raise remedies.network_error("Making bridges and taps", answer["failure"])

    async def open_tap(self, name: str) -> int:
        """Open a tap of the Run (made if there is none) and return its descriptor, which is the caller's to close.

        Frames come without any header (IFF_NO_PI, no vnet header), as ``-netdev tap,fd=`` takes them.

        Raises:
            HostError: the kernel refused; a tap can be opened once at a time.
        """
        answer, descriptors = await self._request({"op": "open_tap", "name": name})
        if "failure" in answer:
            raise remedies.network_error(f"Opening tap {name}", answer["failure"])
        return descriptors[0]

    async def move_taps(self, moves: Sequence[TapMove]) -> None:
        """Move taps into the network namespaces of processes; descriptors of them stay good.

        Raises:
            HostError: the kernel refused one; the message names it.
        """
        wanted = [{"name": move.tap, "pid": move.process.pid, "new_name": move.new_name} for move in moves]
        answer, _ = await self._request({"op": "move_taps", "moves": wanted})
        if "failure" in answer:
            raise remedies.network_error("Moving taps", answer["failure"])

    async def send_signal(self, process: RunProcess, number: int) -> None:
        """Send a signal to a process's group; nothing happens if it, or the Run, has ended."""
        if self.ended.is_set():
            return
        answer, _ = await self._request({"op": "kill", "pid": process.pid, "signal": int(number)})
        if "failure" in answer:
            raise HostError(f"{process.name}: signal {number} could not be sent: {answer['failure']['error']}.")

    def death(self) -> HostError:
        """The error for whoever needed the init when it died."""
        status = self._process.returncode
        how = "" if status is None else f", status {status}" if status >= 0 else f", killed by signal {-status}"
        if self._closing:
            return HostError(f"The Run {self.label} is closed.")
        tail = self._stderr_tail()
        return HostError(
            f"The Run's init (process {self.pid}, {self.label}) ended unexpectedly{how}; all of the Run ended with it."
            + (f"\n{tail}" if tail else ""),
            hint=None if tail else "Somebody killed it; if nobody did, look for the OOM killer in dmesg.",
        )

    def _stderr_tail(self) -> str:
        size = os.fstat(self._stderr).st_size
        return os.pread(self._stderr, 4000, max(0, size - 4000)).decode("utf-8", "replace").strip()

    async def _request(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> tuple[Message, list[int]]:
        """Send a request and return its answer with the descriptors that came along, now the caller's.

        Not interrupted by cancellation, so that what the answer brings has an owner.
        """
        identity, self._next_id = self._next_id, self._next_id + 1
        packet = encode({"id": identity, **message})
        pending = self._pending[identity] = _Pending()
        try:
            with trio.move_on_after(ANSWER_DEADLINE_S, shield=True):
                if self.ended.is_set():
                    raise self.death()
                try:
                    await self._control.sendmsg([packet], ancillary_of(list(descriptors)))
                except (BrokenPipeError, ConnectionResetError):
                    await self.ended.wait()
                except OSError as error:
                    raise HostError(f"A request to the Run's init could not be sent: {error.strerror}.") from error
                else:
                    await pending.answered.wait()
                if pending.message is None:
                    raise self.death()
                return pending.message, pending.descriptors
        finally:
            del self._pending[identity]
        raise HostError(f"The Run's init (process {self.pid}) did not answer within {ANSWER_DEADLINE_S:g} s.")

    async def start(self) -> None:
        """Start to listen and wait until the init is ready.

        Raises:
            MissingRequirement: namespaces are refused.
            HostError: it ended or did not become ready in time.
        """
        # A system task and not a nursery of our own: a nursery would wrap the user's exceptions in groups.
        trio.lowlevel.spawn_system_task(self._listen, name=f"init of {self.label}")
        with trio.move_on_after(START_DEADLINE_S):
            await self._ready.wait()
            if self._start_failure is not None:
                raise self._start_failure
            return
        raise HostError(f"The Run's init (process {self.pid}) was not ready within {START_DEADLINE_S:g} s.")

    async def _listen(self) -> None:
        try:
            while True:
                packet, ancillary, _, _ = await self._control.recvmsg(
                    MAX_BYTES, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
                if not packet:
                    break
                self._take(decode(packet), descriptors_of(ancillary))
        except OSError:
            pass  # a reset is an end as well
        except trio.ClosedResourceError:
            pass
        finally:
            await self._note_end()

    def _take(self, message: Message, descriptors: list[int]) -> None:
        match message.get("event"):
            case "ready":
                self.namespaces = tuple(message["namespaces"])
                (self._pid_one,) = descriptors
                self._ready.set()
            case "failed":
                self._start_failure = remedies.start_error(message["failure"])
            case "exit":
                self._processes.pop(message["pid"]).ended(message["status"])
            case _:
                # Registered here and not by the caller of spawn: the exit event may be the next message.
                if "pid" in message:
                    process = message["process"] = RunProcess(self, "", (), message["pid"])
                    self._processes[process.pid] = process
                pending = self._pending.get(message["id"])
                if pending is None:
                    close_all(descriptors)
                else:
                    pending.message, pending.descriptors = message, descriptors
                    pending.answered.set()

    async def _note_end(self) -> None:
        """Tell everybody who waits that there is no init any more."""
        with trio.move_on_after(2, shield=True):
            await self._process.wait()
        if not self._ready.is_set() and self._start_failure is None:
            self._start_failure = self.death()
        self.ended.set()
        self._ready.set()
        for process in self._processes.values():
            # Closing the Run means SIGKILL for what still ran; if the init died, nobody can say what came first.
            process.ended(-signal.SIGKILL if self._closing else None)
        self._processes.clear()
        for pending in self._pending.values():
            pending.answered.set()

    async def close(self) -> None:
        """End the Run: the init, every process, tap and bridge. Not interrupted by cancellation.

        Raises:
            HostError: something of the Run could not be ended within ``CLOSE_DEADLINE_S``.
        """
        with trio.CancelScope(shield=True):
            self._closing = True
            self._control.shutdown(socket.SHUT_WR) if not self.ended.is_set() else None
            try:
                gone = await self._wait_gone(CLOSE_DEADLINE_S / 2)
                if not gone:
                    self._kill()
                    gone = await self._wait_gone(CLOSE_DEADLINE_S / 2)
            finally:
                self._control.close()
                with trio.move_on_after(1):
                    await self.ended.wait()
                if self._pid_one is not None:
                    os.close(self._pid_one)
                os.close(self._stderr)
        if not gone:
            raise HostError(
                f"The Run {self.label} did not end within {CLOSE_DEADLINE_S:g} s of SIGKILL to its init "
                f"(process {self.pid}).",
                hint="A process of it is stuck in the kernel (state D): qemunet ps, then dmesg.",
            )

    async def _wait_gone(self, deadline_s: float) -> bool:
        """Whether both processes of the init have ended in time; PID 1 ends after everything else of the Run."""
        with trio.move_on_after(deadline_s):
            if self._pid_one is not None:
                await trio.lowlevel.wait_readable(self._pid_one)
            await self._process.wait()
            return True
        return False

    def _kill(self) -> None:
        if self._pid_one is not None:
            signal.pidfd_send_signal(self._pid_one, signal.SIGKILL)
        self._process.kill()


class _SpawnerWithPaths:
    """Starts processes with a view; implements ``process.Spawner``."""

    def __init__(self, init: RunInit, paths: dict[str, str]) -> None:
        self._init = init
        self._paths = paths

    async def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        fds: Mapping[int, int] | None = None,
        log: int,
        env: Mapping[str, str] | None = None,
    ) -> RunProcess:
        return await self._init.spawn(name, argv, fds=fds, log=log, env=env, paths=self._paths)


@asynccontextmanager
async def open_run_init(*, label: str, needs_network: HostPlan | None = None) -> AsyncIterator[RunInit]:
    """Start the init of a Run; everything of the Run has ended when the context is left, however it is left.

    Args:
        label: The run directory, which ``qemunet ps`` shows.
        needs_network: What ``build`` will be asked for; a missing /dev/net/tun is refused here, before anything starts.

    Raises:
        MissingRequirement: the host does not allow namespaces, or taps are needed and cannot be had.
        HostError: the init could not be started.
    """
    if needs_network is not None and needs_network.taps:
        try:
            os.close(os.open(TUN_DEVICE, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise remedies.tun_error(error.errno or 0) from error
    begun = time.monotonic()
    init = await _launch(label)
    try:
        await init.start()
        init.start_s = time.monotonic() - begun
        yield init
    finally:
        await init.close()


async def _launch(label: str) -> RunInit:
    """Execute the init with its three descriptors."""
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stderr = os.memfd_create("qemunet-init-stderr")
    try:
        # The control socket alone does not tell our death if a fork of ours (multiprocessing) still holds it.
        controller = os.pidfd_open(os.getpid())
        try:
            process = await trio.lowlevel.open_process(
                init_argv(label),
                stdin=theirs.fileno(),
                stdout=controller,
                stderr=stderr,
                env=init_environment(),
                start_new_session=True,
            )
        finally:
            os.close(controller)
    except (OSError, subprocess.SubprocessError) as error:
        control.close()
        os.close(stderr)
        raise HostError(f"The Run's init could not be started: {error}.") from error
    finally:
        theirs.close()
    return RunInit(label, process, control, stderr)

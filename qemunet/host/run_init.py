"""The controller's side of a Run's init: starts it, speaks to it, notices its end, and ends it.

Needs nothing of the program around it: the init is executed, not forked from here (unless one was, before there were
threads: ``spare``), so threads do no harm, and no signal handler and no path is involved.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trio

from qemunet.errors import HostError
from qemunet.host import remedies
from qemunet.host.channel import Channel
from qemunet.host.container_init import CONSOLES
from qemunet.host.launch import init_argv, init_environment
from qemunet.host.linux import TUN_DEVICE
from qemunet.host.messages import MAX_DESCRIPTORS, Message
from qemunet.host.run_process import RunProcess
from qemunet.host.spare import ForkedProcess, take_spare
from qemunet.plan.model import HostPlan
from qemunet.process import ContainerInterface, Spawner, StartedContainer

START_DEADLINE_S = 30.0
CLOSE_DEADLINE_S = 10.0


class RunInit:
    """The init of one Run, made by ``open_run_init``; implements ``process.Spawner`` and
    ``process.ContainerStarter``.

    Attributes:
        label: What ``qemunet ps`` shows: the run directory.
        namespaces: Names of the namespaces made: user (unless as root), mount, uts, net, pid.
        start_s: Seconds from the start of the process to its being ready.
    """

    def __init__(self, label: str, process: trio.Process | ForkedProcess, control: socket.socket, stderr: int) -> None:
        self.label = label
        self.namespaces: tuple[str, ...] = ()
        self.start_s = 0.0
        self._process = process
        self._channel = Channel(control, self._note)
        self._stderr = stderr
        self._ready = trio.Event()
        self._start_failure: HostError | None = None
        self._pid_one: int | None = None
        self._closing = False
        self._processes: dict[int, RunProcess] = {}

    @property
    def ended(self) -> trio.Event:
        """Set when the init has ended, on purpose or not."""
        return self._channel.ended

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
        started: list[RunProcess] = []

        def take(answer: Message) -> None:
            # At once, and not when the caller wakes up: the process's exit event may be the next message.
            if "pid" in answer:
                started.append(RunProcess(name, argv, answer["pid"], send_signal=self._signal, death=self.death))
                self._processes[answer["pid"]] = started[0]

        answer, _ = await self._request(request, [*fds.values(), log], take=take)
        if "failure" in answer:
            raise remedies.spawn_error(name, argv[0], answer["failure"])
        return started[0]

    async def start_container(
        self, hostname: str, *, root: Path, disk_mib: int, interfaces: Sequence[ContainerInterface]
    ) -> StartedContainer:
        """Start a container, as ``process.ContainerStarter`` describes it."""
        wanted = {"hostname": hostname, "root": str(root), "disk_mib": disk_mib}
        request = {"op": "container", "container": {**wanted, "interfaces": [asdict(each) for each in interfaces]}}
        started: list[RunProcess] = []

        def take(answer: Message) -> None:
            if "pid" in answer:
                name = f"container {hostname}"
                started.append(RunProcess(name, (), answer["pid"], send_signal=self._signal, death=self.death))
                self._processes[answer["pid"]] = started[0]

        answer, descriptors = await self._request(request, take=take)
        if "failure" in answer:
            raise remedies.container_error(hostname, answer["failure"])
        count = len(CONSOLES)
        consoles, channels = (
            dict(zip(CONSOLES, descriptors[start:], strict=False)) for start in range(0, 2 * count, count)
        )
        return StartedContainer(started[0], consoles, channels, descriptors[2 * count :], answer["writing"])

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
        request = {"op": "build", "bridges": list(host.bridges), "taps": taps}
        answer, _ = await self._request({**request, "veths": [asdict(veth) for veth in host.veths]})
        if "failure" in answer:
            raise remedies.network_error("Making bridges and taps", answer["failure"])

    async def open_tap(self, name: str) -> int:
        """Open a tap of the Run (made if there is none) and return its descriptor, which is the caller's to close.

        Frames come without any header (IFF_NO_PI, no vnet header), as ``-netdev tap,fd=`` takes them. Its bridge
        passes them on as soon as the kernel has told it of the opening, which may take up to a second.

        Raises:
            HostError: the kernel refused; a tap can be opened once at a time.
        """
        answer, descriptors = await self._request({"op": "open_tap", "name": name})
        if "failure" in answer:
            raise remedies.network_error(f"Opening tap {name}", answer["failure"])
        return descriptors[0]

    async def _signal(self, process: RunProcess, number: int) -> None:
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

    async def _request(
        self,
        message: dict[str, Any],
        descriptors: Sequence[int] = (),
        *,
        take: Callable[[Message], None] | None = None,
    ) -> tuple[Message, list[int]]:
        answer = await self._channel.request(message, descriptors, take=take)
        if answer is None:
            raise self.death()
        return answer

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
            await self._channel.listen()
        finally:
            await self._note_end()

    def _note(self, event: Message, descriptors: list[int]) -> None:
        match event["event"]:
            case "ready":
                self.namespaces = tuple(event["namespaces"])
                (self._pid_one,) = descriptors
                self._ready.set()
            case "failed":
                self._start_failure = remedies.start_error(event["failure"])
            case "exit":
                self._processes.pop(event["pid"]).ended(event["status"])

    async def _note_end(self) -> None:
        """Tell everybody who waits that there is no init any more."""
        with trio.CancelScope(deadline=trio.current_time() + 2, shield=True):
            await self._process.wait()
        if not self._ready.is_set() and self._start_failure is None:
            self._start_failure = self.death()
        self._channel.end()
        self._ready.set()
        for process in self._processes.values():
            # Closing the Run means SIGKILL for what still ran; if the init died, nobody can say what came first.
            process.ended(-signal.SIGKILL if self._closing else None)
        self._processes.clear()

    async def close(self) -> None:
        """End the Run: the init, every process, tap and bridge. Not interrupted by cancellation.

        Raises:
            HostError: something of the Run could not be ended within ``CLOSE_DEADLINE_S``.
        """
        with trio.CancelScope(shield=True):
            self._closing = True
            self._channel.hang_up()
            try:
                gone = await self._wait_gone(CLOSE_DEADLINE_S / 2)
                if not gone:
                    self._kill()
                    gone = await self._wait_gone(CLOSE_DEADLINE_S / 2)
            finally:
                self._channel.close()
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
        with suppress(ProcessLookupError):
            if self._pid_one is not None:
                signal.pidfd_send_signal(self._pid_one, signal.SIGKILL)
            elif self._process.returncode is None:
                # PID 1 is in the outer process's group: this reaches both, also before it was ready.
                os.killpg(self._process.pid, signal.SIGKILL)


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
    _raise_descriptor_limit()
    begun = time.monotonic()
    init = await _launch(label)
    try:
        await init.start()
        init.start_s = time.monotonic() - begun
        yield init
    finally:
        await init.close()


def _raise_descriptor_limit() -> None:
    """Let this process and those of the Run have as many descriptors as they may: each guest takes some ten.

    The usual 1024 is there for programs that use select().
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _launch(label: str) -> RunInit:
    """Start the init with its three descriptors: the one in waiting, if this process has one, or by execution."""
    with ExitStack() as ours, ExitStack() as passed_on:
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.callback(control.close)
        passed_on.callback(theirs.close)
        stderr = os.memfd_create("qemunet-init-stderr")
        ours.callback(os.close, stderr)
        try:
            # The control socket alone does not tell our death if a fork of ours (multiprocessing) still holds it.
            controller = os.pidfd_open(os.getpid())
            passed_on.callback(os.close, controller)
            process: trio.Process | ForkedProcess
            argv, environment, spare = init_argv(label), init_environment(), take_spare()
            if spare is not None:
                process = spare.start(argv, environment, stdin=theirs.fileno(), stdout=controller, stderr=stderr)
            else:
                process = await trio.lowlevel.open_process(
                    argv,
                    stdin=theirs.fileno(),
                    stdout=controller,
                    stderr=stderr,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise HostError(f"The Run's init could not be started: {error}.") from error
        ours.pop_all()
    return RunInit(label, process, control, stderr)

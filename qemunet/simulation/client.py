"""The controller's side of the ns-3 worker."""

from __future__ import annotations

import array
import json
import os
import select
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import trio

from qemunet.errors import QemunetError, SimulationError
from qemunet.plan.model import DelayPart, Impairments, SimulationPlan
from qemunet.process import Process, Spawner
from qemunet.simulation import failure, messages
from qemunet.simulation.messages import Message, Type
from qemunet.simulation.native import native_library, worker_environment
from qemunet.simulation.report import Counters, LagTimeline, Load, Pcap, Scheduling, SimulationReport
from qemunet.simulation.worker import CONFIG_FD, CONTROL_FD

#: For the worker to end by itself once it was told to, or its control socket closed.
_END_S = 5
#: For it to answer while everything waits for it.
_NOW_S = 10.0


@dataclass(frozen=True)
class ExtendScript:
    """An experiment whose ``extend`` the worker runs: its file, and the run's parameters."""

    path: Path
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Firing:
    """What came of firing consoles.

    Attributes:
        at_ns: Simulation time of the event that fired.
        late: The instant asked for had passed already; it fired at once.
        written_ns: Host monotonic time of each write, in the order asked for.
        failures: Console -> why nothing could be written to it.
    """

    at_ns: int
    late: bool
    written_ns: tuple[int, ...]
    failures: Mapping[int, str]


@dataclass
class _Request:
    """A request that waits for its last reply."""

    type: Type
    done: trio.Event = field(default_factory=trio.Event)
    replies: list[Message] = field(default_factory=list)
    complete: bool = False


class Simulation:
    """A running ns-3 worker; made by ``open_simulation``.

    Every method raises SimulationError if the worker refuses or has ended; ExtendError if ``extend`` failed.

    Attributes:
        failed: Set as soon as the worker has ended without having been told to, or has run an event later than the hard
            limit; ``failure`` then says why. After the latter it goes on, and can be stopped as usual.
        error: Why the worker is gone, if it is.
    """

    def __init__(self, plan: SimulationPlan, control: trio.socket.SocketType, process: Process, log: Path) -> None:
        self.failed = trio.Event()
        self.error: QemunetError | None = None
        self._late: SimulationError | None = None
        self._plan = plan
        self._control = control
        self._process = process
        self._log = log
        self._ready = trio.Event()
        self._ended = trio.Event()
        self._stopped = False
        self._requests: dict[int, _Request] = {}
        self._last_id = 0
        self._sending = trio.Lock()
        self._defining = trio.Lock()
        self._delays: dict[tuple[DelayPart, ...], int] = {(): 0}

    @property
    def failure(self) -> QemunetError | None:
        """See ``failed``."""
        return self.error or self._late

    async def attach_door(self, number: int, fd: int) -> None:
        """Give the worker the far end of a guest's socket, or a tap; our ``fd`` stays ours to close.

        A second one for the same door replaces the first: a guest that was started again.
        """
        await self._request(Type.ATTACH_DOOR, messages.pack_number(number), fd)

    async def attach_console(self, number: int, fd: int, answers: int | None = None, *, guest: int = 0) -> None:
        """Give the worker a descriptor that types at a guest's console; our descriptors stay ours to close.

        Args:
            number: Of the console; a second one replaces the first.
            fd: A stream socket, or a terminal's master, which firing makes non-blocking for all who share it.
            answers: Where what the guest says arrives, if ``arrivals`` is to tell of it. It is not read.
            guest: The process that runs the guest (its id in the Run), 0 for what is in the terminal's foreground. Where
                the host allows it, it goes before all else but the simulation from a firing until it has answered.
        """
        fds = [fd] if answers is None else [fd, answers]
        await self._request(Type.ATTACH_CONSOLE, messages.pack_console(number, guest), *fds)

    async def start(self) -> int:
        """Make now simulation time 0 and open the doors; returns host monotonic time of it in ns."""
        replies = await self._request(Type.START)
        return messages.unpack_started(replies[-1].body)

    async def fire(self, consoles: Sequence[int], at_ns: int | None = None) -> Firing:
        """Type a newline at consoles, by one event at a simulation time; None is as soon as possible.

        Returns when it was done. A console that takes nothing does not hold up the others. A blank is typed at each
        console first, to wake its reader: the line that stands there has to bear it.
        """
        replies = await self._request(Type.FIRE, messages.pack_fire(at_ns or 0, consoles))
        fired = messages.unpack_fired(replies[-1].body)
        failures = {
            console: os.strerror(error) for console, error in zip(fired.consoles, fired.errors, strict=True) if error
        }
        return Firing(fired.at_ns, fired.late, fired.written_ns, failures)

    async def arrivals(self) -> Mapping[int, int]:
        """Console -> host monotonic time, in ns, at which its guest was first heard of after the last ``fire``.

        Those that are missing have not answered, or their answer was read before it was noticed.
        """
        replies = await self._request(Type.ARRIVALS)
        return messages.unpack_arrived(replies[-1].body)

    async def set_link(
        self,
        link: str,
        impairments: tuple[Impairments | None, Impairments | None] = (None, None),
        *,
        up: bool | None = None,
        at_ns: int | None = None,
    ) -> int:
        """Change a link at a simulation time (None: as soon as possible); returns that time when it is done.

        A p2p or wifi can go up and down only.

        Args:
            link: Its name.
            impairments: From first to second end, and back; None leaves a direction as it is. csma: one, whose
                delay and loss are taken.
            up: False takes it down, which loses all frames; None leaves it as it is.
            at_ns: Simulation time.
        """
        changes = messages.Change(0) if up is None else messages.Change.UP if up else messages.Change.DOWN
        packed = [b"" if each is None else await self._pack(each) for each in impairments]
        changes |= messages.Change.THERE if packed[0] else messages.Change(0)
        changes |= messages.Change.BACK if packed[1] else messages.Change(0)
        number = [each.name for each in self._plan.links].index(link)
        body = messages.pack_set_link(at_ns or 0, number, changes, *packed)
        return messages.unpack_changed((await self._request(Type.SET_LINK, body))[-1].body)

    async def _pack(self, impairments: Impairments) -> bytes:
        """The struct Impairments of the native part, its distribution defined there."""
        parts = impairments.delay_parts
        async with self._defining:
            if parts not in self._delays:
                for body in messages.pack_define_delay(parts):
                    replies = await self._request(Type.DEFINE_DELAY, body)
                self._delays[parts] = messages.unpack_number(replies[-1].body)
        return messages.pack_impairments(impairments, self._delays[parts])

    async def counters(self) -> Counters:
        """What passed so far, and how late events ran."""
        return self._counters(await self._request(Type.COUNTERS))

    def counters_now(self) -> Counters:
        """``counters`` for who cannot wait: the whole process does, for the fraction of a millisecond that it takes."""
        self._check()
        with self._new_request(Type.COUNTERS) as (id_, request):
            # A message is sent as a whole, so it cannot come into the midst of one of ``_request``. What arrives is
            # taken here as ``_receive`` would take it, which then finds nothing more.
            sock = self._control.fileno()
            deadline_s = time.monotonic() + _NOW_S
            _wait_for(sock, select.POLLOUT, deadline_s)
            try:
                os.write(sock, messages.pack(Type.COUNTERS, id_))
                while not request.done.is_set():
                    _wait_for(sock, select.POLLIN, deadline_s)
                    data = os.read(sock, messages.MAX_BYTES)
                    if not data:
                        raise SimulationError("the simulation has ended")
                    self._take(messages.unpack(data))
            except OSError as error:
                raise SimulationError(f"the simulation has ended: {error.strerror}") from None
            return self._counters(self._replies(request))

    async def stop(self) -> SimulationReport:
        """End the simulation; ``extend`` finishes; the worker exits.

        Raises:
            ExtendError: what follows the ``yield`` of ``extend`` failed; its ``report`` is what this would return.
        """
        replies = await self._request(Type.STOP)
        said = json.loads(b"".join(reply.body for reply in replies if reply.type is Type.REPORT))
        report = SimulationReport(
            counters=self._counters(replies),
            scheduling=Scheduling(**said["scheduling"]),
            cpu_user_s=said["cpu_user_s"],
            cpu_system_s=said["cpu_system_s"],
            max_rss_mib=said["max_rss_mib"],
            metrics=said["metrics"],
            lag=LagTimeline(**said["lag"]),
            missed=said["missed"],
            load=Load(**said["load"]),
            pcaps={name: Pcap(*counts) for name, counts in said["pcaps"].items()},
        )
        if said["failure"] is not None:
            raise failure.from_worker(said["failure"], report)
        return report

    def _counters(self, replies: Sequence[Message]) -> Counters:
        lag = next(messages.unpack_lag(reply.body) for reply in replies if reply.type is Type.LAG)
        doors: dict[int, messages.DoorCounters] = {}
        directions: dict[tuple[int, int], messages.LinkCounters] = {}
        for reply in replies:
            if reply.type is Type.DOORS:
                doors.update(messages.unpack_doors(reply.body))
            elif reply.type is Type.LINKS:
                directions.update(messages.unpack_links(reply.body))
        links = {
            link.name: tuple(directions[number, side] for side in range(2) if (number, side) in directions)
            for number, link in enumerate(self._plan.links)
        }
        return Counters(lag, doors, links)

    async def _request(self, type_: Type, body: bytes = b"", *fds: int) -> list[Message]:
        """Send a request and return its replies, the last one last."""
        self._check()
        with self._new_request(type_) as (id_, request):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []
            async with self._sending:
                try:
                    await self._control.sendmsg([messages.pack(type_, id_, body)], rights)
                except OSError:
                    # The worker is gone; the receiver finds out why.
                    await self._ended.wait()
            await request.done.wait()
        return self._replies(request)

    @contextmanager
    def _new_request(self, type_: Type) -> Iterator[tuple[int, _Request]]:
        """A request whose replies are taken in while the context lasts, and its id."""
        self._last_id += 1
        id_ = self._last_id
        request = self._requests[id_] = _Request(type_)
        try:
            yield id_, request
        finally:
            del self._requests[id_]

    def _replies(self, request: _Request) -> list[Message]:
        """The replies to a request that is done."""
        if not request.complete:
            self._check()
        last = request.replies[-1]
        if last.type is Type.ERROR:
            raise SimulationError(f"the simulation refused {request.type.name}: {messages.unpack_error(last.body)}")
        return request.replies

    def _check(self) -> None:
        if self.error is not None:
            raise self.error
        if self._ended.is_set():
            raise SimulationError("the simulation has ended")

    async def _wait_ready(self) -> None:
        await self._ready.wait()
        self._check()

    async def _receive(self) -> None:
        """Take in messages until the worker is gone, and then say why."""
        try:
            while True:
                data = await self._control.recv(messages.MAX_BYTES)
                if not data:
                    break
                self._take(messages.unpack(data))
        except (OSError, ValueError) as error:
            self.error = self.error or SimulationError(f"the ns-3 worker's control socket: {error}")
        returncode = await self._process.wait()
        if not self._stopped:
            self.error = self.error or failure.from_death(returncode, self._log)
            self.failed.set()
        self._ended.set()
        self._ready.set()
        for request in self._requests.values():
            request.done.set()

    def _take(self, message: Message) -> None:
        if message.type is Type.READY:
            self._ready.set()
        elif message.type is Type.FAILED:
            self.error = failure.from_worker(json.loads(message.body))
        elif message.type is Type.EXCEEDED:
            self._late = failure.from_lateness(*messages.unpack_exceeded(message.body))
            self.failed.set()
        elif (request := self._requests.get(message.id)) is not None:
            request.replies.append(message)
            last_piece = message.type is Type.REPORT and not message.body
            if last_piece:
                self._stopped = True  # From here on its end is no failure.
            if last_piece or message.type not in messages.PARTIAL:
                request.complete = True
                request.done.set()


def _wait_for(descriptor: int, event: int, deadline_s: float) -> None:
    """Wait, without letting anything else run, until a descriptor is ready.

    Raises:
        SimulationError: it is not in time.
    """
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
        raise SimulationError(f"the ns-3 worker did not answer within {_NOW_S:g} s")


@asynccontextmanager
async def open_simulation(
    plan: SimulationPlan, *, spawner: Spawner, directory: Path, extend: ExtendScript | None = None
) -> AsyncIterator[Simulation]:
    """Start an ns-3 worker, build the plan in it, and wait until it is ready. Leaving ends it.

    Args:
        plan: What to build.
        spawner: Starts the worker, in the Run's namespaces where it needs taps.
        directory: The run's; the worker's output goes to ``ns3.log`` in it.
        extend: The experiment, if it has an ``extend``.

    Raises:
        MissingRequirement: ns-3 is not installed, or the native library not built.
        SimulationError: it could not be built; with ns-3's own message.
        ExtendError: ``extend`` failed before its ``yield``.
    """
    native_library()
    log = directory / "ns3.log"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    control = trio.socket.from_stdlib_socket(ours)
    with control:
        with theirs:
            process = await _spawn(plan, spawner, log, theirs, extend)
        simulation = Simulation(plan, control, process, log)
        receiving = trio.CancelScope()
        received = trio.Event()

        async def receive() -> None:
            with receiving:
                await simulation._receive()
            received.set()

        # A system task, and no nursery: errors of the caller's block leave it as they are, in no ExceptionGroup.
        trio.lowlevel.spawn_system_task(receive)
        try:
            await simulation._wait_ready()
            yield simulation
        finally:
            with trio.CancelScope(shield=True):
                # Not an end that has to be explained: the worker sees its socket closed.
                simulation._stopped = True
                if not simulation._ended.is_set():
                    control.shutdown(socket.SHUT_WR)
                    with trio.move_on_after(_END_S):
                        await process.wait()
                if process.returncode is None:
                    await process.kill()
                    await process.wait()
                receiving.cancel()
                await received.wait()


async def _spawn(
    plan: SimulationPlan, spawner: Spawner, log: Path, control: socket.socket, extend: ExtendScript | None
) -> Process:
    """Start the worker with its end of the control socket, its configuration and its log."""
    script = None if extend is None else {"path": str(extend.path.resolve()), "parameters": dict(extend.parameters)}
    pcap = log.parent / "pcap"
    config = json.dumps({"plan": asdict(plan), "extend": script, "pcap": str(pcap)}).encode()
    config_fd = os.memfd_create("qemunet-simulation", os.MFD_CLOEXEC)
    try:
        os.write(config_fd, config)
        os.lseek(config_fd, 0, os.SEEK_SET)
        log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            return await spawner.spawn(
                "ns-3 worker",
                [sys.executable, "-P", "-m", "qemunet.simulation.worker"],
                fds={CONTROL_FD: control.fileno(), CONFIG_FD: config_fd},
                log=log_fd,
                env=worker_environment(),
            )
        finally:
            os.close(log_fd)
    finally:
        os.close(config_fd)

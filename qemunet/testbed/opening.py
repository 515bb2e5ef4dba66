"""Takes a Plan to a running Testbed at simulation time 0 and, whatever happens, brings everything down again."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import trio

from qemunet.errors import ExperimentError, GuestError, QemunetError, SimulationError
from qemunet.experiment import Experiment
from qemunet.guest.accel import AccelChoice, choose_accel
from qemunet.guest.images import ImageFiles, image_files
from qemunet.guest.output import LIMIT_BYTES, Output
from qemunet.host.doctor import check_requirements, require
from qemunet.host.facts import host_facts
from qemunet.host.run_init import RunInit, open_run_init
from qemunet.host.software import tap_creator_view
from qemunet.plan.model import GuestPlan, Plan
from qemunet.progress import Progress
from qemunet.results.record import RunDirectory, to_json
from qemunet.simulation.client import ExtendScript, Simulation, open_simulation
from qemunet.simulation.report import Counters
from qemunet.tasks.engine import Engine
from qemunet.testbed.bed import Guest, Testbed
from qemunet.testbed.clock import SimulationClock
from qemunet.testbed.guests import BootedGuest, open_guest, patience_of
from qemunet.testbed.lifetimes import Lifetimes, open_lifetimes
from qemunet.testbed.links import Link, Links
from qemunet.testbed.measuring import Measuring, queues_of
from qemunet.topology import Topology
from qemunet.units import parse_size_bytes

CLOSE_DEADLINE_S = 30.0
"""Daemons and the simulator have stopped within this time; what has not is killed with the Run's init."""

NOTICE_S = 1.0
"""A command on a guest that has gone hears of it within this time."""


@asynccontextmanager
async def open_testbed(
    topology: Topology,
    plan: Plan,
    *,
    experiment: Experiment,
    parameters: Mapping[str, Any],
    seed: int,
    directory: RunDirectory,
    progress: Progress,
) -> AsyncIterator[Testbed]:
    """Build what a Plan says, from nothing to simulation time 0; leaving ends all of it.

    Raises:
        MissingRequirement, HostError: the host lacks or refused something.
        GuestError: a guest did not come up.
        SimulationError: the simulator could not be built, or died while the testbed was in use.
        ExperimentError: the experiment's ``configure`` failed.
    """
    builder = _Builder(topology, plan, experiment, parameters, directory, progress)
    await builder.prepare()
    async with AsyncExitStack() as stack:
        simulation, booted = await builder.start(stack)
        origin_ns = await simulation.start()
        clock = SimulationClock(simulation, origin_ns, {guest.shell.number: name for name, guest in booted.items()})
        builder.clock = clock
        directory.update(time_0_unix_s=clock.unix_time_s(0.0))
        directory.event("time-0", simulation_s=0.0, host_ns=origin_ns, unix_s=clock.unix_time_s(0.0))
        firsts = {name: guest.first_process for name, guest in booted.items() if guest.first_process is not None}
        measuring = Measuring(
            clock, plan.guests, queues_of(plan.guests, firsts, builder.run_pid), plan.simulation.timing
        )
        bed = Testbed(topology, parameters, seed, directory, progress, clock, measuring)
        _join_simulation(bed, simulation, directory)
        bed.guests = {name: Guest(guest, clock, bed.observe, progress) for name, guest in booted.items()}
        shells = {name: guest.shell for name, guest in booted.items()}
        engine = Engine(shells, clock, observe=bed.observe)
        bed.use(engine, shells)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch_simulation, simulation)
            nursery.start_soon(measuring.watch)
            for guest in booted.values():
                nursery.start_soon(_watch_guest, guest, bed, builder)
                nursery.start_soon(guest.watch)
            passed = False
            try:
                yield bed
                await _check_all_live(booted, bed, builder)
                passed = True
            finally:
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_DEADLINE_S):
                    await builder.end(bed, engine, simulation, measuring)
                if passed and bed.report is None and simulation.error is None:
                    raise SimulationError(
                        f"the run could not be ended within {CLOSE_DEADLINE_S:g} s, so its timing is not known",
                        hint="the simulation may have far more to do than a processor can; try a shorter run",
                    )


def _join_simulation(bed: Testbed, simulation: Simulation, directory: RunDirectory) -> None:
    """Give the experiment what it sees of the simulation: counters, and the links; their files are relative to the topology's."""

    def counters() -> Counters:
        return simulation.counters_now() if bed.report is None else bed.report.counters

    base = Path(bed.topology.name).absolute().parent
    links = {name: Link(link, simulation, counters, directory.event, base) for name, link in bed.topology.links.items()}
    bed.join(Links(links), counters)


async def _watch_simulation(simulation: Simulation) -> None:
    """End everything as soon as the simulator is gone: without it no frame passes and no clock runs.

    So does an event that is later than the hard limit.
    """
    await simulation.failed.wait()
    if simulation.failure is not None:
        raise simulation.failure


async def _watch_guest(guest: BootedGuest, bed: Testbed, builder: _Builder) -> None:
    """End everything when a guest has gone that nobody is about to hear of: what it was to do will not be done.

    Whoever runs a command on it gets the same error from that, and may go on without the guest.
    """
    error = await guest.life.ended()
    builder.exited(guest.plan.node, error)
    with trio.move_on_after(NOTICE_S):
        await bed.noticed(guest.plan.node)
        return
    raise error


async def _check_all_live(booted: Mapping[str, BootedGuest], bed: Testbed, builder: _Builder) -> None:
    """For the end of an experiment: a guest that went down with the last command is an end of the run like any other.

    Raises:
        GuestExitedError: one has, and nobody was told.
    """
    for name, guest in booted.items():
        if guest.life.ending():
            with trio.move_on_after(CLOSE_DEADLINE_S):
                error = await guest.life.ended()
                builder.exited(name, error)
                if not bed.has_noticed(name):
                    raise error


class _Builder:
    """The steps, in order: ``prepare``, ``start``, ``end``."""

    def __init__(
        self,
        topology: Topology,
        plan: Plan,
        experiment: Experiment,
        parameters: Mapping[str, Any],
        directory: RunDirectory,
        progress: Progress,
    ) -> None:
        self.topology = topology
        self.plan = plan
        self.experiment = experiment
        self.parameters = parameters
        self.directory = directory
        self.progress = progress
        self.machines = [guest for guest in plan.guests if guest.type == "qemu"]
        self.images: dict[tuple[str, str], ImageFiles] = {}
        self.accels: dict[tuple[str, str], AccelChoice] = {}
        self.clock: SimulationClock | None = None
        self.run_pid = 0
        self._exited: set[str] = set()
        limit = plan.options.get("output_limit")
        self._output_limit_bytes = LIMIT_BYTES if limit is None else parse_size_bytes(limit)

    def event(self, kind: str, **values: Any) -> None:
        """Record what happens now; before time 0 there is no simulation time."""
        host_ns = time.monotonic_ns()
        at_s = None if self.clock is None else self.clock.to_simulation_s(host_ns)
        self.directory.event(kind, simulation_s=at_s, host_ns=host_ns, **values)

    def exited(self, node: str, error: GuestError) -> None:
        """Record the end of a guest, once."""
        if node not in self._exited:
            self._exited.add(node)
            self.event("guest-exited", node=node, message=error.message, reason=getattr(error, "reason", None))

    async def prepare(self) -> None:
        """Everything that needs no process of the run: requirements, images, accelerators, host.json."""
        facts = await trio.to_thread.run_sync(host_facts, sorted({guest.arch for guest in self.machines}))
        self.directory.write("host.json", to_json(facts))
        # The Run's init is started next, and says as well what forbids namespaces.
        check = partial(check_requirements, self.plan, namespaces=False)
        require(await trio.to_thread.run_sync(check))
        for guest in self.machines:
            if guest.image is not None and (guest.image, guest.arch) not in self.images:
                find = partial(image_files, guest.image, guest.arch, progress=self.progress)
                self.images[guest.image, guest.arch] = await trio.to_thread.run_sync(find)
            if (guest.arch, guest.accel) not in self.accels:
                choose = partial(choose_accel, guest.arch, guest.accel, progress=self.progress)
                self.accels[guest.arch, guest.accel] = await trio.to_thread.run_sync(choose)
        facts["accel"] = {arch: asdict(choice) for (arch, _), choice in self.accels.items()}
        self.directory.write("host.json", to_json(facts))

    async def start(self, stack: AsyncExitStack) -> tuple[Simulation, dict[str, BootedGuest]]:
        """Start the Run's init, then the simulator and all guests side by side; returns when all are ready."""
        label = str(self.directory.path)
        init = await stack.enter_async_context(open_run_init(label=label, needs_network=self.plan.host))
        self.run_pid = init.pid
        await init.build(self.plan.host)
        lifetimes = await stack.enter_async_context(open_lifetimes())
        booted: dict[str, BootedGuest] = {}
        simulations: list[Simulation] = []
        doors: dict[int, socket.socket] = {}
        with self.progress.step(self._what_boots(), total=len(self.plan.guests)) as step:

            async def simulate() -> None:
                simulations.append(await lifetimes.enter(self._simulation(init)))
                self.event("simulator-ready")

            async def boot(number: int, guest: GuestPlan) -> None:
                booted[guest.node] = await self._boot(number, guest, init, lifetimes, doors)
                step.update(done=len(booted), text=f"{guest.node} is up")
                self.event("booted", node=guest.node)
                offset = booted[guest.node].clock_offset
                if offset is not None:
                    self.event("clock", node=guest.node, **asdict(offset))

            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(simulate)
                    for number, guest in enumerate(self.plan.guests):
                        nursery.start_soon(boot, number, guest)
                (simulation,) = simulations
                for number, door in doors.items():
                    await simulation.attach_door(number, door.fileno())
                for each in booted.values():
                    for number, tap in each.taps.items():
                        await simulation.attach_door(number, tap)
                    await simulation.attach_console(
                        each.shell.number, each.console_fd, each.shell.console.channel, guest=each.emulator
                    )
            finally:
                for door in doors.values():
                    door.close()
        return simulation, {guest.node: booted[guest.node] for guest in self.plan.guests}

    def _what_boots(self) -> str:
        kinds = [
            f"{sum((guest.arch, guest.accel) == key for guest in self.machines)} {key[0]} by {choice.name}"
            for key, choice in self.accels.items()
        ]
        containers = len(self.plan.guests) - len(self.machines)
        kinds += [f"{containers} containers"] if containers else []
        count = len(self.plan.guests)
        return f"booting {count} guest{'s' if count != 1 else ''} ({', '.join(kinds)})"

    def _simulation(self, init: RunInit) -> Any:
        extend = ExtendScript(self.experiment.path, self.parameters) if self.experiment.extend else None
        # TapBridge executes a helper by the path that it had on the machine where the ns-3 wheel was built.
        spawner = init.with_paths(tap_creator_view()) if self.plan.host.taps else init
        return open_simulation(self.plan.simulation, spawner=spawner, directory=self.directory.path, extend=extend)

    async def _boot(
        self, number: int, guest: GuestPlan, init: RunInit, lifetimes: Lifetimes, doors: dict[int, socket.socket]
    ) -> BootedGuest:
        """Make the far ends of a guest's interfaces, and start it on them."""
        self.event("booting", node=guest.node)
        machine = guest.type == "qemu"
        accel = self.accels[guest.arch, guest.accel].name if machine else ""
        nets: list[int] = []
        try:
            for interface in guest.interfaces if machine else ():
                if interface.host_tap is None:
                    doors[interface.door], theirs = socket.socketpair(socket.AF_UNIX)
                    nets.append(theirs.detach())
                else:
                    nets.append(await init.open_tap(interface.host_tap))
            return await lifetimes.enter(
                open_guest(
                    guest,
                    number,
                    starter=init,
                    files=None if guest.image is None else self.images[guest.image, guest.arch],
                    accel=accel,
                    nets=nets,
                    patience=patience_of(accel, len(self.plan.guests)),
                    directory=self.directory.path,
                    configure=self._configure,
                    warn=self._warn,
                    outputs=partial(
                        Output, partial(self.directory.output_path, guest.node), limit_bytes=self._output_limit_bytes
                    ),
                )
            )
        finally:
            for descriptor in nets:
                os.close(descriptor)

    def _warn(self, message: str) -> None:
        self.progress.say(f"warning: {message}")
        self.event("warning", message=message)

    def _configure(self, guest: GuestPlan) -> str | None:
        """What the experiment's ``configure`` wants run on a guest before time 0."""
        if self.experiment.configure is None:
            return None
        where = f"{self.experiment.path}: configure({guest.node})"
        try:
            wanted = self.experiment.configure(self.topology.nodes[guest.node])
        except Exception as error:
            raise ExperimentError(f"{where} raised {type(error).__name__}: {error}") from error
        if wanted is not None and not isinstance(wanted, str):
            raise ExperimentError(f"{where} returned {type(wanted).__name__}; a command as text, or None, is wanted")
        return wanted

    async def end(self, bed: Testbed, engine: Engine, simulation: Simulation, measuring: Measuring) -> None:
        """Stop the Daemons and the simulator; a failure is recorded and what comes after it still happens."""
        self.event("ending")
        with self.progress.step("ending the run"):
            try:
                await engine.close()
            except QemunetError as error:
                self.event("failure", what="stopping Daemons", message=error.message)
            measuring.end()
            if simulation.error is not None:
                return
            try:
                bed.report = await simulation.stop()
                for name, pcap in bed.report.pcaps.items():
                    if pcap.dropped:
                        frames = pcap.frames + pcap.dropped
                        self._warn(
                            f"pcap/{name} misses {pcap.dropped} of {frames} frames: the disk was too slow or too full"
                        )
            except QemunetError as error:
                bed.report = getattr(error, "report", None)
                self.event("failure", what="stopping the simulator", message=error.message)
                raise
            finally:
                if bed.report is not None:
                    self.directory.write("lag.json", json.dumps({"schema": 1, **asdict(bed.report.lag)}) + "\n")

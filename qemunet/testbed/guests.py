"""One guest, from its Plan to a shell that answers and interfaces that are configured."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

from qemunet.errors import ConsoleError, GuestBootTimeout, GuestError, QemunetError
from qemunet.guest.clock import ClockOffset, GuestClock
from qemunet.guest.configure import configuration_script
from qemunet.guest.console import Console
from qemunet.guest.container import open_container
from qemunet.guest.images import ImageFiles
from qemunet.guest.output import Output
from qemunet.guest.qemu import open_qemu
from qemunet.guest.shell import Shell
from qemunet.plan.model import GuestPlan, channel_device
from qemunet.process import ContainerStarter, Spawner
from qemunet.testbed.life import Life, Machine
from qemunet.testbed.spares import SpareConsole, SpareShells

BOOT_TIMEOUT_S = 30.0
"""A guest under KVM with a core of its own is up within this time, or never."""

CLOCK_TIMEOUT_S = 5.0
"""A guest's clock is set within this time, times its patience, or left as it is."""

TCG_FACTOR = 4.0
"""How much longer our own time-outs are where QEMU emulates the processor."""

Configure = Callable[[GuestPlan], str | None]
"""A command for a guest, run on it before time 0, or None."""


@dataclass(frozen=True)
class BootedGuest:
    """A guest that is up and configured.

    Attributes:
        plan: What it was built from.
        shell: Its command shell; ``shell.number`` is its console's number at the simulator.
        console_fd: Where the simulator types.
        control: The shell beside it that helps it.
        spares: Further shells of it.
        taps: A container's interfaces, by number of the door.
        life: Whether it lives.
        clock: Its wall clock.
        clock_offset: How far that was from the host's when the guest was up; None if it could not be measured or set.
    """

    plan: GuestPlan
    shell: Shell
    console_fd: int
    control: Shell
    spares: SpareShells
    taps: Mapping[int, int]
    life: Life
    clock: GuestClock
    clock_offset: ClockOffset | None

    def in_use(self) -> bool:
        """Whether somebody waits on one of its shells."""
        return self.shell.lock.locked() or self.spares.in_use()

    async def watch(self) -> None:
        """Watch that it does not hang, as ``Life.watch`` says; returns when it is gone."""
        consoles = [self.shell.console, self.control.console]
        await self.life.watch(self.control, lambda: [*consoles, *self.spares.opened], self.in_use)


@dataclass(frozen=True)
class _Terminals:
    """A guest's own names of its consoles and channels, and the command that starts a shell on a spare one."""

    path: Callable[[int], str]
    channel: Callable[[str], str]
    starting: Callable[[str], str]


# See guest-images/README.md. The keeper of a console outlives this command.
_MACHINE_TERMINALS = _Terminals(
    path=lambda index: f"/dev/hvc{index}",
    channel=channel_device,
    starting=lambda path: f"setsid /etc/console {path.removeprefix('/dev/')} </dev/null >/dev/null 2>&1 &",
)
_CONTAINER_TERMINALS = _Terminals(
    path=lambda index: f"/dev/pts/{index}",
    channel=lambda name: "",  # Its shells have it open.
    starting=lambda path: "kill -USR1 1",
)


class GuestStarter(Spawner, ContainerStarter, Protocol):
    """Starts machines and containers in the Run."""


def patience_of(accel: str, guests: int) -> float:
    """Factor on our own time-outs: emulated processors are slower, and many guests share the cores.

    Args:
        accel: ``kvm``, ``tcg``, or empty for a container.
        guests: How many there are in all.
    """
    return (TCG_FACTOR if accel == "tcg" else 1.0) * max(1.0, guests / len(os.sched_getaffinity(0)))


@asynccontextmanager
async def open_guest(
    plan: GuestPlan,
    number: int,
    *,
    starter: GuestStarter,
    files: ImageFiles | None,
    accel: str,
    nets: Sequence[int],
    patience: float,
    directory: Path,
    configure: Configure,
    warn: Callable[[str], None],
    outputs: Callable[[], Output],
) -> AsyncIterator[BootedGuest]:
    """Start a guest and wait until it is up and configured; leaving ends it.

    Args:
        plan: What to build.
        number: Of its console at the simulator.
        starter: Starts it in the Run.
        files: The image's, None where the node names its own.
        accel: ``kvm`` or ``tcg``; empty for a container.
        nets: Descriptors of its interfaces' far ends, in order; none for a container, which has taps of its own.
        patience: Factor on our own time-outs.
        directory: The run's.
        configure: The experiment's word on the guest's configuration.
        warn: Told what the guest lacks on this computer.
        outputs: Makes what takes the output of a command.

    Raises:
        GuestExitedError: it ended while it booted.
        GuestBootTimeout: it did not answer in time.
        GuestError: its configuration failed.
    """
    async with AsyncExitStack() as stack:
        taps: Mapping[int, int] = {}
        machine: Machine
        if plan.type == "container":
            machine = container = await stack.enter_async_context(open_container(plan, starter=starter))
            taps = container.taps
            if container.writing == "none":
                warn(f"{plan.node}: this kernel refuses overlays, so only /tmp, /run and the like can be written")
        else:
            machine = await stack.enter_async_context(
                open_qemu(
                    plan,
                    spawner=starter,
                    kernel=Path(plan.kernel) if plan.kernel else files.kernel if files else None,
                    initrd=Path(plan.initrd) if plan.initrd else files.initrd if files else None,
                    accel=accel,
                    nets=nets,
                    directory=directory,
                )
            )

        life = Life(plan.node, machine, patience)
        consoles = {}
        # The consoles are closed before the machine, which owns their descriptors.
        for name, suffix in (("control", ".control"), ("shell", "")):
            log = directory / "console" / f"{plan.node}{suffix}.log"
            console = Console(
                machine.consoles[name],
                channel=machine.channels[name],
                node=plan.node,
                log=log,
                explain=life.ended,
            )
            consoles[name] = await stack.enter_async_context(console)
        terminals = _CONTAINER_TERMINALS if plan.type == "container" else _MACHINE_TERMINALS
        control = Shell(consoles["control"], channel=terminals.channel("control"), patience=patience)
        # What left-behind processes write goes to the control console, and so to its log and no other command's output.
        shell = Shell(
            consoles["shell"],
            number=number,
            channel=terminals.channel("shell"),
            stray=terminals.path(1),
            control=control,
            patience=patience,
            outlived=life.outlived,
            outputs=outputs,
        )
        try:
            for each in (control, shell):
                await each.synchronize(BOOT_TIMEOUT_S * patience)
        except ConsoleError as error:
            raise GuestBootTimeout(
                f"{plan.node} did not come up within {BOOT_TIMEOUT_S * patience:g} s",
                node=plan.node,
                hint=f"what it said is in {directory / 'console' / plan.node}.*log",
            ) from error
        clock = GuestClock(None if plan.type == "container" else control, patience=patience)
        offsets: list[ClockOffset] = []
        failure: QemunetError | None = None

        async def set_clock() -> None:
            with trio.move_on_after(CLOCK_TIMEOUT_S * patience):
                try:
                    offsets.append(await clock.sync())
                except GuestError as error:
                    warn(f"{error.message}; it keeps its own time")

        # Side by side: the clock is mostly waited for. The error is carried past the nursery, which would wrap it.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(set_clock)
            try:
                await _configure(shell, "its configuration", configuration_script(plan))
                wanted = configure(plan)
                if wanted:
                    await _configure(shell, "the experiment's configure()", wanted)
            except QemunetError as error:
                failure = error
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        spares = SpareShells(
            plan.node,
            [
                SpareConsole(terminals.path(index), fd, machine.channels[name], terminals.channel(name))
                for index, (name, fd) in enumerate(machine.consoles.items())
                if index > 1
            ],
            starting=terminals.starting,
            stray=terminals.path(1),
            control=control,
            stack=stack,
            directory=directory / "console",
            life=life,
            outputs=outputs,
            patience=patience,
        )
        clock_offset = offsets[0] if offsets else None
        yield BootedGuest(plan, shell, machine.consoles["shell"], control, spares, taps, life, clock, clock_offset)


async def _configure(shell: Shell, what: str, script: str) -> None:
    async with shell.lock:
        armed = await shell.arm(script)
        armed.fire()
        ended = await armed.ended()
    if ended.exit_status != 0:
        said = ended.output.decode("utf-8", "replace").strip()
        raise GuestError(
            f"{shell.node}: {what} ended with status {ended.exit_status}: {said}",
            node=shell.node,
            hint="its image must offer what that needs, or the experiment bring its own configure(node)",
        )

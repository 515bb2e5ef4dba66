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
from qemunet.guest.container import open_container
from qemunet.guest.images import ImageFiles
from qemunet.guest.output import Output
from qemunet.guest.qemu import open_qemu
from qemunet.guest.shell import Shell
from qemunet.plan.model import GuestPlan
from qemunet.process import ContainerStarter, Spawner
from qemunet.testbed.life import Life, Machine
from qemunet.testbed.shells import GuestShells, open_shells

BOOT_TIMEOUT_S = 30.0
"""A guest under KVM with a core of its own is up within this time, or never."""

CLOCK_TIMEOUT_S = 5.0
"""A guest's clock is set within this time, times its patience, or left as it is."""

FOREIGN_FACTOR = 3.0
"""How much longer a machine made elsewhere may boot: it starts services, and asks who is there."""

TCG_FACTOR = 4.0
"""How much longer our own time-outs are where QEMU emulates the processor."""

Configure = Callable[[GuestPlan], str | None]
"""A command for a guest, run on it before time 0, or None."""


@dataclass(frozen=True)
class BootedGuest:
    """A guest that is up and configured.

    Attributes:
        plan: What it was built from.
        shells: Its shells; ``shell.number`` is its console's number at the simulator.
        console_fd: Where the simulator types.
        emulator: Its QEMU, by process id in the Run; 0 for a container.
        first_process: A container's PID 1, as it is called here; None for a machine, or if that cannot be seen.
        taps: A container's interfaces, by number of the door.
        life: Whether it lives.
        clock: Its wall clock.
        clock_offset: How far that was from the host's when the guest was up; None if it could not be measured or set.
    """

    plan: GuestPlan
    shells: GuestShells
    console_fd: int
    emulator: int
    first_process: int | None
    taps: Mapping[int, int]
    life: Life
    clock: GuestClock
    clock_offset: ClockOffset | None

    @property
    def shell(self) -> Shell:
        """What its commands run on."""
        return self.shells.shell

    async def watch(self) -> None:
        """Watch that it does not hang, as ``Life.watch`` says; returns when it is gone, or if it cannot be asked."""
        if self.shells.control is not None:
            await self.life.watch(self.shells.control, lambda: self.shells.consoles, self.shells.in_use)


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
        first_process: int | None = None
        machine: Machine
        if plan.type == "container":
            machine = container = await stack.enter_async_context(open_container(plan, starter=starter))
            taps = container.taps
            first_process = container.first_process
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
        # The consoles are closed before the machine, which owns their descriptors.
        shells = await open_shells(
            plan, machine, life, number=number, directory=directory, outputs=outputs, patience=patience, stack=stack
        )
        boot_s = BOOT_TIMEOUT_S * patience * (FOREIGN_FACTOR if plan.console == "serial" else 1.0)
        try:
            await shells.synchronize(boot_s)
        except ConsoleError as error:
            raise GuestBootTimeout(
                f"{plan.node} did not come up within {boot_s:g} s: {error.message}",
                node=plan.node,
                hint=error.hint or f"what it said is in {directory / 'console' / plan.node}.*log",
            ) from error
        shell = shells.shell
        clock = GuestClock(None if plan.type == "container" else shells.helper, patience=patience)
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
        clock_offset = offsets[0] if offsets else None
        emulator = 0 if plan.type == "container" else machine.process.pid
        yield BootedGuest(
            plan, shells, machine.consoles["shell"], emulator, first_process, taps, life, clock, clock_offset
        )


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

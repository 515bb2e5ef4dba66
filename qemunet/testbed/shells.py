"""The shells of one guest: where its consoles are, what stands beside them, and how they come to help each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from qemunet.errors import ConsoleError
from qemunet.guest.console import Console
from qemunet.guest.login import Login
from qemunet.guest.output import Output
from qemunet.guest.shell import Shell
from qemunet.plan.model import GuestPlan, channel_device
from qemunet.testbed.life import Life, Machine
from qemunet.testbed.spares import SpareConsole, SpareShells


@dataclass(frozen=True)
class GuestShells:
    """The shells of one guest.

    Attributes:
        shell: For the experiment's commands.
        control: The one beside it that helps it; None where the guest has a single console.
        spares: Further ones; likewise.
    """

    shell: Shell
    control: Shell | None
    spares: SpareShells | None

    @property
    def helper(self) -> Shell:
        """What small questions are asked of, beside the experiment's commands if that can be."""
        return self.control or self.shell

    @property
    def consoles(self) -> list[Console]:
        """All that are open."""
        always = [each.console for each in (self.shell, self.control) if each is not None]
        return always if self.spares is None else [*always, *self.spares.opened]

    def in_use(self) -> bool:
        """Whether somebody waits on one of them."""
        return self.shell.lock.locked() or (self.spares is not None and self.spares.in_use())

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shell]:
        """A further shell that is nobody else's while the context lasts; waits while all are in use.

        Raises:
            ConsoleError, GuestExitedError: it cannot be had.
        """
        if self.spares is None:
            raise ConsoleError(
                f"{self.shell.node} has a single console, so no second shell can be opened",
                node=self.shell.node,
                hint="an image with virtio consoles (guest-images/README.md) has more",
            )
        async with self.spares.open() as shell:
            yield shell

    @asynccontextmanager
    async def for_copies(self) -> AsyncIterator[Shell]:
        """A shell, locked, that copies can go over: beside the others, or between the commands of the only one."""
        async with AsyncExitStack() as stack:
            shell = self.shell if self.spares is None else await stack.enter_async_context(self.spares.open())
            async with shell.lock:
                yield shell

    async def synchronize(self, deadline_s: float) -> None:
        """Wait until they answer.

        Raises:
            ConsoleError, GuestExitedError: they do not.
        """
        for each in (self.control, self.shell):
            if each is not None:
                await each.synchronize(deadline_s)


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
    # It goes into the background by itself: what a shell puts there ignores ^C and ^\\, and so would all in it.
    starting=lambda path: f"exec setsid /etc/console {path.removeprefix('/dev/')} </dev/null >/dev/null 2>&1",
)
_CONTAINER_TERMINALS = _Terminals(
    path=lambda index: f"/dev/pts/{index}",
    channel=lambda name: "",  # Its shells have it open.
    starting=lambda path: "kill -USR1 1",
)


async def open_shells(
    plan: GuestPlan,
    machine: Machine,
    life: Life,
    *,
    number: int,
    directory: Path,
    outputs: Callable[[], Output],
    patience: float,
    stack: AsyncExitStack,
) -> GuestShells:
    """Open a guest's consoles; whether shells answer there is not asked yet.

    Args:
        plan: Of the guest.
        machine: What it runs in.
        life: Whether it lives.
        number: Of its first console at the simulator.
        directory: The run's.
        outputs: Makes what takes the output of a command.
        patience: Factor on our own time-outs.
        stack: Closes the consoles.
    """
    logs = directory / "console"

    async def opened(name: str, suffix: str = "") -> Console:
        return await stack.enter_async_context(
            Console(
                machine.consoles[name],
                channel=machine.channels.get(name),
                noisy=plan.console == "serial",
                node=plan.node,
                log=logs / f"{plan.node}{suffix}.log",
                explain=life.ended,
            )
        )

    if plan.console == "serial":
        login = Login(plan.user or "root", plan.password)
        shell = Shell(
            await opened("shell"),
            number=number,
            login=login,
            patience=patience,
            outlived=life.outlived,
            outputs=outputs,
        )
        return GuestShells(shell, None, None)
    terminals = _CONTAINER_TERMINALS if plan.type == "container" else _MACHINE_TERMINALS
    control = Shell(await opened("control", ".control"), channel=terminals.channel("control"), patience=patience)
    # What left-behind processes write goes to the control console, and so to its log and no other command's output.
    shell = Shell(
        await opened("shell"),
        number=number,
        channel=terminals.channel("shell"),
        terminal=terminals.path(0),
        stray=terminals.path(1),
        control=control,
        patience=patience,
        outlived=life.outlived,
        outputs=outputs,
    )
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
        directory=logs,
        life=life,
        outputs=outputs,
        patience=patience,
    )
    return GuestShells(shell, control, spares)

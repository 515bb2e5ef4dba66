"""Further shells of a guest, on consoles that stand ready for copies and for ``open()``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from qemunet.guest.console import Console
from qemunet.guest.output import Output
from qemunet.guest.shell import Shell
from qemunet.testbed.life import Life


@dataclass(frozen=True)
class SpareConsole:
    """A console that stands ready.

    Attributes:
        tty: The guest's name of its terminal.
        descriptor: Ours of that.
        channel: Our descriptor of the channel beside it.
        channel_device: As ``Shell`` takes it.
    """

    tty: str
    descriptor: int
    channel: int
    channel_device: str


class SpareShells:
    """The spare consoles of one guest; a shell is started on one when it is first wanted, and then kept.

    Args:
        node: The guest's name.
        consoles: Those that there are.
        starting: The command that makes the guest start a shell on a terminal, by the terminal's name.
        stray: Terminal of the guest that takes what left-behind processes write.
        control: Its control shell, which starts the others.
        stack: What is opened here is closed with it, before the guest.
        directory: Of the consoles' logs.
        life: Whether the guest lives.
        outputs: Makes what takes the output of a command.
        patience: Factor on our own time-outs.

    Attributes:
        opened: The consoles that a shell was started on.
    """

    def __init__(
        self,
        node: str,
        consoles: Sequence[SpareConsole],
        *,
        starting: Callable[[str], str],
        stray: str,
        control: Shell,
        stack: AsyncExitStack,
        directory: Path,
        life: Life,
        outputs: Callable[[], Output],
        patience: float,
    ) -> None:
        self._node = node
        self._consoles = list(consoles)
        self._starting = starting
        self._stray = stray
        self._control = control
        self._stack = stack
        self._directory = directory
        self._life = life
        self._outputs = outputs
        self._patience = patience
        self._connected: list[tuple[SpareConsole, Shell]] = []
        self._idle: list[Shell] = []
        self._room = trio.Semaphore(len(consoles))
        self._all = len(consoles)
        self.opened: list[Console] = []

    def in_use(self) -> bool:
        """Whether somebody has one, or waits for it."""
        return self._room.value < self._all

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shell]:
        """A shell that is nobody else's while the context lasts; waits while all are in use.

        Raises:
            ConsoleError, GuestExitedError: it cannot be had.
        """
        async with self._room:
            again = bool(self._idle)
            shell = self._idle.pop() if again else await self._start()
            try:
                if again:  # Whoever had it before may have left its terminal in any mode.
                    await shell.mend_from_outside()
                yield shell
            finally:
                self._idle.append(shell)

    async def _start(self) -> Shell:
        """Start a shell on another console; whoever gives up meanwhile leaves it to the next."""
        if not self._connected:
            self._connected.append(await self._connect())
        spare, shell = self._connected.pop()
        fired = False
        try:
            async with self._control.lock:
                armed = await self._control.arm(self._starting(spare.tty))
                armed.fire()
                fired = True
                # A second keeper must not get the terminal because the first one was not waited for.
                with trio.CancelScope(shield=True):
                    with trio.move_on_after(self._control.reply_s):
                        await armed.ended()
                        return shell
                    await armed.stop()
        finally:
            if not fired:
                self._connected.append((spare, shell))
        return shell  # Whether it has started after all, its answer shows.

    async def _connect(self) -> tuple[SpareConsole, Shell]:
        spare = self._consoles.pop()
        log = self._directory / f"{self._node}.{spare.tty.removeprefix('/dev/').replace('/', '')}.log"
        console = Console(spare.descriptor, channel=spare.channel, node=self._node, log=log, explain=self._life.ended)
        with trio.CancelScope(shield=True):
            await self._stack.enter_async_context(console)
        self.opened.append(console)
        return spare, Shell(
            console,
            channel=spare.channel_device,
            terminal=spare.tty,
            control=self._control,
            stray=self._stray,
            patience=self._patience,
            outlived=self._life.outlived,
            outputs=self._outputs,
        )

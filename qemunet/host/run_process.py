"""A process of the Run, as the controller sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from qemunet.errors import HostError


class RunProcess:
    """A process that the Run's init started; implements ``process.Process``. Made by RunInit.

    Args:
        name: What it is, for messages.
        argv: As it was started.
        pid: Inside the Run's PID namespace.
        send_signal: Delivers a signal to its process group.
        death: The error for who waits when the init has died.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        pid: int,
        *,
        send_signal: Callable[[RunProcess, int], Awaitable[None]],
        death: Callable[[], HostError],
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self._pid = pid
        self._send_signal = send_signal
        self._death = death
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
            raise self._death()
        return self._returncode

    async def kill(self, signal: int = 9) -> None:
        """Send a signal to its process group; nothing happens if it has ended."""
        if not self._done.is_set():
            await self._send_signal(self, signal)

    def ended(self, status: int | None) -> None:
        """Called by RunInit when it has ended; None if nobody can say how."""
        self._returncode = status
        self._done.set()

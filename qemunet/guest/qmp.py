"""QMP, QEMU's control channel, for trio: commands and events of one machine.

qemu.qmp's synchronous front end runs its own loop for as long as one of its calls lasts. Each call is made in a worker
thread, one at a time, under a limiter of this machine's own, so that no number of machines starves another.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio
from qemu.qmp import QMPError
from qemu.qmp.legacy import QEMUMonitorProtocol

_T = TypeVar("_T")

_COMMAND_TIMEOUT_S = 20.0
_LAST_WAIT_S = 0.05

# What goes wrong on the channel is reported by exceptions; the library would also print it.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class QmpFailed(Exception):
    """A command that QEMU refused or did not answer."""


@dataclass(frozen=True)
class Event:
    """An event as QEMU sent it.

    Attributes:
        time_s: Seconds since the epoch, by the host's clock.
    """

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    time_s: float = 0.0


class Qmp:
    """The control channel of one machine; made by ``open``."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self._connection = connection.dup()
        self._limiter = trio.CapacityLimiter(1)
        self._loop = asyncio.new_event_loop()
        # The front end takes the current thread's loop, which another machine might use as well.
        asyncio.set_event_loop(self._loop)
        try:
            self._protocol = QEMUMonitorProtocol(connection, nickname=name)
        finally:
            asyncio.set_event_loop(None)
        self._protocol.settimeout(_COMMAND_TIMEOUT_S)

    @classmethod
    async def open(cls, connection: socket.socket, name: str) -> Qmp:
        """Take over our end of the channel, which ``close`` closes; nothing is sent yet.

        Args:
            connection: Our end.
            name: For log messages.
        """
        # In a worker thread, as the caller's may have an asyncio loop running (a notebook's).
        return await trio.to_thread.run_sync(cls, connection, name)

    async def connect(self) -> None:
        """Wait for QEMU's greeting and answer it; ends at once when QEMU does.

        Raises:
            QmpFailed: QEMU has closed the channel.
        """
        await self._call(self._protocol.connect)

    async def execute(self, command: str, arguments: Mapping[str, Any]) -> Any:
        """Run a command and return its result.

        Raises:
            QmpFailed: It was refused, or the channel is closed.
        """
        return await self._call(functools.partial(self._protocol.cmd, command, **arguments))

    async def events(self) -> list[Event]:
        """The events that came since the last call, without waiting."""
        raw = await self._call(self._protocol.get_events)
        return [_event(each) for each in raw]

    async def last_events(self) -> list[Event]:
        """The events that came before QEMU closed the channel."""
        last: list[Event] = []
        with suppress(QmpFailed):
            while True:
                raw = await self._call(functools.partial(self._protocol.get_events, _LAST_WAIT_S))
                last += [_event(each) for each in raw]
        return last

    async def readable(self) -> bool:
        """Wait until there is something to read; False if QEMU has closed the channel."""
        await trio.lowlevel.wait_readable(self._connection.fileno())
        try:
            return bool(self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True  # taken meanwhile by a command
        except OSError:
            return False

    async def close(self) -> None:
        """Close the channel; never fails."""
        try:
            with suppress(QmpFailed):
                await self._call(self._protocol.close)
        finally:
            self._connection.close()
            if not self._loop.is_running():
                self._loop.close()

    async def _call(self, function: Callable[[], _T]) -> _T:
        try:
            return await trio.to_thread.run_sync(function, limiter=self._limiter)
        except TimeoutError as error:
            raise QmpFailed(f"no answer within {_COMMAND_TIMEOUT_S:g} s") from error
        except (QMPError, EOFError, OSError) as error:
            raise QmpFailed(str(error) or type(error).__name__) from error


def _event(raw: Mapping[str, Any]) -> Event:
    time = raw.get("timestamp", {})
    return Event(raw["event"], raw.get("data", {}), time.get("seconds", 0) + time.get("microseconds", 0) / 1e6)

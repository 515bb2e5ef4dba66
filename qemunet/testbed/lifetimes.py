"""Many context managers, opened and closed side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import trio

_T = TypeVar("_T")


class Lifetimes:
    """Holds context managers open, each in a task of its own; made by ``open_lifetimes``."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._closing = trio.Event()

    async def enter(self, context: AbstractAsyncContextManager[_T]) -> _T:
        """Open a context manager, which stays open until all are closed; returns what it gives."""
        value: _T = await self._nursery.start(self._hold, context)
        return value

    async def _hold(
        self, context: AbstractAsyncContextManager[_T], task_status: trio.TaskStatus[_T] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with context as value:
            task_status.started(value)
            # Shielded: when a run is cancelled, what stands on this is still brought down first, in order.
            with trio.CancelScope(shield=True):
                await self._closing.wait()

    def close(self) -> None:
        """Let all of them close."""
        self._closing.set()


@asynccontextmanager
async def open_lifetimes() -> AsyncIterator[Lifetimes]:
    """A place to open context managers in; leaving closes all of them at the same time."""
    async with trio.open_nursery() as nursery:
        lifetimes = Lifetimes(nursery)
        try:
            yield lifetimes
        finally:
            lifetimes.close()

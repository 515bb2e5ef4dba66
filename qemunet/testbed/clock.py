"""Simulation time, as Tasks know it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from qemunet.errors import ConsoleError, SimulationError
from qemunet.guest.clock import unix_s
from qemunet.simulation.client import Firing, Simulation

#: A firing cannot be taken back, so the simulator is told of it no earlier than this, in seconds.
_AHEAD_S = 0.25
#: So late a simulator that was told is not waited for any more by who has given up, in seconds.
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class _Firing:
    """What ``tasks.protocols.Clock.fire`` returns."""

    at_s: float
    written_ns: Sequence[int]


class SimulationClock:
    """Simulation time as Tasks know it (``tasks.protocols.Clock``), over the simulator's own clock."""

    def __init__(self, simulation: Simulation, origin_ns: int, nodes: Mapping[int, str]) -> None:
        self._simulation = simulation
        self._origin_ns = origin_ns
        # Once and for all: a step of the host's realtime clock would move every time stamp that was taken before.
        self._origin_unix_s = unix_s(origin_ns)
        self._nodes = nodes

    def now_s(self) -> float:
        """Simulation time, in seconds."""
        return self.to_simulation_s(time.monotonic_ns())

    def to_simulation_s(self, host_ns: int) -> float:
        """Simulation time at an instant of the host's monotonic clock."""
        return (host_ns - self._origin_ns) / 1e9

    def at_s(self, unix_time_s: float) -> float:
        """Simulation time at a unix time, both in seconds."""
        return unix_time_s - self._origin_unix_s

    def unix_time_s(self, at_s: float) -> float:
        """Unix time at a simulation time, both in seconds."""
        return self._origin_unix_s + at_s

    async def sleep_until(self, at_s: float) -> None:
        """Wait until a simulation time."""
        await trio.sleep(max(0.0, at_s - self.now_s()))

    async def fire(self, consoles: Sequence[int], *, at_s: float | None) -> _Firing:
        """Let the simulator type a newline at each console, in one event.

        Raises:
            ConsoleError: one of them takes nothing.
        """
        firing = await self._fire(consoles, at_s)
        for console, why in firing.failures.items():
            node = self._nodes[console]
            raise ConsoleError(f"the console of {node} takes no key stroke: {why}", node=node)
        return _Firing(firing.at_ns / 1e9, firing.written_ns)

    async def _fire(self, consoles: Sequence[int], at_s: float | None) -> Firing:
        """Have it fired; whoever gives up meanwhile knows whether it has been, and no later command gets the newline."""
        if at_s is None:
            return await self._simulation.fire(consoles)
        await self.sleep_until(at_s - _AHEAD_S)
        with trio.CancelScope(shield=True), trio.move_on_after(_AHEAD_S + _PATIENCE_S):
            return await self._simulation.fire(consoles, round(at_s * 1e9))
        await trio.lowlevel.checkpoint()
        raise SimulationError(f"the simulator is {_PATIENCE_S:g} s late with a Task's start")

    async def arrivals(self) -> Mapping[int, int]:
        """When the consoles fired last were first heard of, as ``Simulation.arrivals``."""
        return await self._simulation.arrivals()

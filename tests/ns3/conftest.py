"""What the tests of the ns-3 worker share: a real worker over real sockets, and test programs as its guests."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from qemunet.plan.model import EndPlan, Impairments, LinkPlan, SimulationPlan
from qemunet.simulation.client import ExtendScript, Simulation, open_simulation
from tests.spawner import LocalSpawner


class Port:
    """A test's end of a door: what a guest's network card would be."""

    def __init__(self, sock: trio.socket.SocketType, mac: bytes) -> None:
        self.sock = sock
        self.mac = mac

    async def send(self, data: bytes) -> None:
        await self.sock.send(data)

    async def receive(self, *, timeout_s: float = 5) -> bytes:
        with trio.fail_after(timeout_s):
            return await self.sock.recv(65536)

    async def receive_all(self, *, quiet_s: float = 0.3) -> list[bytes]:
        """Everything until nothing comes for a while."""
        frames: list[bytes] = []
        with trio.move_on_after(quiet_s) as scope:
            while True:
                frames.append(await self.sock.recv(65536))
                scope.deadline = trio.current_time() + quiet_s
        return frames


def mac(number: int) -> bytes:
    return bytes([2, 0, 0, 0, 0, number])


def frame(source: int, destination: int | None, payload: bytes, ethertype: int = 0x0800) -> bytes:
    target = b"\xff" * 6 if destination is None else mac(destination)
    return target + mac(source) + ethertype.to_bytes(2, "big") + payload


def end(node: str, door: int | None, interface: str = "eth0", *, pcap: bool = False) -> EndPlan:
    number = 0 if door is None else door
    return EndPlan(node, interface, mac(number).hex(":"), door, None if door is None else "native", pcap=pcap)


def wire(
    there: Impairments | None = None,
    back: Impairments | None = None,
    *,
    ends: tuple[EndPlan, ...] | None = None,
    mtu: int = 1500,
    pcap: bool = False,
) -> LinkPlan:
    there = there or Impairments()
    ends = ends or (end("a", 0, pcap=pcap), end("b", 1, pcap=pcap))
    return LinkPlan("a-b", "wire", ends, mtu, (there, back or there))


def plan(*links: LinkPlan, simulator: str = "qemunet", seed: int = 1) -> SimulationPlan:
    nodes = dict.fromkeys(each.node for link in links for each in link.ends)
    return SimulationPlan(simulator, seed, tuple(nodes), links)


@asynccontextmanager
async def simulate(
    simulation_plan: SimulationPlan,
    directory: Path,
    *,
    extend: ExtendScript | None = None,
    spawner: LocalSpawner | None = None,
    start: bool = True,
) -> AsyncIterator[tuple[Simulation, list[Port]]]:
    """A running simulation and a port at each of its doors, by number; started unless told otherwise."""
    doors = sorted(each.door for link in simulation_plan.links for each in link.ends if each.door is not None)
    async with open_simulation(
        simulation_plan, spawner=spawner or LocalSpawner(), directory=directory, extend=extend
    ) as simulation:
        ports: list[Port] = []
        for door in doors:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            with theirs:
                await simulation.attach_door(door, theirs.fileno())
            ours.setblocking(False)
            ports.append(Port(trio.socket.from_stdlib_socket(ours), mac(door)))
        try:
            if start:
                await simulation.start()
            yield simulation, ports
        finally:
            for port in ports:
                port.sock.close()

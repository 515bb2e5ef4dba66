"""Doors over stream sockets, as QEMU's are: each frame behind its length, in pieces of whatever size."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from qemunet.simulation.client import Simulation
from tests.ns3.conftest import frame, plan, simulate, wire


def behind_length(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class StreamPort:
    """A test's end of a door: what QEMU would be."""

    def __init__(self, sock: socket.socket) -> None:
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._buffer = bytearray()

    async def send(self, *frames: bytes) -> None:
        await self.stream.send_all(b"".join(map(behind_length, frames)))

    async def receive(self) -> bytes:
        with trio.fail_after(5):
            while len(self._buffer) < 4 or len(self._buffer) < 4 + int.from_bytes(self._buffer[:4], "big"):
                data = await self.stream.receive_some(65536)
                assert data, "the door was closed"
                self._buffer += data
        end = 4 + int.from_bytes(self._buffer[:4], "big")
        data = bytes(self._buffer[4:end])
        del self._buffer[:end]
        return data


async def attach(simulation: Simulation, door: int) -> StreamPort:
    ours, theirs = socket.socketpair()
    with theirs:
        await simulation.attach_door(door, theirs.fileno())
    return StreamPort(ours)


@asynccontextmanager
async def simulate_streams(directory: Path) -> AsyncIterator[tuple[Simulation, StreamPort, StreamPort]]:
    async with simulate(plan(wire()), directory) as (simulation, _):
        a, b = [await attach(simulation, door) for door in (0, 1)]
        async with a.stream, b.stream:
            yield simulation, a, b


def test_frames_in_pieces_and_many_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        chance = random.Random(1)
        frames = [frame(0, 1, index.to_bytes(2, "big") + bytes(chance.randrange(1400))) for index in range(2000)]
        data = b"".join(map(behind_length, frames))

        async def write(a: StreamPort) -> None:
            # First bytes one by one, then pieces that know nothing of frames.
            at = 0
            while at < len(data):
                size = 1 if at < 200 else chance.choice([1, 3, 100, 5000, 100_000])
                await a.stream.send_all(data[at : at + size])
                at += size

        async with simulate_streams(tmp_path) as (simulation, a, b), trio.open_nursery() as nursery:
            nursery.start_soon(write, a)
            for each in frames:
                assert await b.receive() == each
            await b.send(frame(1, 0, b"back"))
            assert await a.receive() == frame(1, 0, b"back")
            doors = (await simulation.counters()).doors
            assert (doors[0].in_frames, doors[1].out_frames, doors[0].in_malformed) == (2000, 2000, 0)

    trio.run(main)


def test_lengths_that_no_frame_has(tmp_path: Path) -> None:
    """Empty, short and giant ones, up to more than any buffer holds, are counted, and what follows them passes."""

    async def main() -> None:
        async with simulate_streams(tmp_path) as (simulation, a, b):
            sizes = [0, 1, 13, 1519, 9000, 65535, 131067, 131068, 131069, 500_000]
            for count, size in enumerate(sizes, start=1):
                await a.send(bytes(size), frame(0, 1, count.to_bytes(4, "big")))
                assert await b.receive() == frame(0, 1, count.to_bytes(4, "big"))
            door = (await simulation.counters()).doors[0]
            assert (door.in_frames, door.in_malformed) == (len(sizes), len(sizes))
            # A length of which nothing comes costs nobody anything but this door's guest.
            await a.stream.send_all(b"\xff\xff\xff\xff" + bytes(1000))
            await b.send(frame(1, 0, b"alive"))
            assert await a.receive() == frame(1, 0, b"alive")

    trio.run(main)


def test_guest_that_does_not_read_gets_whole_frames_later(tmp_path: Path) -> None:
    """The queue is bounded, drops are counted, and no frame is cut."""

    async def main() -> None:
        async with simulate_streams(tmp_path) as (simulation, a, b):
            for index in range(6000):
                await a.send(frame(0, 1, index.to_bytes(4, "big") + bytes(1000 + index % 400)))
            await b.send(frame(1, 0, b"alive"))
            assert await a.receive() == frame(1, 0, b"alive")
            while (counters := await simulation.counters()).doors[0].in_frames < 6000:
                await trio.lowlevel.checkpoint()
            dropped = counters.doors[1].out_dropped
            assert 0 < dropped < 6000
            last = -1
            for _ in range(6000 - dropped):
                data = await b.receive()
                index = int.from_bytes(data[14:18], "big")
                assert index > last
                assert data == frame(0, 1, index.to_bytes(4, "big") + bytes(1000 + index % 400))
                last = index
            assert (await simulation.counters()).doors[1].out_frames == 6000 - dropped

    trio.run(main)


@pytest.mark.parametrize("half", [False, True])
def test_guest_that_is_gone_and_comes_back(tmp_path: Path, half: bool) -> None:
    """In the middle of a frame; half of a goodbye is one as well."""

    async def main() -> None:
        async with simulate_streams(tmp_path) as (simulation, a, b):
            await a.stream.send_all(behind_length(frame(0, 1, bytes(500)))[:100])
            await (a.stream.send_eof() if half else a.stream.aclose())
            while (await simulation.counters()).doors[0].out_unreachable == 0:
                await b.send(frame(1, 0, bytes(100)))
            back = await attach(simulation, 0)
            async with back.stream:
                await back.send(frame(0, 1, b"again"))
                assert await b.receive() == frame(0, 1, b"again")
                await b.send(frame(1, 0, b"hello"))
                assert await back.receive() == frame(1, 0, b"hello")

    trio.run(main)

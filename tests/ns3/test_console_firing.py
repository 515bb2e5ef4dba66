"""Firing consoles of either kind: sockets, as QEMU's are, and terminals, as those of containers."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.ns3.conftest import plan, simulate, wire

_TERMINAL_BYTES = 4095
"""What a raw terminal keeps for its reader."""


class Line:
    """A console: where the simulation types, and the guest's end of it."""

    def __init__(self, kind: str) -> None:
        if kind == "socket":
            ours, theirs = socket.socketpair()
            self.fd, self.guest = ours.detach(), theirs.detach()
        else:
            self.fd, self.guest = os.openpty()
            tty.setraw(self.guest)
        os.set_blocking(self.guest, False)

    def read(self) -> bytes:
        """What has been typed and not yet read. A terminal hands it over in its own time, so this may be too early."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.guest, 65536)
        return b""

    def fill(self) -> None:
        """Type until it takes no more, and leave its descriptor blocking."""
        os.set_blocking(self.fd, False)
        self._push()
        while os.isatty(self.fd) and self._waiting_bytes() < _TERMINAL_BYTES:
            pass  # The kernel moves what was typed to the guest's end in its own time, which makes room again.
        self._push()
        os.set_blocking(self.fd, True)

    def _push(self) -> None:
        for size in (4096, 1):
            with contextlib.suppress(BlockingIOError):
                while os.write(self.fd, bytes(size)):
                    pass

    def _waiting_bytes(self) -> int:
        (count,) = struct.unpack("i", fcntl.ioctl(self.guest, termios.FIONREAD, bytes(4)))
        return int(count)

    def leave(self) -> None:
        """The guest's end goes away."""
        os.close(self.guest)
        self.guest = -1

    def close(self) -> None:
        for fd in (self.fd, self.guest):
            if fd >= 0:
                os.close(fd)


@contextlib.contextmanager
def lines(*kinds: str) -> Iterator[list[Line]]:
    opened = [Line(kind) for kind in kinds]
    try:
        yield opened
    finally:
        for line in opened:
            line.close()


async def typed(line: Line, count: int) -> bytes:
    """The next bytes typed at a console, ``count`` of them or more."""
    data = b""
    with trio.fail_after(10):
        while len(data) < count:
            await trio.lowlevel.wait_readable(line.guest)
            data += line.read()
    return data


@pytest.mark.parametrize("kind", ["socket", "terminal"])
def test_a_full_console_is_named_and_stalls_no_other(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        with lines(kind, kind, "socket", "terminal") as consoles:
            consoles[1].fill()
            async with simulate(plan(wire()), tmp_path) as (simulation, _):
                for number, line in enumerate(consoles):
                    await simulation.attach_console(number, line.fd)
                with trio.fail_after(10):
                    firing = await simulation.fire([0, 1, 2, 3])
                assert firing.failures == {1: os.strerror(errno.EAGAIN)}
                assert list(firing.written_ns) == sorted(firing.written_ns)
                for number in (0, 2, 3):
                    assert await typed(consoles[number], 2) == b" \n"

    trio.run(main)


@pytest.mark.parametrize("kind", ["socket", "terminal"])
def test_a_full_console_that_is_read_again_is_fired_again(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        with lines(kind) as (line,):
            line.fill()
            async with simulate(plan(wire()), tmp_path) as (simulation, _):
                await simulation.attach_console(0, line.fd)
                while (await simulation.fire([0])).failures:
                    line.read()
                with trio.fail_after(10):
                    while not (await typed(line, 1)).endswith(b"\n"):
                        pass

    trio.run(main)


def test_a_console_whose_guest_has_gone_is_named(tmp_path: Path) -> None:
    """A terminal takes key strokes although nobody has it open; that its guest has gone is seen by reading it."""

    async def main() -> None:
        with lines("socket", "socket", "terminal", "terminal") as consoles:
            async with simulate(plan(wire()), tmp_path) as (simulation, _):
                for number, line in enumerate(consoles):
                    await simulation.attach_console(number, line.fd)
                assert (await simulation.fire([0, 1, 2, 3])).failures == {}
                consoles[0].leave()
                consoles[2].leave()
                for _ in range(2):
                    assert (await simulation.fire([0, 1, 2, 3])).failures == {0: os.strerror(errno.EPIPE)}
                for number in (1, 3):
                    assert await typed(consoles[number], 6) == b" \n" * 3

    trio.run(main)


def test_a_console_replaced_while_a_firing_waits(tmp_path: Path) -> None:
    """The newline goes where the command stands, and the descriptor is not reused under the firing's hands."""

    async def main() -> None:
        with lines("terminal", "terminal") as (old, new):
            async with simulate(plan(wire()), tmp_path) as (simulation, _), trio.open_nursery() as nursery:
                await simulation.attach_console(0, old.fd)
                at_ns = (await simulation.fire([])).at_ns + 200_000_000
                nursery.start_soon(simulation.fire, [0], at_ns)
                # Answered after the request to fire has been taken in.
                await simulation.counters()
                await simulation.attach_console(0, new.fd)
                assert await typed(old, 2) == b" \n"
                await simulation.fire([0])
                assert await typed(new, 2) == b" \n"
                assert old.read() == b""

    trio.run(main)


def test_thousands_of_firings(tmp_path: Path) -> None:
    rounds = 3000

    async def main() -> None:
        with lines(*["socket", "terminal"] * 5) as consoles:
            async with simulate(plan(wire()), tmp_path) as (simulation, _):
                for number, line in enumerate(consoles):
                    await simulation.attach_console(number, line.fd)
                order = list(range(len(consoles)))
                last_ns = 0
                taken = [b""] * len(consoles)
                for _ in range(rounds):
                    firing = await simulation.fire(order)
                    assert firing.failures == {}
                    assert list(firing.written_ns) == sorted(firing.written_ns)
                    assert firing.written_ns[0] > last_ns
                    last_ns = firing.written_ns[-1]
                    order.append(order.pop(0))
                    for number, line in enumerate(consoles):
                        taken[number] += line.read()
                for number, line in enumerate(consoles):
                    missing = 2 * rounds - len(taken[number])
                    assert taken[number] + (await typed(line, missing)) == b" \n" * rounds

    trio.run(main)

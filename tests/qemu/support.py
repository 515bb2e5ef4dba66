"""What the tests of machines share: processes started here, plans by hand, and a shell's end of a console."""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from pathlib import Path

import trio

from qemunet.guest.images import ImageFiles, image_files
from qemunet.plan import make_plan
from qemunet.plan.model import GuestPlan
from qemunet.progress import PlainProgress
from qemunet.topology import parse_topology

BOOT_DEADLINE_S = 120
ARCHES = ("x86_64", "aarch64")


def guest_plan(text: str, directory: Path = Path("/")) -> GuestPlan:
    """The plan of the first guest of a topology."""
    return make_plan(parse_topology(text), seed=1, source_directory=directory).guests[0]


def tiny(arch: str) -> ImageFiles:
    """The image, built if need be."""
    return image_files("tiny", arch, progress=PlainProgress())


async def read_until(stream: trio.SocketStream, text: bytes) -> bytes:
    """What a console prints up to and with ``text``."""
    seen = b""
    with trio.fail_after(BOOT_DEADLINE_S):
        while text not in seen:
            data = await stream.receive_some()
            assert data, f"the console has ended after {seen!r}"
            seen += data
    return seen


def console(fd: int) -> trio.SocketStream:
    """A stream over a console; the machine's own descriptor stays open."""
    return trio.SocketStream(trio.socket.from_stdlib_socket(socket.socket(fileno=os.dup(fd))))


async def run_in(stream: trio.SocketStream, command: str) -> tuple[int, str]:
    """Run a command in a guest's shell: its status, and what it wrote."""
    await stream.send_all(f"({command}\n) </dev/null; s=$?; echo; echo status=$s.\n".encode())
    seen = ""
    while not (end := re.search(r"\nstatus=(\d+)\.\n$", seen)):
        seen += (await read_until(stream, b".\n")).decode()
    return int(end[1]), seen[: end.start()]


def alive(pid: int) -> bool:
    """Whether a process is there."""
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False

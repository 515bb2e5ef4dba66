"""What the controller and the Run's init say to each other: one JSON object a packet, descriptors beside it.

The socket is a SEQPACKET socketpair, so a packet is a whole message and an empty one is the end. A request has
``op`` and ``id``; its answer carries the same ``id`` and either its result or ``failure``. An ``event`` has no id.
"""

from __future__ import annotations

import array
import json
import os
import socket
from typing import Any, TypedDict

MAX_BYTES = 512 * 1024
"""Longest message. The kernel's own limit (the socket's send buffer) is usually lower and reported as EMSGSIZE."""

MAX_DESCRIPTORS = 250
"""Descriptors beside one message; the kernel takes 253."""

ANCILLARY_BYTES = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)

Message = dict[str, Any]
Ancillary = list[tuple[int, int, bytes]]


class Failure(TypedDict):
    """Why something was refused: ``what`` was tried, at which ``stage``, and what the kernel said."""

    stage: str
    what: str
    errno: int
    error: str


def failure_of(error: OSError, stage: str, what: str | None = None) -> Failure:
    """The Failure that an OSError stands for; ``what`` defaults to the file it names."""
    return {
        "stage": stage,
        "what": str(what or error.filename or ""),
        "errno": error.errno or 0,
        "error": error.strerror or str(error),
    }


def encode(message: Message) -> bytes:
    """The packet of a message."""
    return json.dumps(message, separators=(",", ":")).encode("utf-8", "surrogateescape")


def decode(packet: bytes) -> Message:
    """The message of a packet."""
    message: Message = json.loads(packet.decode("utf-8", "surrogateescape"))
    return message


def ancillary_of(descriptors: list[int]) -> list[tuple[int, int, bytes]]:
    """What sendmsg takes to pass descriptors on."""
    if not descriptors:
        return []
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())]


def descriptors_of(ancillary: Ancillary) -> list[int]:
    """The descriptors that came with a message."""
    numbers = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    return list(numbers)


def close_all(descriptors: list[int]) -> None:
    """Close descriptors that nobody owns any more."""
    for descriptor in descriptors:
        os.close(descriptor)

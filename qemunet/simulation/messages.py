"""The messages between the controller and the simulation's C++ loop, over one SOCK_SEQPACKET socket.

Each is a header and a body of fixed fields, little-endian, packed; ``qemunet/native/model/control-messages.h`` has the
same layouts and says what each means.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from qemunet.plan.model import DelayPart, Impairments

VERSION = 4
MAX_BYTES = 32768


class Type(enum.IntEnum):
    """What a message is."""

    ATTACH_DOOR = 1
    ATTACH_CONSOLE = 2
    START = 3
    FIRE = 4
    COUNTERS = 5
    SET_LINK = 6
    STOP = 7
    DEFINE_DELAY = 8
    ARRIVALS = 9
    READY = 64
    OK = 65
    STARTED = 66
    FIRED = 67
    LAG = 68
    DOORS = 69
    LINKS = 70
    ERROR = 71
    REPORT = 72
    FAILED = 73
    CHANGED = 74
    DEFINED = 75
    ARRIVED = 76
    EXCEEDED = 80


class Change(enum.IntFlag):
    """What SET_LINK changes."""

    THERE = 1
    BACK = 2
    UP = 4
    DOWN = 8


#: These precede the last reply to a request; all others are last replies.
PARTIAL = frozenset({Type.LAG, Type.DOORS, Type.LINKS, Type.REPORT})

_HEADER = struct.Struct("<HHI")
_NUMBER = struct.Struct("<I")
_CONSOLE = struct.Struct("<Ii")
_FIRE = struct.Struct("<qI")
_IMPAIRMENTS = struct.Struct("<QqqdddII")
_SET_LINK = struct.Struct("<qII")
_STARTED = struct.Struct("<q")
_FIRED = struct.Struct("<qII")
_FIRED_CONSOLE = struct.Struct("<Iiq")
_ARRIVED_CONSOLE = struct.Struct("<Iq")
_LAG = struct.Struct("<8Q")
_PAGE = struct.Struct("<I")
_DOOR = struct.Struct("<II7Q")
_LINK = struct.Struct("<II12Q")
_CHANGED = struct.Struct("<q")
_EXCEEDED = struct.Struct("<3Q")
_DEFINE_DELAY = struct.Struct("<III")
_DELAY_PART = struct.Struct("<IIdddqq")
_DELAY_KINDS = {"uniform": 0, "normal": 1, "lognormal": 2}
_DELAY_PARTS_A_MESSAGE = (MAX_BYTES - _HEADER.size - _DEFINE_DELAY.size) // _DELAY_PART.size


@dataclass(frozen=True)
class Message:
    """One message: its type, the id of the request it belongs to (0 for none), and its body."""

    type: Type
    id: int
    body: bytes


@dataclass(frozen=True)
class Lag:
    """How late events ran, in ns; ``max_at_ns`` is the simulation time of the latest one.

    Attributes:
        count: Events and heartbeats measured.
        events: Events that the simulator executed.
        cpu_ns: CPU time of the simulator so far, all its threads.
    """

    count: int
    p50_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int
    max_at_ns: int
    events: int
    cpu_ns: int


@dataclass(frozen=True)
class DoorCounters:
    """What passed a door since time 0; in is from the guest. Bytes are of whole frames without FCS."""

    in_frames: int
    in_bytes: int
    in_malformed: int
    out_frames: int
    out_bytes: int
    out_dropped: int
    out_unreachable: int


@dataclass(frozen=True)
class LinkCounters:
    """What passed one direction of a wire or p2p link, or a whole csma channel, since time 0."""

    sent_frames: int
    sent_bytes: int
    delivered_frames: int
    delivered_bytes: int
    dropped_queue: int
    dropped_loss: int
    dropped_oversize: int
    dropped_collision: int
    dropped_protocol: int
    duplicated: int
    reordered: int
    dropped_down: int


@dataclass(frozen=True)
class Fired:
    """What came of a request to fire: simulation time of the event, and per console its errno and host time in ns."""

    at_ns: int
    late: bool
    consoles: tuple[int, ...]
    errors: tuple[int, ...]
    written_ns: tuple[int, ...]


def pack(type_: Type, id_: int, body: bytes = b"") -> bytes:
    """A whole message."""
    return _HEADER.pack(VERSION, type_, id_) + body


def unpack(data: bytes) -> Message:
    """Read a message.

    Raises:
        ValueError: it is none of this version.
    """
    if len(data) < _HEADER.size:
        raise ValueError(f"a message of {len(data)} bytes; a header has {_HEADER.size}")
    version, type_, id_ = _HEADER.unpack_from(data)
    if version != VERSION:
        raise ValueError(f"a message of version {version}, not {VERSION}")
    return Message(Type(type_), id_, data[_HEADER.size :])


def pack_number(number: int) -> bytes:
    """Body of ATTACH_DOOR."""
    return _NUMBER.pack(number)


def pack_console(number: int, guest: int) -> bytes:
    """Body of ATTACH_CONSOLE."""
    return _CONSOLE.pack(number, guest)


def pack_fire(at_ns: int, consoles: Sequence[int]) -> bytes:
    """Body of FIRE; ``at_ns`` 0 is as soon as possible."""
    return _FIRE.pack(at_ns, len(consoles)) + b"".join(_NUMBER.pack(console) for console in consoles)


def pack_impairments(impairments: Impairments, delay: int = 0) -> bytes:
    """The struct Impairments of the native part; ``delay`` is the number of its distribution, if it has one."""
    return _IMPAIRMENTS.pack(
        impairments.rate_bps or 0,
        impairments.delay_ns,
        impairments.jitter_ns,
        impairments.loss,
        impairments.duplicate,
        impairments.reorder,
        impairments.queue_frames,
        delay,
    )


def pack_delay(parts: Sequence[DelayPart]) -> list[bytes]:
    """The structs DelayPart of the native part."""
    packed = []
    for part in parts:
        if part.kind == "values":
            weights = part.weights or (1 / len(part.values_ns),) * len(part.values_ns)
            packed += [
                _DELAY_PART.pack(_DELAY_KINDS["uniform"], 0, part.weight * weight, value_ns, value_ns, 0, 0)
                for value_ns, weight in zip(part.values_ns, weights, strict=True)
            ]
        else:
            kind = _DELAY_KINDS[part.kind]
            packed.append(_DELAY_PART.pack(kind, 0, part.weight, part.first, part.second, part.min_ns, part.max_ns))
    return packed


def pack_define_delay(parts: Sequence[DelayPart]) -> list[bytes]:
    """Bodies of DEFINE_DELAY, one after the other; the reply to the last one is DEFINED."""
    packed = pack_delay(parts)
    bodies = []
    for first in range(0, len(packed), _DELAY_PARTS_A_MESSAGE):
        piece = packed[first : first + _DELAY_PARTS_A_MESSAGE]
        bodies.append(_DEFINE_DELAY.pack(len(packed), first, len(piece)) + b"".join(piece))
    return bodies


def pack_set_link(at_ns: int, link: int, changes: Change, there: bytes = b"", back: bytes = b"") -> bytes:
    """Body of SET_LINK; ``at_ns`` 0 is as soon as possible, ``there`` and ``back`` are packed impairments."""
    same = pack_impairments(Impairments())
    return _SET_LINK.pack(at_ns, link, changes) + (there or same) + (back or same)


def unpack_changed(body: bytes) -> int:
    """Body of CHANGED: simulation time in ns."""
    (at_ns,) = _CHANGED.unpack(body)
    return int(at_ns)


def unpack_exceeded(body: bytes) -> tuple[int, int, int]:
    """Body of EXCEEDED: how late an event ran, simulation time at which it was due, the hard limit, all in ns."""
    lag_ns, at_ns, limit_ns = _EXCEEDED.unpack(body)
    return int(lag_ns), int(at_ns), int(limit_ns)


def unpack_number(body: bytes) -> int:
    """Body of DEFINED."""
    (number,) = _NUMBER.unpack(body)
    return int(number)


def unpack_started(body: bytes) -> int:
    """CLOCK_MONOTONIC of time 0, in ns."""
    (origin_ns,) = _STARTED.unpack(body)
    return int(origin_ns)


def unpack_fired(body: bytes) -> Fired:
    """Body of FIRED."""
    at_ns, late, count = _FIRED.unpack_from(body)
    entries = list(_FIRED_CONSOLE.iter_unpack(body[_FIRED.size :]))
    if len(entries) != count:
        raise ValueError(f"{len(entries)} consoles in a message about {count}")
    return Fired(
        at_ns,
        bool(late),
        tuple(console for console, _, _ in entries),
        tuple(error for _, error, _ in entries),
        tuple(written_ns for _, _, written_ns in entries),
    )


def unpack_arrived(body: bytes) -> dict[int, int]:
    """Body of ARRIVED: host monotonic time, in ns, by console."""
    return dict(_ARRIVED_CONSOLE.iter_unpack(body[_PAGE.size :]))


def unpack_lag(body: bytes) -> Lag:
    """Body of LAG."""
    return Lag(*_LAG.unpack(body))


def unpack_doors(body: bytes) -> dict[int, DoorCounters]:
    """Body of DOORS: counters by number of the door."""
    return {entry[0]: DoorCounters(*entry[2:]) for entry in _DOOR.iter_unpack(body[_PAGE.size :])}


def unpack_links(body: bytes) -> dict[tuple[int, int], LinkCounters]:
    """Body of LINKS: counters by number of the link and direction."""
    return {(entry[0], entry[1]): LinkCounters(*entry[2:]) for entry in _LINK.iter_unpack(body[_PAGE.size :])}


def unpack_error(body: bytes) -> str:
    """Body of ERROR: its text."""
    return body[_NUMBER.size :].decode("utf-8", "replace")

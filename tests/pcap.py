"""Reads what a run recorded."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")


@dataclass(frozen=True)
class Recorded:
    """A frame, and the simulation time at which it passed."""

    at_ns: int
    data: bytes

    @property
    def number(self) -> int:
        """What the first four bytes behind the Ethernet header say."""
        return int.from_bytes(self.data[14:18], "big")


ETHERNET, PPP = 1, 9


def read_pcap(path: Path, link_type: int = ETHERNET) -> list[Recorded]:
    """All frames of a file with nanoseconds; a record that is cut off ends it."""
    content = path.read_bytes()
    magic, major, minor, _, _, snapshot, seen_type = _FILE.unpack_from(content)
    assert (magic, major, minor, snapshot, seen_type) == (0xA1B23C4D, 2, 4, 65535, link_type)
    frames = []
    position = _FILE.size
    while position + _RECORD.size <= len(content):
        seconds, nanoseconds, captured, length = _RECORD.unpack_from(content, position)
        position += _RECORD.size
        if position + captured > len(content):
            break
        assert captured == length
        assert nanoseconds < 1_000_000_000
        frames.append(Recorded(seconds * 1_000_000_000 + nanoseconds, content[position : position + captured]))
        position += captured
    return frames

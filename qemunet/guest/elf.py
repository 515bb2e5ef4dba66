"""The little of ELF that an image needs: what a program needs to run, and what a kernel module says of itself.

Files of any architecture are only read, never run.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB = 1, 5


@dataclass(frozen=True)
class Elf:
    """A program or shared library.

    Attributes:
        interpreter: Path of its dynamic loader, None for libraries and static programs.
        needed: Names of the shared libraries it is linked with.
    """

    interpreter: str | None
    needed: tuple[str, ...]


@dataclass(frozen=True)
class _Segment:
    type: int
    offset: int
    address: int
    size: int


def read_elf(data: bytes) -> Elf | None:
    """Read an ELF file's dynamic part; None where ``data`` is no ELF file.

    Raises:
        ValueError: It begins like one but is damaged.
    """
    if data[:4] != b"\x7fELF":
        return None
    try:
        return _read(data)
    except (struct.error, IndexError) as error:
        raise ValueError(f"damaged ELF file: {error}") from error


def module_info(data: bytes) -> dict[str, list[str]]:
    """The ``.modinfo`` of a kernel module: ``depends``, ``alias``, ``name``, … with their values.

    Raises:
        ValueError: It is no ELF file, or has none.
    """
    if data[:4] != b"\x7fELF":
        raise ValueError("no ELF file")
    try:
        section = _section(data, b".modinfo")
    except (struct.error, IndexError) as error:
        raise ValueError(f"damaged ELF file: {error}") from error
    info: dict[str, list[str]] = {}
    for entry in section.split(b"\0"):
        key, equals, value = entry.decode(errors="replace").partition("=")
        if equals:
            info.setdefault(key, []).append(value)
    return info


def _order(data: bytes) -> str:
    return ">" if data[5] == 2 else "<"


def _read(data: bytes) -> Elf:
    segments = _segments(data)
    interpreter = None
    for segment in segments:
        if segment.type == _PT_INTERP:
            interpreter = data[segment.offset : segment.offset + segment.size].rstrip(b"\0").decode()
    entry = struct.Struct(_order(data) + ("qQ" if data[4] == 2 else "iI"))
    needed: list[int] = []
    strings = None
    for segment in segments:
        if segment.type != _PT_DYNAMIC:
            continue
        for tag, value in entry.iter_unpack(
            data[segment.offset : segment.offset + segment.size // entry.size * entry.size]
        ):
            if tag == 0:
                break
            if tag == _DT_NEEDED:
                needed.append(value)
            elif tag == _DT_STRTAB:
                strings = _file_offset(segments, value)
    if needed and strings is None:
        raise ValueError("damaged ELF file: no string table")
    return Elf(interpreter, tuple(_text(data, (strings or 0) + offset) for offset in needed))


def _segments(data: bytes) -> list[_Segment]:
    order = _order(data)
    wide = data[4] == 2
    start = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    segments = []
    for index in range(count):
        if wide:
            type_, _, offset, address, _, length = struct.unpack_from(order + "IIQQQQ", data, start + index * size)
        else:
            type_, offset, address, _, length = struct.unpack_from(order + "IIIII", data, start + index * size)
        segments.append(_Segment(type_, offset, address, length))
    return segments


def _file_offset(segments: list[_Segment], address: int) -> int:
    for segment in segments:
        if segment.type == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise ValueError("damaged ELF file: an address outside of its segments")


def _section(data: bytes, name: bytes) -> bytes:
    order = _order(data)
    wide = data[4] == 2
    start = struct.unpack_from(order + ("Q" if wide else "I"), data, 40 if wide else 32)[0]
    size, count, names = struct.unpack_from(order + "HHH", data, 58 if wide else 46)
    layout = order + ("IIQQQQ" if wide else "IIIIII")
    headers = [struct.unpack_from(layout, data, start + index * size) for index in range(count)]
    table = headers[names][4]
    for header in headers:
        if _text(data, table + header[0]).encode() == name:
            return data[header[4] : header[4] + header[5]]
    raise ValueError(f"no section {name.decode()}")


def _text(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()

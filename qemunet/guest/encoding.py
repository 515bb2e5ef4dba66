"""A console that the kernel prints on as well: its messages are told apart, and encoded output is decoded exactly.

A message of the kernel is written as a whole, between any two bytes of what the terminal sends, with a time stamp in
brackets at its start and a newline at its end. Neither marks nor encoded output hold an opening bracket, so whatever
starts like a time stamp is a message. What still gets between (messages without time stamps, words to all users) is
found by the encoded lines' fixed length.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_MESSAGE = re.compile(rb"\[ {0,4}\d{1,9}\.\d{6}\][^\n]*\n")
#: The beginning of one whose end has not been read yet.
_BEGINNING = re.compile(rb"\[(?: {1,4}|(?: {0,4}\d{1,9}(?:\.(?:\d{1,5}|\d{6}(?:\][^\n]*)?)?)?))?\Z")
#: A message longer than this is none: the kernel's own limit is about 1,000.
_LONGEST_BYTES = 8192
#: Lines that are looked at for the beginning of one that was broken.
_MOST_BROKEN = 16


class MessageFilter:
    """Takes the kernel's messages out of a console's stream."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What is no message, of what has been read so far."""
        data = _MESSAGE.sub(b"", self._held + data)
        self._held = b""
        at = data.find(b"[")
        while at >= 0:
            if len(data) - at < _LONGEST_BYTES and _BEGINNING.match(data, at):
                self._held = data[at:]
                return data[:at]
            at = data.find(b"[", at + 1)
        return data


@dataclass(frozen=True)
class Encoding:
    """How a guest's program encodes: lines of a fixed length, but the last.

    Attributes:
        line: A line, whole or not.
        length: Characters of a whole line.
        decode: Makes bytes of a line; ValueError if it is none.
    """

    line: re.Pattern[bytes]
    length: int
    decode: Callable[[bytes], bytes]


def _from_base64(line: bytes) -> bytes:
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


ENCODINGS: Mapping[str, Encoding] = {
    "base64": Encoding(re.compile(rb"[A-Za-z0-9+/]+={0,2}"), 76, _from_base64),
    "od": Encoding(re.compile(rb"[ 0-9a-f]+"), 48, lambda line: bytes.fromhex(line.decode())),
}


class Decoder:
    """Decodes a command's output.

    Args:
        encoding: Name of the guest's encoder.
        terminator: What the guest writes behind the output, before it encodes it.

    Attributes:
        complete: The terminator was decoded: nothing more will come, and nothing before it is missing.
        mixed: Something stood between that could not be told apart; from there on nothing is sure.
    """

    def __init__(self, encoding: str, terminator: bytes) -> None:
        self._encoding = ENCODINGS[encoding]
        self._end = b"\n" + terminator + b"\n"
        self._text = b""
        self._broken: list[bytes] = []
        self._parted = False  # An empty line stands behind something that was broken.
        self._tail = b""
        self.complete = False
        self.mixed = False

    def feed(self, data: bytes) -> bytes:
        """Decode what has come, as far as lines are whole; never more than the output."""
        *lines, self._text = (self._text + data.replace(b"\r", b"")).split(b"\n")
        whole = self._encoding.length
        if not self._broken and all(len(line) == whole for line in lines):
            # The usual case, at once: whole lines hold whole groups of bytes.
            try:
                return self._hand_on(self._encoding.decode(b"".join(lines)))
            except ValueError:
                pass
        return b"".join(self._hand_on(self._take(line)) if line else self._part() for line in lines)

    def _part(self) -> bytes:
        """An empty line: no encoder writes one, and what stood before it is not the beginning of what follows."""
        self._parted = self._parted or bool(self._broken)
        self._broken.clear()
        return b""

    def rest(self) -> bytes:
        """What is still held back, of an output that was cut."""
        tail, self._tail = self._tail, b""
        return b"" if self.complete else tail

    def _hand_on(self, decoded: bytes) -> bytes:
        """Hold back what may be the beginning of the terminator."""
        if self.complete:
            return b""
        data = self._tail + decoded
        if data.endswith(self._end):
            self.complete, self._tail = True, b""
            return data[: -len(self._end)]
        keep = len(self._end) - 1
        self._tail = data[-keep:]
        return data[:-keep]

    def _take(self, line: bytes) -> bytes:
        encoding, missing = self._encoding, self._encoding.length - len(line)
        if missing >= 0 and encoding.line.fullmatch(line):
            beginnings = [broken[:missing] for broken in self._broken if missing and len(broken) >= missing]
            for candidate in (beginning + line for beginning in [*beginnings, b""]):
                decoded = self._decoded(candidate)
                if len(candidate) == encoding.length and decoded:
                    # What was printed may have taken a piece along that is not missed.
                    self.mixed = self.mixed or any(len(broken) > encoding.length for broken in self._broken)
                    self._mended()
                    return decoded
            # The last line may have any length. What was printed when the terminal was idle stands before a line, not in one.
            pieces = {broken[:size] for broken in self._broken for size in range(min(len(broken), missing) + 1)}
            found = [self._decoded(piece + line) for piece in sorted(pieces or {b""}, key=len)]
            found = [decoded for decoded in found if (self._tail + decoded).endswith(self._end)]
            if found:
                self.mixed = self.mixed or len(found) > 1
                self._mended()
                return found[0]
            # Encoded bytes without what was before them: the rest of a line whose beginning cannot be found.
            self.mixed = self.mixed or self._parted or bool(self._broken)
        # What a command prints on the terminal need not end a line: a whole line of the encoder follows on the same one.
        behind = line[-encoding.length :]
        if missing < 0 and encoding.line.fullmatch(behind) and (decoded := self._decoded(behind)):
            self._mended()
            return decoded
        self._broken = [*self._broken[-_MOST_BROKEN:], line]
        return b""

    def _mended(self) -> None:
        self._broken.clear()
        self._parted = False

    def _decoded(self, line: bytes) -> bytes:
        try:
            return self._encoding.decode(line)
        except ValueError:
            return b""

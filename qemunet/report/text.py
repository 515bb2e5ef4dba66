"""Text that came from guests, made fit for a page: outputs and logs hold anything."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

# Terminals' sequences: CSI, strings (OSC, DCS, PM, APC, SOS) to their end, two-character ones. Bounded, so that a
# string that never ends costs no more than a sane one.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|[ -/]{1,8}[0-~]|[0-Z\\`-~])"
)
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


HEAD_LINES, TAIL_LINES = 60, 120
"""Of a text with more lines than both, so many are shown of its beginning and its end."""


@dataclass(frozen=True)
class Excerpt:
    """A text, or its beginning and its end.

    Attributes:
        head: Its beginning, or all of it.
        tail: Its end, where something is left out.
        bytes: How long all of it is.
        left_out: Bytes between the two.
    """

    head: str
    tail: str = ""
    bytes: int = 0
    left_out: int = 0


def clean(text: str | bytes) -> str:
    r"""Return what a page can show of a text, all of it visible.

    Terminals' escape sequences are taken out, ends of lines are newlines, bytes that are not UTF-8 read ``\xNN``,
    control characters are their pictures, and what would turn the direction of writing reads ``\uNNNN``.
    """
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) and _is_bytes(text) else text
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    shown = _ESCAPES.sub("", data.decode("utf-8", "backslashreplace"))
    shown = shown.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub(_picture, shown)


def one_line(text: str, most: int = 200) -> str:
    """Return a text as one line of at most so many characters."""
    line = " ".join(clean(text[: 8 * most]).split())
    return line if len(line) <= most and len(text) <= 8 * most else line[: most - 1] + "…"


def first_line(message: str, most: int = 300) -> str:
    """Return what an error says, without the output that it quotes."""
    return one_line(message.split("\n", 1)[0].removesuffix("; it wrote:"), most)


def excerpt(text: str, *, head: int, tail: int) -> Excerpt:
    """Return a text, or its beginning and its end where it is long.

    Args:
        text: The text.
        head: Of its beginning at most so many bytes, and ``HEAD_LINES``.
        tail: Of its end at most so many bytes, and ``TAIL_LINES``.
    """
    data = text.encode("utf-8", "surrogateescape" if _is_bytes(text) else "surrogatepass")
    return _excerpt(data[:head], data[head:][-tail:] if tail else b"", len(data), HEAD_LINES if head else 0)


def file_excerpt(path: Path, *, head: int, tail: int) -> Excerpt:
    """Return the same of a file, without reading what lies between.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(head)
        file.seek(max(len(first), size - tail))
        return _excerpt(first, file.read(tail), size, HEAD_LINES if head else 0)


def _excerpt(first: bytes, last: bytes, size: int, head_lines: int) -> Excerpt:
    """Make an excerpt of what a text begins and ends with; the two may be all of it."""
    beginning, end = first.splitlines(keepends=True), last.splitlines(keepends=True)
    if len(first) + len(last) == size:
        beginning = end = (first + last).splitlines(keepends=True)
        if len(end) <= head_lines + TAIL_LINES:
            return Excerpt(clean(first + last), bytes=size)
    first, last = b"".join(beginning[:head_lines]), b"".join(end[-TAIL_LINES:])
    return Excerpt(clean(first), clean(last), size, size - len(first) - len(last))


def _is_bytes(text: str) -> bool:
    """Whether all its surrogates stand for bytes that were not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" and not "\udc80" <= character <= "\udcff" for character in text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

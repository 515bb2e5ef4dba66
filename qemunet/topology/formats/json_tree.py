"""JSON into a tree of text with places: numbers as they are written, no key twice, bounded depth and size."""

from __future__ import annotations

import re
from bisect import bisect_right
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # C, checks what JSON allows in strings

from qemunet.topology.formats.tree import MOST_VALUES, Mapping, Scalar, Sequence, Tree, checked, is_too_large
from qemunet.topology.problems import Place, Problems, shown

DEEPEST = 32
"""Lists and mappings that may stand in one another; graphs of other programs have some that are not read."""

_BLANK = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORDS = {"true": "yes", "false": "no", "null": ""}
_WORD = re.compile("true|false|null")


class _UnreadableError(Exception):
    """What follows cannot be read; why is reported."""


def read_tree(text: str, file: str, problems: Problems) -> Tree | None:
    """Return what a JSON text says, or None (and a report) where it cannot be read."""
    text = text.removeprefix("\ufeff")
    if is_too_large(text, file, problems):
        return None
    reader = _Reader(text, file, problems)
    try:
        root = reader.value(0)
        reader.end()
    except _UnreadableError:
        return None
    return root


class _Reader:
    def __init__(self, text: str, file: str, problems: Problems) -> None:
        self._text = text
        self._file = file
        self._problems = problems
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._index = 0
        self._values = 0

    def value(self, depth: int) -> Tree:
        """Read a value."""
        self._skip_blanks()
        place = self._place(self._index)
        self._values += 1
        if self._values > MOST_VALUES:
            self._fail(f"more than {MOST_VALUES} values")
        character = self._text[self._index : self._index + 1]
        if character == '"':
            return self._string()
        if character and character in "[{":
            if depth >= DEEPEST:
                self._fail(f"nested more than {DEEPEST} deep")
            self._index += 1
            return self._list(place, depth + 1) if character == "[" else self._object(place, depth + 1)
        word = _WORD.match(self._text, self._index)
        if word:
            self._index = word.end()
            return Scalar(_WORDS[word[0]], place, null=word[0] == "null")
        number = _NUMBER.match(self._text, self._index)
        if number is None:
            self._fail("a value is expected here" if character else "the text ends where a value is expected")
        else:
            self._index = number.end()
        return Scalar(number[0] if number else "", place)

    def end(self) -> None:
        """Report what follows the value."""
        self._skip_blanks()
        if self._index < len(self._text):
            self._fail("something follows the end of the topology")

    def _string(self) -> Scalar:
        start = self._index
        place = self._place(start)
        try:
            text, self._index = scanstring(self._text, start + 1, True)
        except JSONDecodeError as error:
            self._index = error.pos
            self._fail(error.msg[0].lower() + error.msg[1:])
        return checked(Scalar(text, place, 1), self._problems)

    def _list(self, place: Place, depth: int) -> Sequence:
        items: list[Tree] = []
        if not self._closes("]"):
            while True:
                items.append(self.value(depth))
                if self._closes("]"):
                    break
                self._take(",", "a comma or ] is expected here")
        return Sequence(tuple(items), place)

    def _object(self, place: Place, depth: int) -> Mapping:
        entries: list[tuple[Scalar, Tree]] = []
        lines: dict[str, int] = {}
        if self._closes("}"):
            return Mapping((), place)
        while True:
            self._skip_blanks()
            if self._text[self._index : self._index + 1] != '"':
                self._fail('a key in " is expected here')
            key = self._string()
            self._take(":", "a colon is expected here")
            value = self.value(depth)
            if key.text in lines:
                self._problems.add(key.place, f"key {shown(key.text)} is given twice, first in line {lines[key.text]}")
            else:
                lines[key.text] = key.place.line
                entries.append((key, value))
            if self._closes("}"):
                return Mapping(tuple(entries), place)
            self._take(",", "a comma or } is expected here")

    def _closes(self, bracket: str) -> bool:
        self._skip_blanks()
        if self._text[self._index : self._index + 1] != bracket:
            return False
        self._index += 1
        return True

    def _take(self, character: str, otherwise: str) -> None:
        self._skip_blanks()
        if self._text[self._index : self._index + 1] != character:
            self._fail(otherwise)
        self._index += 1

    def _skip_blanks(self) -> None:
        blank = _BLANK.match(self._text, self._index)
        self._index = blank.end() if blank else self._index

    def _place(self, index: int) -> Place:
        line = bisect_right(self._lines, index)
        return Place(self._file, line, index - self._lines[line - 1] + 1)

    def _fail(self, message: str) -> None:
        self._problems.add(self._place(self._index), f"this is not JSON: {message}")
        raise _UnreadableError

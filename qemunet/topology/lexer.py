r"""Text into statements: lists of words with their places.

Words are separated by blanks outside ``( )``; ``'...'``, ``"..."`` and ``\`` quote as in POSIX sh; ``#`` starts a
comment at the start of a line or after a blank; a trailing ``\`` continues the line.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from qemunet.topology.problems import Place, Problems

LARGEST_TEXT = 4 << 20
"""Characters that a source may have."""

_PLAIN = re.compile(r"[^ \t\\'\"()#]+")
FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""Characters that no name and no value may have."""
_ESCAPED_IN_DOUBLE_QUOTES = '$`"\\'


class Mark(NamedTuple):
    """Where the source goes on elsewhere than the text of a word: after quotes, continuations and parameters.

    Attributes:
        offset: In the word's text.
        line, column: Of the character at ``offset``.
        flat: The text up to the next mark is a parameter's; all of it stands for this one place.
    """

    offset: int
    line: int
    column: int
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes.

    Attributes:
        text: What it says.
        place: Its first character in the source.
        broken: Something about it or its statement was reported already, so its text means nothing.
        role: ``name``, ``type`` or ``pair`` (KEY=VALUE) where the source says so; empty where the text tells.
        marks: Where its characters stand, by rising offset; without any they follow ``place``.
    """

    text: str
    place: Place
    broken: bool = False
    marks: tuple[Mark, ...] = field(default=(), compare=False)
    role: str = ""

    def at(self, offset: int) -> Place:
        """Return the place of the character at an offset of the text."""
        if offset <= 0:
            return self.place
        mark = self.mark(offset)
        return Place(self.place.file, mark.line, mark.column)

    def mark(self, offset: int) -> Mark:
        """Return the mark that an offset of the text would have."""
        number = bisect_right(self.marks, offset, key=lambda mark: mark.offset)
        if not number:
            return Mark(offset, self.place.line, self.place.column + offset)
        mark = self.marks[number - 1]
        column = mark.column if mark.flat else mark.column + offset - mark.offset
        return Mark(offset, mark.line, column, mark.flat)

    def part(self, start: int, end: int, offset: int = 0) -> tuple[Mark, ...]:
        """Return the marks of a part of the text, as they are where the part begins at ``offset``."""
        first = bisect_right(self.marks, start, key=lambda mark: mark.offset)
        last = bisect_left(self.marks, end, key=lambda mark: mark.offset)
        marks = (self.mark(start), *self.marks[first:last])
        return tuple(mark._replace(offset=mark.offset - start + offset) for mark in marks)

    def tail(self, start: int) -> Word:
        """Return the word from an offset of the text on."""
        if not start:
            return self
        return Word(self.text[start:], self.at(start), self.broken, self.part(start, len(self.text)))


Statement = tuple[Word, ...]


def split_statements(text: str, file: str, problems: Problems) -> list[Statement]:
    """Split a source into statements; what is wrong with characters, quotes and brackets goes to ``problems``.

    All words of a statement with such a mistake are broken.
    """
    if len(text) > LARGEST_TEXT:
        problems.add(Place(file, 1, 1), f"the text has {len(text)} characters; at most {LARGEST_TEXT} are read")
        return []
    lexer = _Lexer(file, problems)
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        lexer.read_line(number, line.removesuffix("\r"))
    lexer.end_statement()
    return lexer.statements


class _Lexer:
    def __init__(self, file: str, problems: Problems) -> None:
        self.statements: list[Statement] = []
        self._file = file
        self._problems = problems
        self._words: list[Word] = []
        self._pieces: list[str] | None = None  # of the word being read
        self._start = Place(file, 1, 1)
        self._marks: list[Mark] = []
        self._length = 0
        self._next = (1, 1)  # line and column of the word's next character, if it follows the last one
        self._wrong = False  # a mistake in this statement was reported
        self._depth = 0  # of brackets
        self._open_bracket = self._start  # the outermost
        self._double_quote: Place | None = None

    def read_line(self, number: int, line: str) -> None:
        forbidden = FORBIDDEN.search(line)
        if forbidden:
            place = Place(self._file, number, forbidden.start() + 1)
            self._report(place, f"character U+{ord(forbidden[0]):04X} cannot stand in a topology")
            line = FORBIDDEN.sub("?", line)
        index = 0
        after_blank = True
        while index < len(line):
            place = Place(self._file, number, index + 1)
            character = line[index]
            if self._double_quote is not None:
                index = self._read_double_quoted(line, index, number)
                if index < 0:
                    return
                after_blank = False
            elif character in " \t":
                if self._depth:
                    self._append(character, place)
                else:
                    self._end_word()
                index += 1
                after_blank = True
                continue
            elif character == "#" and after_blank:
                break
            elif character == "\\":
                if index + 1 == len(line):
                    return
                self._append(line[index + 1], place, 1)
                index += 2
            elif character == "'":
                end = line.find("'", index + 1)
                if end < 0:
                    self._report(place, "this ' is not closed on its line")
                    end = len(line)
                    self._depth = 0  # what would close the bracket is quoted
                self._append(line[index + 1 : end], place, 1)
                index = end + 1
            elif character == '"':
                self._append("", place)
                self._double_quote = place
                index += 1
            elif character in "()":
                self._bracket(character, place)
                index += 1
            else:
                plain = _PLAIN.match(line, index)
                piece = plain[0] if plain else character
                self._append(piece, place)
                index += len(piece)
            after_blank = False
        self.end_statement()

    def _read_double_quoted(self, line: str, index: int, number: int) -> int:
        """Read on inside double quotes; return where they ended, or -1 if the next line continues them."""
        start = index
        while index < len(line) and line[index] != '"':
            if line[index] == "\\":
                if index + 1 == len(line):
                    self._append(line[start:index], Place(self._file, number, start + 1))
                    return -1
                if line[index + 1] in _ESCAPED_IN_DOUBLE_QUOTES:
                    self._append(line[start:index], Place(self._file, number, start + 1))
                    index += 1
                    start = index
            index += 1
        self._append(line[start:index], Place(self._file, number, start + 1))
        if index < len(line):
            self._double_quote = None
        return index + 1

    def _report(self, place: Place, message: str) -> None:
        self._problems.add(place, message)
        self._wrong = True

    def _append(self, piece: str, place: Place, quote: int = 0) -> None:
        """Add to the word a piece of the source that begins ``quote`` characters after ``place``."""
        if self._pieces is None:
            self._pieces = []
            self._start = place
            self._marks = []
            self._length = 0
            self._next = (place.line, place.column)
        if not piece:
            return
        line, column = place.line, place.column + quote
        if (line, column) != self._next:
            self._marks.append(Mark(self._length, line, column))
        self._pieces.append(piece)
        self._length += len(piece)
        self._next = (line, column + len(piece))

    def _bracket(self, character: str, place: Place) -> None:
        if character == "(":
            if not self._depth:
                self._open_bracket = place
            self._depth += 1
        elif self._depth:
            self._depth -= 1
        else:
            self._report(place, "this ) closes nothing; quote it if it is meant")
        self._append(character, place)

    def _end_word(self) -> None:
        if self._pieces is not None:
            self._words.append(Word("".join(self._pieces), self._start, marks=tuple(self._marks)))
            self._pieces = None

    def end_statement(self) -> None:
        if self._double_quote is not None:
            self._report(self._double_quote, 'this " is not closed on its line')
            self._double_quote = None
            self._depth = 0
        if self._depth:
            self._report(self._open_bracket, "this ( is not closed; quote it if it is meant")
            self._depth = 0
        self._end_word()
        if self._words:
            words = (replace(word, broken=True) for word in self._words) if self._wrong else self._words
            self.statements.append(tuple(words))
            self._words = []
        self._wrong = False

r"""Text into statements: lists of words with their places.

Words are separated by blanks outside ``( )``; ``'...'``, ``"..."`` and ``\`` quote as in POSIX sh; ``#`` starts a
comment at the start of a line or after a blank; a trailing ``\`` continues the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qemunet.topology.problems import Place, Problems

LARGEST_TEXT = 4 << 20
"""Characters that a source may have."""

_PLAIN = re.compile(r"[^ \t\\'\"()#]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_ESCAPED_IN_DOUBLE_QUOTES = '$`"\\'


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes.

    Attributes:
        text: What it says.
        place: Its first character in the source.
        broken: Something about it was reported already, so its text means nothing.
    """

    text: str
    place: Place
    broken: bool = False


Statement = tuple[Word, ...]


def split_statements(text: str, file: str, problems: Problems) -> list[Statement]:
    """Split a source into statements; what is wrong with quotes and brackets goes to ``problems``."""
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
        self._depth = 0  # of brackets
        self._open_bracket = self._start  # the outermost
        self._double_quote: Place | None = None

    def read_line(self, number: int, line: str) -> None:
        forbidden = _FORBIDDEN.search(line)
        if forbidden:
            place = Place(self._file, number, forbidden.start() + 1)
            self._problems.add(place, f"character U+{ord(forbidden[0]):04X} cannot stand in a topology")
            line = _FORBIDDEN.sub("?", line)
        index = 0
        after_blank = True
        while index < len(line):
            place = Place(self._file, number, index + 1)
            character = line[index]
            if self._double_quote is not None:
                index = self._read_double_quoted(line, index)
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
                self._append(line[index + 1], place)
                index += 2
            elif character == "'":
                end = line.find("'", index + 1)
                if end < 0:
                    self._problems.add(place, "this ' is not closed on its line")
                    end = len(line)
                self._append(line[index + 1 : end], place)
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

    def _read_double_quoted(self, line: str, index: int) -> int:
        """Read on inside double quotes; return where they ended, or -1 if the next line continues them."""
        pieces: list[str] = []
        while index < len(line) and line[index] != '"':
            if line[index] == "\\":
                if index + 1 == len(line):
                    self._append("".join(pieces), self._start)
                    return -1
                if line[index + 1] in _ESCAPED_IN_DOUBLE_QUOTES:
                    index += 1
            pieces.append(line[index])
            index += 1
        self._append("".join(pieces), self._start)
        if index < len(line):
            self._double_quote = None
        return index + 1

    def _append(self, piece: str, place: Place) -> None:
        if self._pieces is None:
            self._pieces = []
            self._start = place
        self._pieces.append(piece)

    def _bracket(self, character: str, place: Place) -> None:
        if character == "(":
            if not self._depth:
                self._open_bracket = place
            self._depth += 1
        elif self._depth:
            self._depth -= 1
        else:
            self._problems.add(place, "this ) closes nothing; quote it if it is meant")
        self._append(character, place)

    def _end_word(self) -> None:
        if self._pieces is not None:
            self._words.append(Word("".join(self._pieces), self._start))
            self._pieces = None

    def end_statement(self) -> None:
        if self._double_quote is not None:
            self._problems.add(self._double_quote, 'this " is not closed on its line')
            self._double_quote = None
        if self._depth:
            self._problems.add(self._open_bracket, "this ( is not closed; quote it if it is meant")
            self._depth = 0
        self._end_word()
        if self._words:
            self.statements.append(tuple(self._words))
            self._words = []

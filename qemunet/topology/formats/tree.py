"""Values with their places, as YAML and JSON nest them; every scalar is text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qemunet.topology.lexer import FORBIDDEN, LARGEST_TEXT, Mark, Word
from qemunet.topology.problems import Place, Problems

MOST_VALUES = 1_000_000
"""Values that a source may have, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value that is text.

    Attributes:
        place: Its first character, a quote included.
        quote: Characters between ``place`` and the first of ``text``.
        broken: It was reported already, so its text means nothing.
        null: JSON's null, or nothing where YAML might have a value.
    """

    text: str
    place: Place
    quote: int = 0
    broken: bool = False
    null: bool = False

    def word(self, role: str) -> Word:
        """Return it as a word of a statement."""
        return Word(self.text, self.place, self.broken, self._marks(0), role)

    def pair(self, key: Scalar) -> Word:
        """Return it as KEY=VALUE; the word's place is the key's."""
        return Word(
            f"{key.text}={self.text}", key.place, self.broken or key.broken, self._marks(len(key.text) + 1), "pair"
        )

    def _marks(self, offset: int) -> tuple[Mark, ...]:
        if not offset and not self.quote:
            return ()
        return (Mark(offset, self.place.line, self.place.column + self.quote),)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Tree, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in order of the source, no key twice."""

    entries: tuple[tuple[Scalar, Tree], ...]
    place: Place

    def __iter__(self) -> Iterator[tuple[Scalar, Tree]]:
        return iter(self.entries)

    def get(self, key: str) -> Tree | None:
        """Return the value of a key, or None."""
        return next((value for name, value in self.entries if name.text == key), None)


Tree = Scalar | Sequence | Mapping


def what_is(value: Tree) -> str:
    """Say what a value is, for messages."""
    if isinstance(value, Scalar):
        return "nothing" if value.null else "a single value"
    return "a list" if isinstance(value, Sequence) else "a mapping"


def checked(scalar: Scalar, problems: Problems, *, what: str = "topology") -> Scalar:
    """Return the scalar, broken (and reported) where it has a character that no source (a ``what``) may have."""
    forbidden = FORBIDDEN.search(scalar.text)
    if not forbidden or scalar.broken:
        return scalar
    character = f"character U+{ord(forbidden[0]):04X}"
    problems.add(scalar.place, f"{character} cannot stand in a {what}; a value is one line of text")
    return Scalar("?", scalar.place, broken=True)


def is_too_large(text: str, file: str, problems: Problems) -> bool:
    """Report and return whether a source is larger than is read."""
    if len(text) <= LARGEST_TEXT:
        return False
    problems.add(Place(file, 1, 1), f"the text has {len(text)} characters; at most {LARGEST_TEXT} are read")
    return True

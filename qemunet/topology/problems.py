"""Mistakes in a topology: where they stand, and collecting them so that all are reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qemunet.errors import SourceError, TopologyError

# After so many, one more helps nobody; the bound also keeps the work on hostile input small.
_MOST = 500
# difflib's comparison is slow: beyond this many candidates only those that begin alike are compared.
_MANY = 500
_HINTED = 50


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """A place in a source: line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class PartError(ValueError):
    """A mistake in a part of a value.

    Attributes:
        offset: Of that part's first character in the value.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Problems:
    """The mistakes found so far in a source: a topology, where ``error`` says nothing else."""

    def __init__(self, error: type[SourceError] = TopologyError) -> None:
        self._error = error
        self._found: dict[tuple[Place, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: Place, message: str) -> None:
        """Note a mistake.

        Raises:
            SourceError: there are so many already that reading on makes no sense.
        """
        self._found[place, message] = None
        if len(self._found) >= _MOST:
            raise self._error([*self.lines(), f"{place}: {_MOST} mistakes so far, the rest is not shown"])

    def did_you_mean(self, word: str, known: Iterable[str]) -> str:
        """As the function; says nothing once there were many mistakes, for ``known`` may be large."""
        return did_you_mean(word, known) if len(self._found) < _HINTED else ""

    def lines(self) -> tuple[str, ...]:
        """All of them as ``file:line:column: message``, in order of the file."""
        return tuple(f"{place}: {message}" for place, message in sorted(self._found))

    def raise_if_any(self, error: type[SourceError] | None = None) -> None:
        """Raise an error with all mistakes, if there are any: ``error``, or that of the source."""
        if self._found:
            raise (error or self._error)(self.lines())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'X'?"`` with the known word nearest to ``word``, or nothing where none is near."""
    from difflib import get_close_matches  # only needed where something is wrong

    word = word[:64]
    candidates = list(known)
    by_small_letters = {candidate.lower(): candidate for candidate in candidates}
    if len(candidates) > _MANY:
        candidates = [c for c in candidates if c[:2].lower() == word[:2].lower()][:_MANY]
    near = get_close_matches(word.lower(), [c.lower() for c in candidates], n=1, cutoff=0.5)
    return f"; did you mean {by_small_letters[near[0]]!r}?" if near else ""


def shown(text: str) -> str:
    """Quote a piece of the source for a message, cut where it is long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")

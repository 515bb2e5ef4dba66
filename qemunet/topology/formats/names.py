"""Names of other programs' nodes, made names that a topology can have."""

from __future__ import annotations

import re
import unicodedata

from qemunet.topology.registry import TYPE_NAMES

_LONGEST = 32
_RIGHT = re.compile(rf"[A-Za-z][A-Za-z0-9_-]{{0,{_LONGEST - 1}}}")
_WRONG = re.compile(r"[^A-Za-z0-9_-]+")
# Letters that have no accent to take off.
_SPELT = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "ı": "i"}
)


class Names:
    """Gives names, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def take(self, text: str) -> str:
        """Return the nearest name to a text that is still free.

        Accents go, other characters and blanks become ``-``, a leading digit gets an ``n``, a clash ``-2``, ``-3``, ...
        """
        plain = mended(text)
        number = self._numbers.get(plain, 1)
        while (name := plain if number == 1 else _numbered(plain, number)) in self._taken or name in TYPE_NAMES:
            number += 1
        self._numbers[plain] = number
        self._taken.add(name)
        return name


def mended(text: str) -> str:
    """Return the nearest name to a text: ``New York`` is ``New-York``, ``0`` is ``n0``."""
    if _RIGHT.fullmatch(text):
        return text
    letters = unicodedata.normalize("NFKD", text[: 8 * _LONGEST].translate(_SPELT)).encode("ascii", "ignore").decode()
    name = _WRONG.sub("-", letters).strip("-_")
    if not name[:1].isalpha():
        name = f"n{name}"
    return name[:_LONGEST].rstrip("-_")


def _numbered(plain: str, number: int) -> str:
    suffix = f"-{number}"
    return plain[: _LONGEST - len(suffix)] + suffix

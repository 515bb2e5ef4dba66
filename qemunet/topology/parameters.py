"""``param`` statements, and ``${NAME}`` in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from qemunet.topology.lexer import Statement, Word
from qemunet.topology.problems import Place, Problems, shown

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_REFERENCE = re.compile(r"\$(\$)\{|\$\{([^{}]*)\}|\$\{")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

# A parameter made of others can double with every line: words and their sum are bounded.
_LONGEST_WORD = 65_536
_MOST_CHARACTERS = 8 << 20


class Parameters:
    """The parameters of a topology.

    Attributes:
        values: Name -> value used.
        defaults: Name -> value as the topology declares it.
    """

    def __init__(self, given: Mapping[str, str], problems: Problems) -> None:
        self.values: dict[str, str] = {}
        self.defaults: dict[str, str] = {}
        self._given = given
        self._problems = problems
        self._characters = 0

    def declare(self, statements: Iterable[Statement]) -> list[Statement]:
        """Take the ``param`` statements in; return the others, with every ``${NAME}`` replaced."""
        others = []
        for statement in statements:
            if statement[0].text == "param":
                self._declare(statement)
            else:
                others.append(statement)
        return [tuple(self.replace(word) for word in statement) for statement in others]

    def check_given(self, file: str) -> None:
        """Report given parameters that are not declared, or that no file could hold."""
        for name, value in self._given.items():
            place = Place(file, 1, 1)
            if name not in self.values:
                declared = ", ".join(list(self.values)[:20]) or "none"
                near = self._problems.did_you_mean(name, self.values)
                message = f"parameter {shown(name)} is not declared{near} (declared: {declared})"
                self._problems.add(place, message)
            elif _UNPRINTABLE.search(value):
                self._problems.add(place, f"parameter {name}={shown(value)} has a character that cannot be printed")

    def replace(self, word: Word) -> Word:
        """Return the word with every ``${NAME}`` replaced and every ``$${`` made ``${``."""
        if "${" not in word.text:
            return word
        pieces: list[str] = []
        length = end = 0
        for match in _REFERENCE.finditer(word.text):
            piece = self._value(match, word)
            if piece is None:
                return Word(word.text, word.place, broken=True)
            pieces += (word.text[end : match.start()], piece)
            length += match.start() - end + len(piece)
            end = match.end()
            if length > _LONGEST_WORD:
                break
        length += len(word.text) - end
        self._characters += length
        if length > _LONGEST_WORD or self._characters > _MOST_CHARACTERS:
            self._problems.add(word.place, "its parameters make this too long")
            return Word("", word.place, broken=True)
        return Word("".join((*pieces, word.text[end:])), word.place)

    def _value(self, match: re.Match[str], word: Word) -> str | None:
        escaped, name = match.groups()
        if escaped:
            return "${"
        if name is None:
            self._problems.add(word.place, "${ has no }; write ${NAME}, or $${ where it is meant as it stands")
        elif name in self.values:
            return self.values[name]
        else:
            near = self._problems.did_you_mean(name, self.values)
            self._problems.add(word.place, f"parameter {shown(name)} is not declared{near}")
        return None

    def _declare(self, statement: Statement) -> None:
        keyword, *words = statement
        if not words:
            self._problems.add(keyword.place, "param needs NAME = VALUE")
            return
        name, equals, value = words[0].text.partition("=")
        rest = words[1:]
        if not equals and rest and rest[0].text.startswith("="):
            equals, value = "=", rest[0].text[1:]
            value_place = rest[0].place
            rest = rest[1:]
        else:
            value_place = words[0].place
        quoted_empty = False
        if equals and not value and rest:
            value, value_place = rest[0].text, rest[0].place
            quoted_empty = not value
            rest = rest[1:]
        if not _NAME.fullmatch(name):
            rule = "a parameter's name has letters, digits and _ and does not begin with a digit"
            self._problems.add(words[0].place, f"{shown(name)}: {rule}")
            return
        if name in self.values:
            self._problems.add(words[0].place, f"parameter {name} is declared twice")
            return
        if not equals or (not value and not quoted_empty):
            self._problems.add(words[0].place, f"param {name} has no value; write param {name} = VALUE ('' for none)")
        if rest:
            self._problems.add(rest[0].place, f"param {name} has more than one word; put quotes around its value")
        default = self.replace(Word(value, value_place)).text
        self.defaults[name] = default
        self.values[name] = self._given.get(name, default)

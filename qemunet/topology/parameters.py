"""``param`` statements, and ``${NAME}`` in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from qemunet.topology.lexer import Mark, Statement, Word
from qemunet.topology.problems import Place, Problems, shown

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_REFERENCE = re.compile(r"\$(\$)\{|\$\{([^{}]*)\}|\$\{")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

# A parameter made of others can double with every line: words and their sum are bounded.
_LONGEST_WORD = 65_536
_MOST_CHARACTERS = 8 << 20
_MOST_NAMED = 12  # of the parameters in a circle


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
        self._spoilt: set[str] = set()  # reported already: words that refer to them say nothing
        self._characters = 0

    def declare(self, statements: Iterable[Statement]) -> list[Statement]:
        """Take the ``param`` statements in; return the others, with every ``${NAME}`` replaced."""
        others = []
        written: dict[str, Word] = {}
        for statement in statements:
            if statement[0].text == "param":
                self._declare(statement, written)
            else:
                others.append(statement)
        # In the order of the source, though each is known only once those it refers to are.
        self.values = dict.fromkeys(written, "")
        self.defaults = {name: word.text for name, word in written.items()}
        for name in self._in_order(written):
            default = self.replace(written[name])
            if default.broken and name not in self._given:
                self._spoilt.add(name)
            self.defaults[name] = default.text
            self.values[name] = self._given.get(name, default.text)
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
        if word.broken or "${" not in word.text:
            return word
        pieces: list[str] = []
        marks: list[Mark] = []
        length = end = 0
        for match in _REFERENCE.finditer(word.text):
            piece = self._value(match, word)
            if piece is None:
                return replace(word, broken=True)
            pieces += (word.text[end : match.start()], piece)
            if end < match.start():
                marks += word.part(end, match.start(), length)
            length += match.start() - end
            marks.append(word.mark(match.start())._replace(offset=length, flat=True))
            length += len(piece)
            end = match.end()
            if length > _LONGEST_WORD:
                break
        length += len(word.text) - end
        self._characters += length
        if length > _LONGEST_WORD or self._characters > _MOST_CHARACTERS:
            self._problems.add(word.place, "its parameters make this too long")
            return Word("", word.place, broken=True)
        if end < len(word.text):
            marks += word.part(end, len(word.text), length - len(word.text) + end)
        return Word("".join((*pieces, word.text[end:])), word.place, marks=tuple(marks), role=word.role)

    def _value(self, match: re.Match[str], word: Word) -> str | None:
        escaped, name = match.groups()
        if escaped:
            return "${"
        if name is None:
            self._problems.add(
                word.at(match.start()), "${ has no }; write ${NAME}, or $${ where it is meant as it stands"
            )
        elif name in self._spoilt:
            return None
        elif name in self.values:
            return self.values[name]
        else:
            near = self._problems.did_you_mean(name, self.values)
            self._problems.add(word.at(match.start()), f"parameter {shown(name)} is not declared{near}")
        return None

    def _in_order(self, written: Mapping[str, Word]) -> list[str]:
        """Return the parameters, each after those it refers to; report those that refer to themselves."""
        ordered: dict[str, None] = {}
        for start in written:
            if start in ordered:
                continue
            # Depth first, by hand: a chain of references may be longer than Python's stack is deep.
            path = [start]
            on_path = {start: _references(written[start])}
            while path:
                other = next(on_path[path[-1]], None)
                if other is None:
                    name = path.pop()
                    del on_path[name]
                    ordered[name] = None
                elif other in on_path:
                    self._report_circle(path[path.index(other) :], written)
                elif other in written and other not in ordered:
                    path.append(other)
                    on_path[other] = _references(written[other])
        return list(ordered)

    def _report_circle(self, names: list[str], written: Mapping[str, Word]) -> None:
        self._spoilt.update(name for name in names if name not in self._given)
        start = min(range(len(names)), key=lambda number: written[names[number]].place)
        names = [*names[start:], *names[:start], names[start]]
        word = written[names[0]]
        offset = next(match.start() for match in _REFERENCE.finditer(word.text) if match[2] == names[1])
        shortened = names if len(names) <= _MOST_NAMED else [*names[: _MOST_NAMED - 2], "...", names[-1]]
        self._problems.add(word.at(offset), f"parameter {names[0]} refers to itself: {' -> '.join(shortened)}")

    def _declare(self, statement: Statement, written: dict[str, Word]) -> None:
        """Take in one statement: the word of its value, or why there is none."""
        keyword, *words = statement
        if not words:
            if not keyword.broken:
                self._problems.add(keyword.place, "param needs NAME = VALUE")
            return
        name, equals, text = words[0].text.partition("=")
        value = words[0].tail(len(name) + 1) if text else None
        rest = words[1:]
        if not equals and rest and rest[0].text.startswith("="):
            equals = "="
            value = rest[0].tail(1) if len(rest[0].text) > 1 else None
            rest = rest[1:]
        if equals and value is None and rest:
            value, rest = rest[0], rest[1:]
        if keyword.broken:
            self._spoil(name, words[0], written)
            return
        if not NAME.fullmatch(name):
            rule = "a parameter's name has letters, digits and _ and does not begin with a digit"
            self._problems.add(words[0].place, f"{shown(name)}: {rule}")
            return
        if name in written:
            self._problems.add(words[0].place, f"parameter {name} is declared twice")
            return
        if not equals or value is None:
            self._problems.add(words[0].place, f"param {name} has no value; write param {name} = VALUE ('' for none)")
            self._spoil(name, words[0], written)
            return
        if rest:
            self._problems.add(rest[0].place, f"param {name} has more than one word; put quotes around its value")
        written[name] = value

    def _spoil(self, name: str, word: Word, written: dict[str, Word]) -> None:
        """Remember a parameter whose statement was reported."""
        if NAME.fullmatch(name):
            written.setdefault(name, Word("", word.place, broken=True))


def _references(word: Word) -> Iterator[str]:
    """Yield the names that a word refers to, each once."""
    if word.broken or "${" not in word.text:
        return iter(())
    return iter(dict.fromkeys(match[2] for match in _REFERENCE.finditer(word.text) if match[2] is not None))

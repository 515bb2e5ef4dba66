"""``option``, ``default`` and ``node`` statements."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from qemunet.topology import keys, places
from qemunet.topology.attributes import is_attribute
from qemunet.topology.lexer import Statement, Word
from qemunet.topology.model import Node
from qemunet.topology.problems import Problems, did_you_mean, shown
from qemunet.topology.ranges import RangeTooLargeError, expand_ranges, range_lengths
from qemunet.topology.registry import LINK_TYPES, NODE_TYPES, OPTIONS, TYPE_NAMES, Keys, keys_of
from qemunet.topology.statements import (
    Value,
    Values,
    check_keys,
    check_unknown,
    check_value,
    first_broken,
    split_pairs,
)

MOST_NODES = 100_000
"""Nodes that a topology may have."""


class Defaults:
    """Values for keys that a statement does not write.

    They hold for the whole source wherever they stand; those of a type go before those of ``node`` and ``link``.
    """

    def __init__(self, problems: Problems) -> None:
        self._values: dict[str, dict[str, Value]] = {}
        self._of_kind: dict[tuple[str, str], dict[str, Value]] = {}  # kind and type: what default KIND says to it
        self._problems = problems

    def read(self, statement: Statement) -> None:
        """Read ``default WHAT KEY=VALUE...``."""
        positional, values = split_pairs(statement[1:], self._problems)
        if first_broken(positional):
            return
        known = (*NODE_TYPES, *LINK_TYPES, "node", "link")
        if len(positional) != 1:
            place = positional[1].place if positional else statement[0].place
            self._problems.add(place, "default takes one type, node or link, then KEY=VALUE")
            return
        what = positional[0]
        if what.text not in known:
            near = did_you_mean(what.text, known)
            self._problems.add(what.place, f"{shown(what.text)} is no type of node or link{near}")
            check_unknown(values, {**keys_of("node"), **keys_of("link")}, "any type", self._problems)
        elif why_not := why_unusable(what.text):
            self._problems.add(what.place, why_not)
        elif not is_available(what.text):
            self._problems.add(what.place, f"type {what.text} is not available in this version")
        else:
            if "name" in values and "name" in keys_of(what.text):
                self._problems.add(values.pop("name").place, "name= names one link and cannot be a default")
            label = f"any {what.text}" if what.text in ("node", "link") else f"type {what.text}"
            self._values.setdefault(what.text, {}).update(check_keys(values, keys_of(what.text), label, self._problems))

    def complete(self, kind: str, type_name: str, written: Values) -> dict[str, Value]:
        """Return what a ``kind`` (node or link) of a type has, its written values last."""
        return {**self._general(kind, type_name), **self._values.get(type_name, {}), **written}

    def _general(self, kind: str, type_name: str) -> dict[str, Value]:
        """Return what ``default node`` or ``default link`` says to a type: the values of keys that it has.

        They were read as any type takes them; one that this type does not take is reported.
        """
        if (kind, type_name) not in self._of_kind:
            known = keys_of(type_name)
            self._of_kind[kind, type_name] = {
                key: value
                for key, value in self._values.get(kind, {}).items()
                if is_attribute(known, key) or (key in known and check_value(key, known[key], value, self._problems))
            }
        return self._of_kind[kind, type_name]


def why_unusable(type_name: str) -> str | None:
    """Return why a type that another package brings cannot be used; None if it can, or is none of that kind."""
    return next((types.why_not(type_name) for types in (NODE_TYPES, LINK_TYPES) if type_name in types), None)


def known_keys(type_name: str, kind: str) -> Keys:
    """Return the keys of a type; those of any ``kind`` (node or link) where there is no such type, or none that works."""
    types: Mapping[str, object] = NODE_TYPES if kind == "node" else LINK_TYPES
    return keys_of(type_name if type_name in types and why_unusable(type_name) is None else kind)


def is_available(type_name: str) -> bool:
    """Return whether this version can build a type (``node`` and ``link`` are any)."""
    if type_name in NODE_TYPES:
        return NODE_TYPES[type_name].available
    return type_name not in LINK_TYPES or LINK_TYPES[type_name].available


def read_option(statement: Statement, options: dict[str, Value], problems: Problems) -> None:
    """Read ``option KEY=VALUE...`` into ``options``."""
    positional, values = split_pairs(statement[1:], problems)
    for word in positional:
        if not word.broken:
            problems.add(word.place, f"option takes KEY=VALUE, not {shown(word.text)}")
    if not positional and not values:
        problems.add(statement[0].place, "option needs KEY=VALUE")
    for name, value in check_keys(values, OPTIONS, "option", problems).items():
        if name in options:
            problems.add(value.place, f"option {name} is given twice, first in line {options[name].place.line}")
        else:
            options[name] = value


class Nodes:
    """The nodes read so far.

    Attributes:
        nodes: By name.
        spoilt: Words that were meant as nodes but are reported already; links to them say nothing new.
    """

    def __init__(self, problems: Problems) -> None:
        self.nodes: dict[str, Node] = {}
        self.spoilt: set[str] = set()
        self._problems = problems

    def read(self, statement: Statement, defaults: Defaults) -> None:
        """Read ``node NAMES TYPE KEY=VALUE...``."""
        positional, values = split_pairs(statement[1:], self._problems)
        if not positional:
            self._problems.add(statement[0].place, "node needs a name and a type: node NAME TYPE KEY=VALUE...")
            return
        if len(positional) == 1 and not positional[0].broken:
            only = positional[0]
            missing = "name" if only.text in NODE_TYPES else f"type; types are {', '.join(NODE_TYPES)}"
            self._problems.add(only.place, f"node {shown(only.text)} has no {missing}")
            check_unknown(values, keys_of("node"), "any node", self._problems)
            self._spoil(positional)
            return
        *names, type_word = positional
        if type_word.broken or not self._check_type(type_word):
            if type_word.broken or type_word.text not in TYPE_NAMES:
                check_unknown(values, keys_of("node"), "any node", self._problems)
            self._spoil(names)
            return
        right = check_keys(values, keys_of(type_word.text), f"type {type_word.text}", self._problems)
        complete = defaults.complete("node", type_word.text, right)
        attributes = {key: value.text for key, value in complete.items() if key != "step"}
        key_places = {key: value.place for key, value in complete.items() if key != "step"}
        step = complete.get("step")
        if step and "position" not in complete:
            self._problems.add(step.place, "step needs the position of the first node; add position=x,y")
            step = None
        count = 0
        for word in names:
            for index, name in enumerate(self._expand(word)):
                own = attributes
                if step:
                    own = {**attributes, "position": self._place(word, complete["position"], step, count, index)}
                self.nodes[name] = Node(name, type_word.text, own, word.place, key_places)
                count += 1

    def _place(self, word: Word, first: Value, step: Value, count: int, index: int) -> str:
        """Return the position of a name: the ``count``-th of its statement, the ``index``-th of its word."""
        several = "/" in step.text
        try:
            return places.place_range(first.text, step.text, range_lengths(word.text), index if several else count)
        except ValueError as error:
            self._problems.add(step.place, f"step={shown(step.text)[1:-1]}: {error}")
            return first.text

    def spoil(self, statement: Statement) -> None:
        """Take in a node statement with a mistake in its quotes or brackets: links to its nodes say nothing."""
        self._spoil([word for word in statement[1:] if "=" not in word.text])

    def _check_type(self, word: Word) -> bool:
        if word.text not in NODE_TYPES:
            hint = did_you_mean(word.text, NODE_TYPES) or f"; types are {', '.join(NODE_TYPES)}"
            if word.text in LINK_TYPES:
                hint = f", it is a type of link; types of node are {', '.join(NODE_TYPES)}"
            self._problems.add(word.place, f"{shown(word.text)} is no type of node{hint}")
            return False
        if why_not := why_unusable(word.text):
            self._problems.add(word.place, why_not)
            return False
        if not is_available(word.text):
            self._problems.add(word.place, f"node type {word.text} is not available in this version")
            return False
        return True

    def _expand(self, word: Word) -> list[str]:
        """Return the new names that a word stands for; report what is wrong with them."""
        if word.broken:
            return []
        try:
            names = expand_ranges(word.text, most=MOST_NODES - len(self.nodes))
            if not names:
                raise ValueError("this range is empty; only chain, ring, star and mesh take an empty one")
            for name in names:
                keys.name(name)
                if name in TYPE_NAMES:
                    raise ValueError("the names of types are reserved; choose another")
        except RangeTooLargeError as error:
            self._problems.add(word.place, f"node {shown(word.text)}: {error} (at most {MOST_NODES} in all)")
            self.spoilt.add(word.text)
            return []
        except ValueError as error:
            self._problems.add(word.place, f"node {shown(word.text)}: {error}")
            self.spoilt.add(word.text)
            return []
        new: dict[str, None] = {}
        for name in names:
            if name in self.nodes:
                first = self.nodes[name].place.line
                self._problems.add(word.place, f"node {name} is declared twice, first in line {first}")
            elif name in new:
                self._problems.add(word.place, f"node {name} is declared twice by this range")
            else:
                new[name] = None
        return list(new)

    def _spoil(self, words: list[Word]) -> None:
        """Remember the names of a statement that was reported, so that links to them are not reported too."""
        for word in words:
            self.spoilt.add(word.text)
            with suppress(ValueError):
                self.spoilt.update(expand_ranges(word.text, most=max(MOST_NODES - len(self.spoilt), 0)))

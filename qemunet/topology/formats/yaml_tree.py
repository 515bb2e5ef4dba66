"""YAML into a tree of text: no types, no tags, no anchors, no key twice, bounded depth and size.

Only libyaml's parser is used, event by event; nothing is constructed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from qemunet.topology.formats.tree import MOST_VALUES, Mapping, Scalar, Sequence, Tree, checked, is_too_large
from qemunet.topology.problems import Place, Problems, shown

DEEPEST = 8
"""Lists and mappings that may stand in one another; a topology needs four, a sweep five."""

_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _UnreadableError(Exception):
    """What follows cannot be read; why is reported."""


def read_tree(text: str, file: str, problems: Problems, *, what: str = "topology") -> Tree | None:
    """Return what a YAML text says, or None (and reports) where it cannot be read; None also for an empty text.

    Messages call it a ``what``.
    """
    text = text.removeprefix("\ufeff")
    if is_too_large(text, file, problems):
        return None
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        before = text[: unreadable.start()]
        place = Place(file, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
        problems.add(place, f"character U+{ord(unreadable[0]):04X} cannot stand in a {what}")
        return None
    try:
        return _Composer(text, file, problems, what).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
        context = f" {error.context}" if error.context else ""
        problems.add(place, f"this is not YAML{context}: {error.problem}")
    except yaml.YAMLError as error:
        problems.add(Place(file, 1, 1), f"this is not YAML: {' '.join(str(error).split())[:200]}")
    except _UnreadableError:
        pass
    return None


class _Composer:
    def __init__(self, text: str, file: str, problems: Problems, what: str) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
        self._file = file
        self._problems = problems
        self._what = what
        self._depth = 0
        self._values = 0

    def document(self) -> Tree | None:
        root: Tree | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._problems.add(self._place(event), f"a second document; a {self._what} is one")
                    return root
            elif isinstance(event, yaml.NodeEvent):
                root = self._compose(event)
        return root

    def _compose(self, event: yaml.NodeEvent) -> Tree:
        place = self._place(event)
        self._values += 1
        if self._values > MOST_VALUES:
            self._problems.add(place, f"more than {MOST_VALUES} values")
            raise _UnreadableError
        if isinstance(event, yaml.AliasEvent):
            self._problems.add(place, f"alias *{event.anchor}: a {self._what} has no aliases; write the value out")
            return Scalar("?", place, broken=True)
        if event.anchor is not None:
            self._problems.add(place, f"anchor &{event.anchor}: a {self._what} has no anchors; remove it")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._problems.add(
                place, f"tag {shown(str(tag))}: a {self._what} has no tags, every value is text; remove it"
            )
        if isinstance(event, yaml.ScalarEvent):
            nothing = event.value == "" and not event.style
            scalar = Scalar(event.value, place, int(event.style in ("'", '"')), null=nothing)
            return checked(scalar, self._problems, what=self._what)
        self._depth += 1
        if self._depth > DEEPEST:
            self._problems.add(place, f"nested more than {DEEPEST} deep; a {self._what} needs no more than five")
            raise _UnreadableError
        made = self._mapping(place) if isinstance(event, yaml.MappingStartEvent) else self._sequence(place)
        self._depth -= 1
        return made

    def _sequence(self, place: Place) -> Sequence:
        items: list[Tree] = []
        while isinstance(event := next(self._events), yaml.NodeEvent):
            items.append(self._compose(event))
        return Sequence(tuple(items), place)

    def _mapping(self, place: Place) -> Mapping:
        entries: list[tuple[Scalar, Tree]] = []
        lines: dict[str, int] = {}
        while isinstance(event := next(self._events), yaml.NodeEvent):
            key = self._compose(event)
            value = self._compose_next()
            if not isinstance(key, Scalar):
                self._problems.add(key.place, "a list or mapping cannot be a key")
            elif key.broken:
                continue
            elif key.text in lines:
                self._problems.add(key.place, f"key {shown(key.text)} is given twice, first in line {lines[key.text]}")
            else:
                lines[key.text] = key.place.line
                entries.append((key, value))
        return Mapping(tuple(entries), place)

    def _compose_next(self) -> Tree:
        event = next(self._events)
        assert isinstance(event, yaml.NodeEvent)  # the parser gives every key a value
        return self._compose(event)

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None  # the parser marks every event
        return Place(self._file, mark.line + 1, mark.column + 1)

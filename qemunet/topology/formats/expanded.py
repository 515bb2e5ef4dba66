"""A Topology as the rows that every writer writes: nothing left to be filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qemunet.errors import TopologyError
from qemunet.topology import keys
from qemunet.topology.lexer import FORBIDDEN
from qemunet.topology.model import End, Lan, Link, Topology
from qemunet.topology.problems import Place, shown


@dataclass(frozen=True)
class Row:
    """A link or lan to be written.

    Attributes:
        link: What it is in the model.
        ends: Its ends in words: ``NODE:INTERFACE@ADDRESS,...``.
        name: What must be written for it to be called so again; None where that is what a reader calls it anyway, or
            for a lan.
    """

    link: Link
    ends: tuple[str, ...]
    name: str | None

    @property
    def is_lan(self) -> bool:
        """Whether it is a lan."""
        return isinstance(self.link, Lan)


def rows(topology: Topology) -> list[Row]:
    """Return the links in order.

    Raises:
        TopologyError: a model made by hand that no format can say: a text with a control character, a link that is
            called as none can be.
    """
    problems = [f"{place}: {message}" for place, message in _unsayable(topology)]
    if problems:
        raise TopologyError(problems)
    named = _links_to_name(topology)
    return [
        Row(link, tuple(map(_end, link.ends)), link.name if name in named else None)
        for name, link in topology.links.items()
    ]


def _end(end: End) -> str:
    addresses = f"@{','.join(end.addresses)}" if end.addresses else ""
    return f"{end.node}:{end.interface}{addresses}"


def _unsayable(topology: Topology) -> Iterator[tuple[Place, str]]:
    for key, text in topology.options.items():
        if FORBIDDEN.search(text):
            yield topology.option_places.get(key, Place(topology.name, 1, 1)), f"option {key}: {_control(text)}"
    for node in topology.nodes.values():
        yield from ((node.place, f"node {node.name}: {message}") for message in _unsayable_keys(node.attributes))
    for link in topology.links.values():
        yield from ((link.place, f"link {link.name}: {message}") for message in _unsayable_keys(link.attributes))
        if not isinstance(link, Lan) and len(link.ends) != 2:
            yield link.place, f"link {link.name} has {len(link.ends)} ends; a link has two, a Lan any number"


def _unsayable_keys(attributes: Mapping[str, str]) -> Iterator[str]:
    for key, text in attributes.items():
        if key in ("name", "type"):
            yield f"{key} is no key; it is a field of its own"
        if FORBIDDEN.search(text):
            yield f"{key}: {_control(text)}"


def _control(text: str) -> str:
    return f"{shown(text)} has a character that cannot stand in a topology"


def _links_to_name(topology: Topology) -> set[str]:
    """Return the links that need ``name=``: those that a reader would call otherwise.

    What is written for one changes how those that are not are counted, so it goes on until all are called right.
    """
    links = [link for link in topology.links.values() if not isinstance(link, Lan)]
    named: set[str] = set()
    while True:
        taken = named | {link.name for link in topology.links.values() if isinstance(link, Lan)}
        numbers: dict[str, int] = {}
        wrong = []
        for link in links:
            if link.name in named:
                continue
            plain = f"{link.ends[0].node}-{link.ends[1].node}"
            number = numbers.get(plain, 1)
            while (called := plain if number == 1 else f"{plain}#{number}") in taken:
                number += 1
            numbers[plain] = number + 1
            if called != link.name:
                wrong.append(link)
        sayable = [link.name for link in wrong if _is_name(link.name)]
        if not wrong:
            return named
        if not sayable:
            link = wrong[0]
            message = (
                f"link {shown(link.name)} cannot be called so in a file; a name has up to 32 letters, digits, - and _"
            )
            raise TopologyError([f"{link.place}: {message}"])
        named.update(sayable)


def _is_name(text: str) -> bool:
    try:
        keys.name(text)
    except ValueError:
        return False
    return True

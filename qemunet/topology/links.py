"""``link``, ``lan``, ``chain``, ``ring``, ``star`` and ``mesh`` statements, and the names of links and interfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations, pairwise

from qemunet.topology import keys
from qemunet.topology.lexer import Statement, Word
from qemunet.topology.nodes import Defaults, Nodes, is_available, why_unusable
from qemunet.topology.problems import Place, Problems, did_you_mean, shown
from qemunet.topology.ranges import expand_ranges
from qemunet.topology.registry import LINK_TYPES, NODE_TYPES, TYPE_NAMES, keys_of
from qemunet.topology.statements import (
    Value,
    WrittenEnd,
    check_keys,
    check_unknown,
    first_broken,
    read_end,
    split_pairs,
)

MOST_LINKS = 100_000
"""Links and lans that a topology may have."""
MOST_ENDS = 200_000
"""Ends of links and lans that a topology may have."""

Pairs = Iterator[tuple[WrittenEnd, WrittenEnd]]


@dataclass(slots=True)
class WrittenLink:
    """A link or lan as written; its name is None until all are known."""

    name: str | None
    type: str
    ends: list[WrittenEnd]
    values: dict[str, Value]
    place: Place
    lan: bool = False

    def place_of(self, key: str) -> Place:
        """Where a key is written, or the link where it is not."""
        return self.values[key].place if key in self.values else self.place


@dataclass(frozen=True)
class _Shape:
    """What a statement makes of its ends: how many links, and which."""

    count: Callable[[int], int]
    pairs: Callable[[Sequence[WrittenEnd]], Pairs]


def _chain(ends: Sequence[WrittenEnd]) -> Pairs:
    return pairwise(ends)


def _ring(ends: Sequence[WrittenEnd]) -> Pairs:
    yield from pairwise(ends)
    if len(ends) > 2:
        yield ends[-1], ends[0]


def _star(ends: Sequence[WrittenEnd]) -> Pairs:
    return ((ends[0], leaf) for leaf in ends[1:])


def _mesh(ends: Sequence[WrittenEnd]) -> Pairs:
    return combinations(ends, 2)


SHAPES = {
    "chain": _Shape(lambda ends: max(ends - 1, 0), _chain),
    "ring": _Shape(lambda ends: ends if ends > 2 else max(ends - 1, 0), _ring),
    "star": _Shape(lambda ends: max(ends - 1, 0), _star),
    "mesh": _Shape(lambda ends: ends * (ends - 1) // 2, _mesh),
}


class Links:
    """The links and lans read so far, in order of the source."""

    def __init__(self, nodes: Nodes, defaults: Defaults, problems: Problems) -> None:
        self.links: list[WrittenLink] = []
        self._nodes = nodes
        self._defaults = defaults
        self._problems = problems
        self._ends = 0

    def read(self, statement: Statement) -> None:
        """Read one statement of this module's kinds."""
        keyword = statement[0]
        positional, values = split_pairs(statement[1:], self._problems)
        if first_broken(positional):
            check_unknown(values, keys_of("link"), "any link", self._problems)
            return
        if keyword.text == "lan":
            self._read_lan(keyword, positional, values)
        elif keyword.text == "link":
            self._read_link(keyword, positional, values)
        else:
            self._read_shape(keyword, positional, values)

    def _read_link(self, keyword: Word, positional: list[Word], values: dict[str, Value]) -> None:
        type_word = positional.pop() if self._names_type(positional, least=3) else None
        ends = self._read_ends(positional, may_be_empty=False)
        type_name = self._check_type(type_word, values)
        if ends is None or type_name is None:
            return
        if len(ends) != 2:
            hint = "use chain, ring, star, mesh or lan for more" if len(ends) > 2 else "link END END [TYPE]"
            self._problems.add(keyword.place, f"a link has two ends, not {len(ends)}; {hint}")
            return
        self._add_pair(ends[0], ends[1], type_name, values, positional[0].place)

    def _read_shape(self, keyword: Word, positional: list[Word], values: dict[str, Value]) -> None:
        type_word = positional.pop() if self._names_type(positional, least=2) else None
        if not positional:
            self._problems.add(keyword.place, f"{keyword.text} needs ends: {keyword.text} END... [TYPE] KEY=VALUE...")
            return
        ends = self._read_ends(positional, may_be_empty=True)
        type_name = self._check_type(type_word, values)
        if ends is None or type_name is None:
            return
        shape = SHAPES[keyword.text]
        count = shape.count(len(ends))
        if "name" in values and count != 1:
            self._problems.add(values["name"].place, f"name= names one link; this {keyword.text} makes {count}")
            values = {key: value for key, value in values.items() if key != "name"}
        if len(self.links) + count > MOST_LINKS or self._ends + 2 * count > MOST_ENDS:
            self._problems.add(keyword.place, f"this {keyword.text} makes {count} links; there may be {MOST_LINKS}")
            return
        for first, second in shape.pairs(ends):
            self._add_pair(first, second, type_name, values, keyword.place)

    def _read_lan(self, keyword: Word, positional: list[Word], values: dict[str, Value]) -> None:
        if len(positional) < 3:
            self._problems.add(keyword.place, "lan needs a name, a type and ends: lan NAME TYPE END... KEY=VALUE...")
            return
        name, type_word, *end_words = positional
        try:
            keys.name(name.text)
        except ValueError as error:
            self._problems.add(name.place, f"lan {shown(name.text)}: {error}")
        if "name" in values:
            self._problems.add(values.pop("name").place, "the name of a lan is its first word; remove name=")
        ends = self._read_ends(end_words, may_be_empty=False)
        type_name = self._check_type(type_word, values)
        if ends is None or type_name is None:
            return
        most = LINK_TYPES[type_name].ends
        if most is not None and len(ends) != most:
            hint = "use type csma for more" if len(ends) > most else "another one is missing"
            self._problems.add(type_word.place, f"a {type_name} has {most} ends, not {len(ends)}; {hint}")
            return
        if len(self.links) >= MOST_LINKS or self._ends + len(ends) > MOST_ENDS:
            self._problems.add(keyword.place, f"there may be {MOST_LINKS} links with {MOST_ENDS} ends in all")
            return
        self._ends += len(ends)
        complete = self._defaults.complete("link", type_name, values)
        self.links.append(WrittenLink(name.text, type_name, ends, complete, name.place, lan=True))

    def _add_pair(
        self, first: WrittenEnd, second: WrittenEnd, type_name: str, values: dict[str, Value], place: Place
    ) -> None:
        if first.node == second.node:
            self._problems.add(second.place, f"{first.node} is linked to itself; a link joins two nodes")
            return
        if len(self.links) >= MOST_LINKS:
            self._problems.add(place, f"there may be {MOST_LINKS} links in all")
            return
        self._ends += 2
        complete = self._defaults.complete("link", type_name, values)
        name = complete["name"].text if "name" in complete else None
        # An end of a chain is part of two links: each gets an own copy to complete.
        ends = [replace(end, addresses=[]) for end in (first, second)]
        self.links.append(WrittenLink(name, type_name, ends, complete, place))

    def _names_type(self, positional: list[Word], *, least: int) -> bool:
        """Return whether the last word is meant as a type: it can be nothing else, or it is nearest to one."""
        if positional and positional[-1].role:
            return positional[-1].role == "type"
        if len(positional) < least:
            return False
        last = positional[-1].text
        if last in LINK_TYPES or last in NODE_TYPES:
            return True
        if any(character in last for character in ":@[") or last in self._nodes.nodes or last in self._nodes.spoilt:
            return False
        near_type = did_you_mean(last, LINK_TYPES)
        return bool(near_type) and self._problems.did_you_mean(last, [*self._nodes.nodes, *LINK_TYPES]) == near_type

    def _check_type(self, word: Word | None, values: dict[str, Value]) -> str | None:
        """Return the name of a link type that can be built, its keys checked; else report."""
        type_name = word.text if word else "wire"
        if word and type_name not in LINK_TYPES:
            hint = did_you_mean(type_name, LINK_TYPES) or f"; types are {', '.join(LINK_TYPES)}"
            if type_name in NODE_TYPES:
                hint = f", it is a type of node; types of link are {', '.join(LINK_TYPES)}"
            else:
                check_unknown(values, keys_of("link"), "any link", self._problems)
            self._problems.add(word.place, f"{shown(type_name)} is no type of link{hint}")
            return None
        if word and (why_not := why_unusable(type_name)):
            self._problems.add(word.place, why_not)
            return None
        if word and not is_available(type_name):
            self._problems.add(word.place, f"link type {type_name} is not available in this version")
            return None
        right = check_keys(values, keys_of(type_name), f"type {type_name}", self._problems)
        values.clear()
        values.update(right)
        return type_name

    def _read_ends(self, words: Sequence[Word], *, may_be_empty: bool) -> list[WrittenEnd] | None:
        """Return the ends that words stand for; None (and reports) if any of them is wrong."""
        ends: list[WrittenEnd] = []
        right = True
        for word in words:
            left = word.text.partition("@")[0]
            try:
                names = expand_ranges(left, most=MOST_ENDS - self._ends - len(ends))
                if not names and not may_be_empty:
                    raise ValueError("this range is empty; only chain, ring, star and mesh take an empty one")
            except ValueError as error:
                self._problems.add(word.place, f"end {shown(word.text)}: {error}")
                right = False
                continue
            for name in names:
                end = read_end(name, word, self._problems)
                if end is None or not self._is_declared(end):
                    right = False
                    break
                ends.append(end)
        return ends if right else None

    def _is_declared(self, end: WrittenEnd) -> bool:
        if end.node in self._nodes.nodes:
            return True
        if end.node in TYPE_NAMES:
            self._problems.add(end.place, f"{end.node} is a type; the ends of a link are nodes and stand before it")
        elif end.node not in self._nodes.spoilt:
            near = self._problems.did_you_mean(end.node, self._nodes.nodes)
            self._problems.add(end.place, f"node {shown(end.node)} is not declared{near}")
        return False


def name_links(links: Sequence[WrittenLink], problems: Problems) -> None:
    """Give every link its name: as written, else ``A-B``, else ``A-B#2``."""
    taken: dict[str, Place] = {}
    for link in links:
        if link.name is None:
            continue
        place = link.place_of("name")
        if link.name in taken:
            problems.add(place, f"the name {link.name} is used twice, first in line {taken[link.name].line}")
        taken.setdefault(link.name, place)
    numbers: dict[str, int] = {}
    for link in links:
        if link.name is not None:
            continue
        plain = f"{link.ends[0].node}-{link.ends[1].node}"
        number = numbers.get(plain, 1)
        while (name := plain if number == 1 else f"{plain}#{number}") in taken:
            number += 1
        numbers[plain] = number + 1
        taken[name] = link.place
        link.name = name


def name_interfaces(links: Sequence[WrittenLink], problems: Problems) -> None:
    """Give every unnamed end the lowest ethN that no end of its node names."""
    taken: dict[str, dict[str, Place]] = {}
    for link in links:
        for end in link.ends:
            if end.interface is not None:
                of_node = taken.setdefault(end.node, {})
                if end.interface in of_node:
                    first = of_node[end.interface]
                    message = f"interface {end.node}:{end.interface} is used twice, first at {first}"
                    problems.add(end.place, message)
                of_node.setdefault(end.interface, end.place)
    lowest: dict[str, int] = {}
    for link in links:
        for end in link.ends:
            if end.interface is None:
                of_node = taken.setdefault(end.node, {})
                number = lowest.get(end.node, 0)
                while f"eth{number}" in of_node:
                    number += 1
                lowest[end.node] = number + 1
                end.interface = f"eth{number}"


def mac_of(node: str, interface: str, taken: set[str]) -> str:
    """Return a locally administered unicast address: a hash of node and interface, another where it is ``taken``."""
    attempt = 0
    while True:
        digest = sha256(f"{node}\0{interface}\0{attempt}".encode()).hexdigest()
        mac = "02:" + ":".join(digest[index : index + 2] for index in range(0, 10, 2))
        if mac not in taken:
            taken.add(mac)
            return mac
        attempt += 1

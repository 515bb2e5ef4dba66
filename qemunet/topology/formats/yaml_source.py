"""The YAML format, read into the statements of the text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qemunet.errors import TopologyError
from qemunet.topology.formats.tree import Mapping, Scalar, Sequence, Tree, what_is
from qemunet.topology.formats.yaml_tree import read_tree
from qemunet.topology.lexer import Statement, Word
from qemunet.topology.model import Topology
from qemunet.topology.nodes import known_keys
from qemunet.topology.parameters import NAME, Parameters
from qemunet.topology.problems import Problems, did_you_mean, shown
from qemunet.topology.read import LINK_KEYWORDS, assemble
from qemunet.topology.registry import LINK_TYPES, OPTIONS
from qemunet.topology.statements import KEY

SECTIONS = ("parameters", "options", "defaults", "nodes", "links")
"""What a YAML topology has at its top."""


def parse(text: str, *, name: str, parameters: dict[str, str]) -> Topology:
    """Read a topology in YAML.

    Raises:
        TopologyError: every mistake there is.
    """
    problems = Problems()
    declared = Parameters(parameters, problems)
    statements = declared.declare(_statements(text, name, problems))
    declared.check_given(name)
    return assemble(statements, name=name, text=text, parameters=declared.values, problems=problems, warnings=[])


def declared(text: str, *, name: str) -> dict[str, str]:
    """Return the parameters that a YAML topology declares, with their defaults; mistakes in it are ignored."""
    problems = Problems()
    found = Parameters({}, problems)
    try:
        statements = _statements(text, name, problems)
        found.declare([statement for statement in statements if statement[0].text == "param"])
    except TopologyError:
        pass  # too many mistakes to go on: reading the topology reports them
    return found.defaults


def _statements(text: str, file: str, problems: Problems) -> list[Statement]:
    root = read_tree(text, file, problems)
    if root is None or (isinstance(root, Scalar) and (root.null or root.broken)):
        return []
    if not isinstance(root, Mapping):
        problems.add(root.place, f"{what_is(root)}; a topology is a mapping of {', '.join(SECTIONS)}")
        return []
    reader = _Reader(problems)
    for key, value in root:
        if key.text in SECTIONS:
            reader.read(key, value)
        else:
            near = did_you_mean(key.text, SECTIONS) or f"; a topology has {', '.join(SECTIONS)}"
            problems.add(key.place, f"{shown(key.text)} is no part of a topology{near}")
    return reader.statements


class _Reader:
    def __init__(self, problems: Problems) -> None:
        self.statements: list[Statement] = []
        self._problems = problems

    def read(self, section: Scalar, value: Tree) -> None:
        """Read one section."""
        if section.text == "links":
            for item in self._items(value, "links is a list of links"):
                self._link(item)
            return
        for key, inner in self._mapping(value, f"{section.text} is a mapping"):
            match section.text:
                case "parameters":
                    self._parameter(key, inner)
                case "options":
                    for pair in self._pairs([(key, inner)], "option", OPTIONS):
                        self._add(Word("option", key.place), pair)
                case "defaults":
                    entries = self._mapping(inner, f"what stands under {shown(key.text)} is a mapping of keys")
                    of_links = key.text == "link" or key.text in LINK_TYPES
                    known = known_keys(key.text, "link" if of_links else "node")
                    self._add(Word("default", key.place), key.word("name"), *self._pairs(entries, key.text, known))
                case _:
                    self._node(key, inner)

    def _parameter(self, key: Scalar, value: Tree) -> None:
        if not NAME.fullmatch(key.text):
            rule = "a parameter's name has letters, digits and _ and does not begin with a digit"
            self._problems.add(key.place, f"{shown(key.text)}: {rule}")
        elif not isinstance(value, Scalar):
            self._problems.add(value.place, f"parameter {key.text} is {what_is(value)}; it has one value")
        else:
            self._add(Word("param", key.place), key.word(""), Word("=", key.place), value.word(""))

    def _node(self, key: Scalar, value: Tree) -> None:
        entries = list(self._mapping(value, f"a node is a mapping such as {{type: container}}; {shown(key.text)}"))
        type_words = [self._scalar(inner, "type").word("type") for name, inner in entries if name.text == "type"]
        known = known_keys(type_words[0].text if type_words else "", "node")
        rest = [entry for entry in entries if entry[0].text != "type"]
        pairs = self._pairs(rest, "node", known)
        self._add(Word("node", key.place), key.word("name"), *type_words, *pairs)

    def _link(self, value: Tree) -> None:
        entries = list(self._mapping(value, "an item of links is a mapping such as {link: [a, b], type: wire}"))
        kinds = [entry for entry in entries if entry[0].text in LINK_KEYWORDS]
        if not entries:
            return
        if len(kinds) != 1:
            self._report_kinds(entries, [key for key, _ in kinds])
            return
        keyword, of_keyword = kinds[0]
        taken = {keyword.text, "type"} | ({"ends"} if keyword.text == "lan" else set())
        types = [self._scalar(inner, "type").word("type") for name, inner in entries if name.text == "type"]
        known = known_keys(types[0].text if types else "wire", "link")
        pairs = list(self._pairs([entry for entry in entries if entry[0].text not in taken], keyword.text, known))
        if keyword.text == "lan":
            listed = [inner for name, inner in entries if name.text == "ends"]
            if not types:
                self._problems.add(keyword.place, f"this lan has no type; types are {', '.join(LINK_TYPES)}")
            if not listed:
                self._problems.add(keyword.place, "this lan has no ends: {lan: NAME, type: TYPE, ends: [END, ...]}")
            if types and listed and (ends := self._ends(keyword, listed[0])):
                name = self._scalar(of_keyword, "the name of a lan").word("name")
                self._add(Word("lan", keyword.place), name, *types, *ends, *pairs)
        elif ends := self._ends(keyword, of_keyword):
            types = types or [Word("wire", keyword.place, role="type")]
            self._add(Word(keyword.text, keyword.place), *ends, *types, *pairs)

    def _report_kinds(self, entries: list[tuple[Scalar, Tree]], kinds: list[Scalar]) -> None:
        """Report an item of links that is of no kind, or of several."""
        wanted = f"one of {', '.join(LINK_KEYWORDS)}"
        if kinds:
            self._problems.add(kinds[1].place, f"{kinds[1].text} beside {kinds[0].text}; an item has {wanted}")
            return
        near = (did_you_mean(key.text, LINK_KEYWORDS) for key, _ in entries)
        hint = next((said for said in near if said), "")
        self._problems.add(entries[0][0].place, f"this item of links has not {wanted}{hint}")

    def _ends(self, keyword: Scalar, value: Tree) -> list[Word]:
        """Return the ends of a link; report where there are none."""
        items = list(self._items(value, f"the ends of a {keyword.text} are a list, such as [a, b]"))
        if not items and not isinstance(value, Mapping):
            self._problems.add(value.place, f"a {keyword.text} needs ends")
        return [self._scalar(end, "an end").word("name") for end in items]

    def _pairs(self, entries: Iterable[tuple[Scalar, Tree]], what: str, known: Iterable[str]) -> Iterator[Word]:
        """Yield entries as KEY=VALUE; report those that cannot be."""
        for key, value in entries:
            if not KEY.fullmatch(f"{key.text}="):
                near = did_you_mean(key.text, known)
                rule = "a key begins with a small letter and has letters, digits and _ . :"
                self._problems.add(key.place, f"{shown(key.text)} is no key of {what}{near or '; ' + rule}")
            elif isinstance(value, Scalar):
                yield value.pair(key)
            else:
                self._problems.add(value.place, f"{key.text} is {what_is(value)}; a key has one value")

    def _mapping(self, value: Tree, rule: str) -> Iterator[tuple[Scalar, Tree]]:
        if isinstance(value, Mapping):
            yield from value
        elif not (isinstance(value, Scalar) and (value.null or value.broken)):
            self._problems.add(value.place, f"{what_is(value)} stands here; {rule}")

    def _items(self, value: Tree, rule: str) -> Iterator[Tree]:
        """Yield the items of a list; a single value is a list of one."""
        if isinstance(value, Sequence):
            yield from value.items
        elif isinstance(value, Mapping):
            self._problems.add(value.place, f"a mapping stands here; {rule}")
        elif not value.null:
            yield value

    def _scalar(self, value: Tree, what: str) -> Scalar:
        if isinstance(value, Scalar) and not value.null:
            return value
        self._problems.add(value.place, f"{what} is {what_is(value)}; it is a single value")
        return Scalar("?", value.place, broken=True)

    def _add(self, *words: Word) -> None:
        self.statements.append(words)

"""Graphs as other programs write them, made statements: what GraphML, node-link JSON and topohub share.

A graph that says of no node what type it is (every program's but ours) gets its types by the parameters ``kind``,
``image``, ``link`` and ``routing``, and what it says that no topology can have is left out, with a warning. One that
names types is meant as a topology: what it says must be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from qemunet.topology.attributes import is_attribute
from qemunet.topology.formats.names import Names
from qemunet.topology.lexer import FORBIDDEN, Statement, Word
from qemunet.topology.model import Topology
from qemunet.topology.nodes import known_keys
from qemunet.topology.parameters import Parameters
from qemunet.topology.problems import Place, Problems, shown
from qemunet.topology.read import assemble
from qemunet.topology.registry import LINK_TYPES, NODE_TYPES, OPTIONS, Keys
from qemunet.topology.segments import Warnings
from qemunet.topology.statements import KEY, Value

KIND, LINK, ROUTING = "container", "wire", "static"
"""What the parameters kind, link and routing are where a source says nothing."""

ENDS, ORDER = "ends", "order"
"""Attributes of our own: the ends of a link in words; where among the links a lan stands, counted from 0."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node of a graph; one whose type is a type of link stands for a lan."""

    id: Value
    attributes: dict[str, Value]

    @property
    def is_lan(self) -> bool:
        """Whether it stands for a lan."""
        return "type" in self.attributes and self.attributes["type"].text in LINK_TYPES


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """An edge between two nodes, named by their ids."""

    source: Value
    target: Value
    attributes: dict[str, Value]
    place: Place


@dataclass
class Graph:
    """A graph as read.

    Attributes:
        file: What the source is called.
        attributes: Of the graph itself.
        directed: Whether an edge has one direction; two opposite ones are then one link.
        nested: Attributes that are lists or mappings: of what (nodes, links), their key and place.
    """

    file: str
    nodes: list[GraphNode] = field(default_factory=list)
    edges: list[GraphEdge] = field(default_factory=list)
    attributes: dict[str, Value] = field(default_factory=dict)
    directed: bool = False
    nested: list[tuple[str, str, Place]] = field(default_factory=list)

    @property
    def has_types(self) -> bool:
        """Whether any node has a type that there is, or there is no node that could lack one."""
        return not self.nodes or any(node.is_lan or _type_of(node.attributes) in NODE_TYPES for node in self.nodes)


def _type_of(attributes: Mapping[str, Value]) -> str:
    return attributes["type"].text if "type" in attributes else ""


ALL_PARAMETERS = {"kind": KIND, "image": "", "link": LINK, "routing": ROUTING}
"""What a graph without any types takes, with the defaults."""


def declared(graph: Graph) -> dict[str, str]:
    """Return the parameters that a graph takes, with their defaults: those for what it does not say itself."""
    if not graph.has_types:
        said = {"routing"} & graph.attributes.keys()
        return {name: text for name, text in ALL_PARAMETERS.items() if name not in said}
    found = {}
    if any("type" not in node.attributes for node in graph.nodes):
        found.update({"kind": KIND, "image": ""})
    lans = {node.id.text for node in graph.nodes if node.is_lan}
    untyped = (e for e in graph.edges if "type" not in e.attributes and not lans & {e.source.text, e.target.text})
    if next(untyped, None) is not None:
        found["link"] = LINK
    return found


def topology_of(graph: Graph, *, text: str, parameters: Mapping[str, str], problems: Problems) -> Topology:
    """Make a topology of a graph.

    Raises:
        TopologyError: every mistake there is.
    """
    given = Parameters(parameters, problems)
    start = Place(graph.file, 1, 1)
    given.declare(
        [
            (Word("param", start), Word(name, start), Word("=", start), Word(default, start))
            for name, default in declared(graph).items()
        ]
    )
    given.check_given(graph.file)
    maker = _Maker(graph, given.values, problems)
    statements = list(maker.statements())
    return assemble(
        statements, name=graph.file, text=text, parameters=given.values, problems=problems, warnings=maker.warnings
    )


class _Maker:
    """Makes the statements of a graph."""

    def __init__(self, graph: Graph, parameters: Mapping[str, str], problems: Problems) -> None:
        self.warnings: Warnings = []
        self._graph = graph
        self._strict = graph.has_types
        self._parameters = parameters
        self._problems = problems
        self._start = Place(graph.file, 1, 1)
        self._names: dict[str, str] = {}  # of nodes, by id
        self._lans: dict[str, GraphNode] = {}
        self._left_out: dict[str, dict[str, Place]] = {}

    def statements(self) -> Iterator[Statement]:
        """Yield them, options first, then nodes, then links in their order."""
        for key, value in self._graph.attributes.items():
            if key == "name":  # networkx's for the graph itself; a topology is called by its source
                continue
            if self._strict or (key in OPTIONS and OPTIONS[key].parse is not None):
                yield (Word("option", value.place), *self._pairs({key: value}, OPTIONS, "option"))
        if "routing" in self._parameters:
            yield (self._word("option"), Word(f"routing={self._parameters['routing']}", self._start, role="pair"))
        names = Names()
        for node in self._graph.nodes:
            if node.id.text in self._names or node.id.text in self._lans:
                self._problems.add(node.id.place, f"node {shown(node.id.text)} is given twice")
            elif node.is_lan:
                self._lans[node.id.text] = node
            else:
                yield self._node(node, names)
        yield from self._links()
        for what, key, place in self._graph.nested:
            if self._strict:
                self._problems.add(place, f"{shown(key)} of {what} is a list or a mapping; a key has one value")
            else:
                self._left_out.setdefault(what, {})[key] = place
        for what, left_out in self._left_out.items():
            listed = ", ".join(map(shown, left_out))
            self.warnings.append((next(iter(left_out.values())), f"{what} say what no topology has: {listed}"))

    def _word(self, text: str) -> Word:
        return Word(text, self._start)

    def _node(self, node: GraphNode, names: Names) -> Statement:
        attributes = dict(node.attributes)
        called = node.id
        if not self._strict and node.id.text.isdecimal():  # a number says less than what it is the number of
            called = next((attributes[key] for key in ("name", "label") if key in attributes), called)
        name = names.take(called.text)
        self._names[node.id.text] = name
        if name != called.text and "label" not in attributes:
            attributes["label"] = Value(FORBIDDEN.sub(" ", called.text), called.place)
        if not self._strict:
            attributes.pop("name", None)
            if "label" in attributes and attributes["label"].text == name:
                del attributes["label"]
        type_word = self._type(attributes, "kind")
        if "image" in self._parameters and self._parameters["image"] and "image" in known_keys(type_word.text, "node"):
            attributes.setdefault("image", Value(self._parameters["image"], self._start))
        place = node.id.place
        pairs = self._pairs(attributes, known_keys(type_word.text, "node"), "nodes")
        return (Word("node", place), Word(name, place, node.id.broken, role="name"), type_word, *pairs)

    def _type(self, attributes: dict[str, Value], parameter: str) -> Word:
        """Return the type that is written, else that of the parameter."""
        written = attributes.pop("type", None)
        if written is not None and self._strict:
            return Word(written.text, written.place, written.broken, role="type")
        if written is not None:
            self._left_out.setdefault("nodes" if parameter == "kind" else "links", {})["type"] = written.place
        return Word(self._parameters[parameter], self._start, role="type")

    def _pairs(self, values: Mapping[str, Value], known: Keys, what: str) -> Iterator[Word]:
        """Yield KEY=VALUE of what can be said."""
        for key, value in values.items():
            usable = is_attribute(known, key) or (key in known and known[key].parse is not None)
            if not self._strict and not usable:
                self._left_out.setdefault(what, {})[key] = value.place
            elif not KEY.fullmatch(f"{key}="):
                self._problems.add(value.place, f"{shown(key)} is no key of {what}")
            else:
                yield Word(f"{key}={value.text}", value.place, value.broken, role="pair")

    def _links(self) -> Iterator[Statement]:
        """Yield links and lans, each lan where its order says, else after the links."""
        members: dict[str, list[Word]] = {lan: [] for lan in self._lans}
        links: list[Statement] = []
        for edge in _joined(self._graph) if self._graph.directed else self._graph.edges:
            lan, other = edge.source.text, edge.target
            if lan not in self._lans:
                lan, other = edge.target.text, edge.source
            if lan in self._lans:
                members[lan] += self._ends(edge, [other])
            else:
                link = self._link(edge)
                if link is not None:
                    links.append(link)
        last = len(links) + len(self._lans)
        placed: list[tuple[int, Statement]] = []
        for id_, lan_node in self._lans.items():
            order = lan_node.attributes.pop(ORDER, None)
            index = int(order.text) if order and re.fullmatch("[0-9]{1,7}", order.text) else last
            placed.append((index, self._lan(lan_node, members[id_])))
        for index, statement in sorted(placed, key=lambda one: one[0]):
            links.insert(index, statement)
        yield from links

    def _lan(self, node: GraphNode, ends: list[Word]) -> Statement:
        attributes = dict(node.attributes)
        name = attributes.pop("name", node.id)
        type_word = self._type(attributes, "link")
        pairs = self._pairs(attributes, known_keys(type_word.text, "link"), "links")
        place = node.id.place
        return (Word("lan", place), Word(name.text, name.place, name.broken, role="name"), type_word, *ends, *pairs)

    def _link(self, edge: GraphEdge) -> Statement | None:
        if not self._strict and edge.source.text == edge.target.text:
            self.warnings.append((edge.place, f"node {shown(edge.source.text)} is linked to itself; left out"))
            return None
        attributes = dict(edge.attributes)
        ends = self._ends(edge, [edge.source, edge.target])
        attributes.pop(ENDS, None)
        if len(ends) != 2:
            return None  # reported
        type_word = self._type(attributes, "link")
        pairs = self._pairs(attributes, known_keys(type_word.text, "link"), "links")
        return (Word("link", edge.place), *ends, type_word, *pairs)

    def _ends(self, edge: GraphEdge, nodes: list[Value]) -> list[Word]:
        """Return the ends of an edge: as its attribute ``ends`` says, else its nodes."""
        found = [self._end_of(node) for node in nodes]
        written = edge.attributes.get(ENDS)
        if written is None or written.broken or None in found:
            return [word for word in found if word is not None]
        words = [Word(text, written.place, role="name") for text in written.text.split(" ")]
        said = sorted(word.text.partition("@")[0].partition(":")[0] for word in words)
        wanted = sorted(word.text for word in found if word is not None)
        if said != wanted:
            message = f"ends {shown(written.text)} are not those of this edge, {' and '.join(wanted)}"
            self._problems.add(written.place, message)
            return []
        return words

    def _end_of(self, node: Value) -> Word | None:
        if node.text in self._names:
            return Word(self._names[node.text], node.place, node.broken, role="name")
        if node.text in self._lans:
            self._problems.add(node.place, f"{shown(node.text)} is a lan; it is joined to nodes, not to another lan")
        elif not node.broken:
            near = self._problems.did_you_mean(node.text, self._names)
            self._problems.add(node.place, f"node {shown(node.text)} is not declared{near}")
        return None


def _joined(graph: Graph) -> list[GraphEdge]:
    """Return the edges of a directed graph with every two opposite ones joined: what differs becomes ``A/B``."""
    waiting: dict[tuple[str, str], list[int]] = {}
    joined: list[GraphEdge] = []
    for edge in graph.edges:
        back = waiting.get((edge.target.text, edge.source.text))
        if back:
            first = joined[back.pop(0)]
            for key, value in edge.attributes.items():
                mine = first.attributes.get(key)
                if mine is not None and mine.text != value.text and key in ("rate", "delay", "jitter", "loss"):
                    first.attributes[key] = Value(f"{mine.text}/{value.text}", mine.place, mine.broken or value.broken)
        else:
            waiting.setdefault((edge.source.text, edge.target.text), []).append(len(joined))
            joined.append(GraphEdge(edge.source, edge.target, dict(edge.attributes), edge.place))
    return joined

"""GraphML, read by expat event by event: no entity is expanded, nothing outside the file is read, depth is bounded."""

from __future__ import annotations

from xml.parsers import expat

from qemunet.errors import TopologyError
from qemunet.topology.formats import graph as graphs
from qemunet.topology.formats.graph import Graph, GraphEdge, GraphNode
from qemunet.topology.formats.tree import MOST_VALUES, is_too_large
from qemunet.topology.lexer import FORBIDDEN
from qemunet.topology.model import Topology
from qemunet.topology.problems import Place, Problems, shown
from qemunet.topology.statements import Value

DEEPEST = 32
"""Elements that may stand in one another; a graph needs four, what other programs draw with has more."""

_BOOLEANS = {"true": "yes", "false": "no"}


def parse(text: str, *, name: str, parameters: dict[str, str]) -> Topology:
    """Read a topology in GraphML.

    Raises:
        TopologyError: every mistake there is.
    """
    problems = Problems()
    graph = _read(text, name, problems)
    return graphs.topology_of(graph, text=text, parameters=parameters, problems=problems)


def declared(text: str, *, name: str) -> dict[str, str]:
    """Return the parameters that a graph takes, with their defaults; mistakes in it are ignored."""
    try:
        return graphs.declared(_read(text, name, Problems()))
    except TopologyError:
        return {}  # it cannot be read, or has too many mistakes to go on: reading the topology reports them


class _UnreadableError(Exception):
    """What follows cannot be read; why is reported."""


def _read(text: str, file: str, problems: Problems) -> Graph:
    """Read a graph.

    Raises:
        TopologyError: it is no XML, or has what is refused.
    """
    text = text.removeprefix("\ufeff")
    reader = _Reader(file, problems)
    if is_too_large(text, file, problems):
        problems.raise_if_any()
    try:
        reader.parser.Parse(text.encode("utf-8"), True)
    except UnicodeEncodeError as error:
        before = text[: error.start]
        place = Place(file, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
        problems.add(place, f"character U+{ord(text[error.start]):04X} cannot stand in a topology")
        problems.raise_if_any()
    except expat.ExpatError as error:
        place = Place(file, error.lineno, error.offset + 1)
        problems.add(place, f"this is not XML: {expat.ErrorString(error.code)}")
        problems.raise_if_any()
    except _UnreadableError:
        problems.raise_if_any()
    if not reader.seen_graph:
        problems.add(Place(file, 1, 1), "this is no GraphML: there is no graph in it")
    return reader.finish()


class _Key:
    """A ``key`` element: what the ``data`` that names it is of, and its value where there is none."""

    def __init__(self, name: str, of: str, type_: str) -> None:
        self.name = name
        self.of = of
        self.type = type_
        self.default: Value | None = None


class _Reader:
    """Follows the elements and builds the graph."""

    def __init__(self, file: str, problems: Problems) -> None:
        self.graph = Graph(file)
        self.seen_graph = False
        self.parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._entity
        self.parser.buffer_text = True
        self._file = file
        self._problems = problems
        self._depth = 0
        self._values = 0
        self._keys: dict[str, _Key] = {}
        self._key: _Key | None = None  # that whose default is read
        self._element: tuple[str, dict[str, Value]] | None = None  # node or edge
        self._data: tuple[str, Place, int] | None = None  # key, place and depth of the data element
        self._text: list[str] = []
        self._nested_text = ""

    def finish(self) -> Graph:
        """Return the graph, with the defaults of its keys filled in."""
        defaults = [key for key in self._keys.values() if key.default is not None]
        for key in defaults:
            assert key.default is not None
            if key.of in ("node", "all"):
                for node in self.graph.nodes:
                    node.attributes.setdefault(key.name, key.default)
            if key.of in ("edge", "all"):
                for edge in self.graph.edges:
                    edge.attributes.setdefault(key.name, key.default)
            if key.of in ("graph", "all"):
                self.graph.attributes.setdefault(key.name, key.default)
        return self.graph

    def _place(self) -> Place:
        return Place(self._file, self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1)

    def _fail(self, message: str) -> None:
        self._problems.add(self._place(), message)
        raise _UnreadableError

    def _entity(self, name: str, *_: object) -> None:
        self._fail(f"entity {shown(name)}: a topology declares no entities")

    def _start(self, qualified: str, xml: dict[str, str]) -> None:
        self._depth += 1
        self._values += 1
        if self._depth > DEEPEST:
            self._fail(f"nested more than {DEEPEST} deep")
        if self._values > MOST_VALUES:
            self._fail(f"more than {MOST_VALUES} elements")
        name = qualified.rpartition(" ")[2]
        if self._data is not None:
            self._text = []  # what a drawing program put there; its innermost text is its label
            return
        place = self._place()
        if name == "key":
            self._key = _Key(xml.get("attr.name", xml.get("id", "")), xml.get("for", "all"), xml.get("attr.type", ""))
            self._keys[xml.get("id", "")] = self._key
        elif name in ("data", "default"):
            self._data = (xml.get("key", ""), place, self._depth)
            self._text = []
            self._nested_text = ""
        elif name == "graph":
            if self._element is not None or self.seen_graph:
                self._fail("a second graph; a topology is one")
            self.seen_graph = True
            self.graph.directed = xml.get("edgedefault") == "directed"
        elif name == "node" and self._outside(name):
            if "id" not in xml:
                self._problems.add(place, 'this node has no id; write <node id="NAME">')
            attributes: dict[str, Value] = {}
            self._element = ("node", attributes)
            if "id" in xml:
                self.graph.nodes.append(GraphNode(Value(xml["id"], place), attributes))
        elif name == "edge" and self._outside(name):
            for end in ("source", "target"):
                if end not in xml:
                    self._problems.add(place, f'this edge has no {end}; write <edge source="NAME" target="NAME">')
            attributes = {}
            self._element = ("edge", attributes)
            if "source" in xml and "target" in xml:
                ends = Value(xml["source"], place), Value(xml["target"], place)
                self.graph.edges.append(GraphEdge(*ends, attributes, place))
        elif name == "hyperedge":
            self._problems.add(
                place, "hyperedges are not read; write a lan as a node of its type and an edge to each end"
            )

    def _outside(self, name: str) -> bool:
        if self._element is not None:
            self._fail(f"a {name} inside of a {self._element[0]}")
        if not self.seen_graph:
            self._fail(f"a {name} outside of a graph")
        return True

    def _characters(self, text: str) -> None:
        if self._data is not None:
            self._text.append(text)

    def _end(self, qualified: str) -> None:
        name = qualified.rpartition(" ")[2]
        if self._data is not None and self._depth == self._data[2]:
            self._take_data(self._data[0], self._data[1])
            self._data = None
        elif self._data is not None:
            self._nested_text = self._nested_text or "".join(self._text).strip()
            self._text = []
        elif name == "key":
            self._key = None
        elif name in ("node", "edge") and self._element is not None and self._element[0] == name:
            self._element = None
        self._depth -= 1

    def _take_data(self, key_id: str, place: Place) -> None:
        text = "".join(self._text)
        if "\n" in text:  # laid out by whoever wrote it
            text = " ".join(text.split())
        key = self._key or self._keys.get(key_id)
        if key is None:
            self._problems.add(
                place, f"this data is of key {shown(key_id)}, which is not declared{self._nearest(key_id)}"
            )
            return
        name = key.name
        if self._nested_text:
            name, text = "label", self._nested_text
        if key.type == "boolean":
            text = _BOOLEANS.get(text, text)
        broken = False
        if forbidden := FORBIDDEN.search(text):
            self._problems.add(place, f"character U+{ord(forbidden[0]):04X} cannot stand in a topology")
            broken = True
        value = Value(text, place, broken)
        if self._key is not None:
            self._key.default = value
            return
        attributes = self._element[1] if self._element is not None else self.graph.attributes
        if name in attributes and not self._nested_text:
            self._problems.add(place, f"{shown(name)} is given twice")
        attributes.setdefault(name, value)

    def _nearest(self, key_id: str) -> str:
        return self._problems.did_you_mean(key_id, self._keys)

"""Node-link JSON, as networkx writes it."""

from __future__ import annotations

from qemunet.errors import TopologyError
from qemunet.topology.formats import graph as graphs
from qemunet.topology.formats.graph import Graph, GraphEdge, GraphNode
from qemunet.topology.formats.json_tree import read_tree
from qemunet.topology.formats.tree import Mapping, Scalar, Sequence, Tree, what_is
from qemunet.topology.model import Topology
from qemunet.topology.problems import Problems, did_you_mean, shown
from qemunet.topology.statements import Value

_PARTS = ("nodes", "edges", "links", "graph", "directed", "multigraph")
_ENDS_OF_EDGE = ("source", "target")


def parse(text: str, *, name: str, parameters: dict[str, str]) -> Topology:
    """Read a topology in node-link JSON.

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
        return {}  # too many mistakes to go on: reading the topology reports them


def _read(text: str, file: str, problems: Problems) -> Graph:
    graph = Graph(file)
    root = read_tree(text, file, problems)
    if root is None:
        problems.raise_if_any()
    if not isinstance(root, Mapping):
        if root is not None:
            problems.add(root.place, f"{what_is(root)}; a graph is an object with nodes and edges")
        return graph
    reader = _Reader(graph, problems)
    if root.get("nodes") is None:
        keys = [key.text for key, _ in root]
        near = did_you_mean("nodes", keys)
        message = "this graph has no nodes; a node-link graph is an object with nodes and edges"
        problems.add(root.place, message + (f" (seen: {', '.join(map(shown, keys[:10]))})" if near or keys else ""))
    for key, value in root:
        match key.text:
            case "nodes":
                for item in reader.items(value, "nodes"):
                    reader.node(item)
            case "edges" | "links":
                for item in reader.items(value, "edges"):
                    reader.edge(item)
            case "graph" if isinstance(value, Mapping):
                graph.attributes = reader.attributes(value, (), "graph")
            case "directed":
                graph.directed = isinstance(value, Scalar) and value.text == "yes"
    return graph


class _Reader:
    def __init__(self, graph: Graph, problems: Problems) -> None:
        self._graph = graph
        self._problems = problems

    def items(self, value: Tree, what: str) -> tuple[Tree, ...]:
        if isinstance(value, Sequence):
            return value.items
        self._problems.add(value.place, f"{what} is {what_is(value)}; it is a list")
        return ()

    def node(self, item: Tree) -> None:
        id_ = self._value(item, "id", 'a node is an object with an id, such as {"id": "a"}')
        if id_ is not None and isinstance(item, Mapping):
            self._graph.nodes.append(GraphNode(id_, self.attributes(item, ("id",), "nodes")))

    def edge(self, item: Tree) -> None:
        rule = 'an edge is an object with a source and a target, such as {"source": "a", "target": "b"}'
        source, target = (self._value(item, key, rule) for key in _ENDS_OF_EDGE)
        if source is not None and target is not None and isinstance(item, Mapping):
            attributes = self.attributes(item, (*_ENDS_OF_EDGE, "key"), "links")
            self._graph.edges.append(GraphEdge(source, target, attributes, item.place))

    def attributes(self, item: Mapping, without: tuple[str, ...], what: str) -> dict[str, Value]:
        """Return the values of a mapping; null is none, and those of more than one value are noted."""
        found = {}
        for key, value in item:
            if key.text in without or key.broken:
                continue
            if not isinstance(value, Scalar):
                self._graph.nested.append((what, key.text, key.place))
            elif not value.null:
                found[key.text] = Value(value.text, value.place, value.broken)
        return found

    def _value(self, item: Tree, key: str, rule: str) -> Value | None:
        value = item.get(key) if isinstance(item, Mapping) else None
        if isinstance(value, Sequence):
            value = _of_tuple(value) or value
        if isinstance(value, Scalar) and not value.null:
            return Value(value.text, value.place, value.broken)
        seen = what_is(item) if not isinstance(item, Mapping) else f"no {key}" if value is None else what_is(value)
        self._problems.add((value or item).place, f"{seen} stands here; {rule}")
        return None


def _of_tuple(value: Sequence) -> Scalar | None:
    """Return as text what networkx writes as a list: an id that is a tuple, as those of its grids are."""
    parts = [_of_tuple(item) if isinstance(item, Sequence) else item for item in value.items]
    scalars = [part for part in parts if isinstance(part, Scalar) and not part.null]
    if not scalars or len(scalars) != len(parts):
        return None
    text = f"({', '.join(scalar.text for scalar in scalars)})"
    return Scalar(text, value.place, broken=any(scalar.broken for scalar in scalars))

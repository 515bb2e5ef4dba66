"""What GraphML and node-link JSON have in common when written.

A lan is a node whose type is its own, with an edge to each of its ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qemunet.errors import TopologyError
from qemunet.topology.formats.expanded import Row, rows
from qemunet.topology.formats.graph import ENDS, ORDER
from qemunet.topology.model import Link, Node, Topology

RESERVED = ("id", "key", "source", "target", ENDS, ORDER)
"""What attributes of nodes and edges cannot be called: they have a meaning of their own."""


@dataclass(frozen=True)
class Rows:
    """A graph to be written: nodes by id, and edges as source, target, key and attributes."""

    nodes: Mapping[str, Mapping[str, str]]
    edges: list[tuple[str, str, str, Mapping[str, str]]]


def graph_rows(topology: Topology) -> Rows:
    """Return the nodes and edges of a topology.

    Raises:
        TopologyError: a graph cannot say it.
    """
    links = rows(topology)
    problems = []
    items: list[Node | Link] = [*topology.nodes.values(), *topology.links.values()]
    for item in items:
        problems += [
            f"{item.place_of(key)}: {item.name}: key {key} has another meaning in a graph"
            for key in item.attributes
            if key in RESERVED
        ]
    if problems:
        raise TopologyError(problems)
    nodes: dict[str, Mapping[str, str]] = {
        node.name: {"type": node.type, **node.attributes} for node in topology.nodes.values()
    }
    edges: list[tuple[str, str, str, Mapping[str, str]]] = []
    for number, row in enumerate(links):
        link = row.link
        if not row.is_lan:
            name = {"name": row.name} if row.name else {}
            attributes = {"type": link.type, ENDS: " ".join(row.ends), **name, **link.attributes}
            edges.append((link.ends[0].node, link.ends[1].node, link.name, attributes))
            continue
        id_ = _free(link.name, nodes)
        name = {"name": link.name} if id_ != link.name else {}
        nodes[id_] = {"type": link.type, ORDER: str(number), **name, **link.attributes}
        edges += _members(id_, row)
    return Rows(nodes, edges)


def _members(id_: str, row: Row) -> list[tuple[str, str, str, Mapping[str, str]]]:
    return [
        (id_, end.node, f"{row.link.name}:{index}", {ENDS: text})
        for index, (end, text) in enumerate(zip(row.link.ends, row.ends, strict=True))
    ]


def _free(name: str, taken: Mapping[str, object]) -> str:
    """Return the id of a lan: its name, which a node may have as well."""
    while name in taken:
        name += "#"
    return name

"""GraphML, written as networkx and other programs read it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

from qemunet.errors import TopologyError
from qemunet.topology.formats.graph_writer import graph_rows
from qemunet.topology.model import Topology
from qemunet.topology.problems import shown

_NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_NOT_XML = re.compile("[\ufffe\uffff]")


def write(topology: Topology) -> str:
    """Return the topology as GraphML.

    Raises:
        TopologyError: the format cannot say it.
    """
    graph = graph_rows(topology)
    texts = [*topology.options.values(), *(text for node in graph.nodes.values() for text in node.values())]
    texts += [text for edge in graph.edges for text in edge[3].values()]
    unsayable = sorted({text for text in texts if _NOT_XML.search(text)})
    if unsayable:
        raise TopologyError([f"{topology.name}:1:1: {shown(text)} cannot stand in XML" for text in unsayable])
    root = ElementTree.Element("graphml", xmlns=_NAMESPACE)
    ids: dict[tuple[str, str], str] = {}
    rows = [("graph", topology.options), *(("node", attributes) for attributes in graph.nodes.values())]
    rows += [("edge", attributes) for _, _, _, attributes in graph.edges]
    for of, attributes in rows:
        for key in attributes:
            if (of, key) not in ids:
                ids[of, key] = f"d{len(ids)}"
                ElementTree.SubElement(
                    root, "key", {"id": ids[of, key], "for": of, "attr.name": key, "attr.type": "string"}
                )

    def fill(element: ElementTree.Element, of: str, attributes: Mapping[str, str]) -> None:
        for key, text in attributes.items():
            ElementTree.SubElement(element, "data", {"key": ids[of, key]}).text = text

    body = ElementTree.SubElement(root, "graph", {"edgedefault": "undirected"})
    fill(body, "graph", topology.options)
    for id_, attributes in graph.nodes.items():
        fill(ElementTree.SubElement(body, "node", {"id": id_}), "node", attributes)
    for source, target, key, attributes in graph.edges:
        edge = ElementTree.SubElement(body, "edge", {"id": key, "source": source, "target": target})
        fill(edge, "edge", attributes)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"

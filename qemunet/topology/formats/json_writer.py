"""Node-link JSON, written as networkx writes and reads it."""

from __future__ import annotations

import json

from qemunet.topology.formats.graph_writer import graph_rows
from qemunet.topology.model import Topology


def write(topology: Topology) -> str:
    """Return the topology as node-link JSON, of a multigraph.

    Raises:
        TopologyError: the format cannot say it.
    """
    graph = graph_rows(topology)
    document = {
        "directed": False,
        "multigraph": True,
        "graph": dict(topology.options),
        "nodes": [{"id": id_, **attributes} for id_, attributes in graph.nodes.items()],
        "edges": [
            {"source": source, "target": target, "key": key, **attributes}
            for source, target, key, attributes in graph.edges
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

"""Networks of the package topohub: Topology Zoo, SNDlib, backbones and synthetic ones.

A link's delay is its length at 200,000 km/s, the speed of light in fibre. Nodes stand where they are on the globe, in
metres from the middle of the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from math import cos, radians
from pathlib import PurePosixPath
from typing import Any

from qemunet.errors import TopologyError
from qemunet.topology.formats import graph as graphs
from qemunet.topology.formats.graph import Graph, GraphEdge, GraphNode
from qemunet.topology.model import Topology
from qemunet.topology.problems import Place, Problems, did_you_mean, shown
from qemunet.topology.statements import Value

_NS_PER_KM = 5_000
_METRES_PER_DEGREE = 111_195


def read(source: str, *, parameters: Mapping[str, str]) -> Topology:
    """Read a network such as ``topohub:topozoo/Abilene``.

    Raises:
        TopologyError: there is no such network, or a parameter is wrong.
    """
    text = _text_of(source)
    return graphs.topology_of(_graph(source, json.loads(text)), text=text, parameters=parameters, problems=Problems())


def declared() -> dict[str, str]:
    """Return the parameters that every network takes, with their defaults."""
    return dict(graphs.ALL_PARAMETERS)


def _text_of(source: str) -> str:
    key = source.partition(":")[2]
    data = resources.files("topohub") / "data"
    parts = key.split("/")
    if not any(part in ("", ".", "..") or not part.isprintable() for part in parts):
        try:
            return (data / f"{key}.json").read_text(encoding="utf-8")
        except OSError:
            pass
    with resources.as_file(data) as folder:
        known = [
            str(PurePosixPath(path.relative_to(folder)).with_suffix("")) for path in sorted(folder.rglob("*.json"))
        ]
    group = [name for name in known if name.partition("/")[0] == parts[0]]
    hint = did_you_mean(key, group or known)
    hint = hint or f"; groups are {', '.join(dict.fromkeys(name.partition('/')[0] for name in known))}"
    raise TopologyError([f"{source}:1:1: topohub has no network {shown(key)}{hint}"])


def _graph(source: str, document: Mapping[str, Any]) -> Graph:
    place = Place(source, 1, 1)
    graph = Graph(source)
    positions = _positions([node.get("pos") for node in document["nodes"]])
    for node, position in zip(document["nodes"], positions, strict=True):
        attributes = {"position": Value(position, place)} if position else {}
        if node.get("name"):
            attributes["name"] = Value(str(node["name"]), place)
        graph.nodes.append(GraphNode(Value(str(node["id"]), place), attributes))
    for edge in document["edges"]:
        delay_ns = round(float(edge.get("dist") or 0) * _NS_PER_KM)
        source_id, target_id = (Value(str(edge[key]), place) for key in ("source", "target"))
        graph.edges.append(GraphEdge(source_id, target_id, {"delay": Value(_milliseconds(delay_ns), place)}, place))
    return graph


def _milliseconds(time_ns: int) -> str:
    """Write nanoseconds in milliseconds, exactly."""
    whole, rest = divmod(time_ns, 1_000_000)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".") + "ms"


def _positions(degrees: list[Any]) -> list[str | None]:
    """Return longitudes and latitudes as metres east and north of their middle, where all have them."""
    points = [point for point in degrees if point]
    if len(points) != len(degrees) or not points:
        return [None] * len(degrees)
    longitude, latitude = (sum(point[axis] for point in points) / len(points) for axis in (0, 1))
    east = _METRES_PER_DEGREE * cos(radians(latitude))
    return [f"{round((x - longitude) * east)},{round((y - latitude) * _METRES_PER_DEGREE)}" for x, y, *_ in points]

"""Where everything stands in a picture: at its position where all have one, else so that distances tell hops.

Coordinates are in inches, y upwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import atan2, cos, hypot, pi, sin, sqrt
from typing import Any

import networkx
import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import shortest_path

from qemunet.drawing.labels import LABEL_POINTS, Point, size_of
from qemunet.drawing.style import link_label
from qemunet.topology import Lan, Topology

Array = npt.NDArray[np.float64]

_EDGE_INCHES = 1.75  # of a link where the layout is free to choose
_ROOM_INCHES = 0.9  # of a link beside its label
_LINKS_PER_NODE = 1.4  # above which links cross so often that they need more room
_APART_INCHES = 0.75  # of any two nodes
_WIDEST_INCHES = 24.0
_SMALL = 24
_MOST_TRIED = 80  # nodes of a network that is laid out twice, of which the better is taken
_MOST_KAMADA_KAWAI = 200  # its descent takes seconds for so many
_MOST_PAIRS = 2500  # nodes of a network of which every pair is looked at
_MOST_PUSHED = 400  # where there are more, there is no room to push anything to
_MAJORIZATIONS = 100


def vertex_of(lan: str) -> str:
    """Return what a lan is called among the places: a blank tells it from a node of the same name."""
    return f"lan {lan}"


def place_all(topology: Topology) -> dict[str, Point]:
    """Return where every node and lan stands."""
    given = given_positions(topology)
    edge_inches = _edge_inches(topology)
    if given is None:
        graph = _graph(topology)
        parts = networkx.connected_components(graph)
        points = _pack([_lay_out(graph.subgraph(part), edge_inches) for part in parts])
    else:
        points = _to_inches(given, topology, edge_inches)
    _push_apart(points, [name for name in topology.nodes if name in points])
    for link in topology.links.values():
        if isinstance(link, Lan) and vertex_of(link.name) not in points:
            members = [points[end.node] for end in link.ends]
            points[vertex_of(link.name)] = _mean(members)
    _push_apart(points, list(points), fixed=set(topology.nodes))
    return points


def _edge_inches(topology: Topology) -> float:
    """Return how long links should be: nearly all labels fit, and the more the links cross, the longer."""
    widths = sorted(size_of(link_label(link), LABEL_POINTS)[0] for link in topology.links.values())
    label = widths[len(widths) * 9 // 10] + _ROOM_INCHES if widths else 0.0
    crowd = len(topology.links) / max(1, len(topology.nodes)) / _LINKS_PER_NODE
    return max(_EDGE_INCHES, label) * max(1.0, sqrt(crowd))


def given_positions(topology: Topology) -> dict[str, Point] | None:
    """Return the positions of all nodes in metres, or None where one has none or all are at one place."""
    found = {}
    for node in topology.nodes.values():
        try:
            x, y, *_ = (float(text) for text in node.attributes.get("position", "").split(","))
        except ValueError:
            return None
        found[node.name] = (x, y)
    return found if len(set(found.values())) > 1 or len(found) == 1 else None


def _graph(topology: Topology) -> Any:
    graph = networkx.Graph()
    graph.add_nodes_from(topology.nodes)
    for link in topology.links.values():
        if isinstance(link, Lan):
            graph.add_edges_from((vertex_of(link.name), end.node) for end in link.ends)
        else:
            graph.add_edge(link.ends[0].node, link.ends[1].node)
    return graph


def _lay_out(graph: Any, edge_inches: float) -> dict[str, Point]:
    """Lay out a connected graph."""
    names = list(graph)
    if len(names) == 1:
        return {names[0]: (0.0, 0.0)}
    if len(names) == 2:
        return {names[0]: (0.0, 0.0), names[1]: (edge_inches * 1.3, 0.0)}
    if len(names) > _MOST_PAIRS:
        found = networkx.spring_layout(graph, seed=1, iterations=30)
        laid = np.array([found[name] for name in names])
    else:
        laid = _by_hops(graph, names)
    points = {name: (float(x), float(y)) for name, (x, y) in zip(names, laid, strict=True)}
    points = _turned(points, list(graph.edges))
    lengths = sorted(_distance(points[a], points[b]) for a, b in graph.edges)
    usual = lengths[len(lengths) // 2] or 1.0
    scale = max(edge_inches / usual, _APART_INCHES / _usual_room(list(points.values())))
    widest = max(_extent(points.values()))
    scale = min(scale, max(_WIDEST_INCHES, 0.55 * sqrt(len(names)) * edge_inches) / widest)
    return {name: (x * scale, y * scale) for name, (x, y) in points.items()}


def _by_hops(graph: Any, names: list[str]) -> Array:
    """Return places whose distances are the hops between them as nearly as a plane allows."""
    hops = shortest_path(networkx.to_scipy_sparse_array(graph, weight=None), unweighted=True)
    is_chain = max(degree for _, degree in graph.degree) <= 2
    if graph.number_of_edges() == len(names) - 1 and (is_chain or len(names) > _SMALL):
        return _around(graph, names, hops)  # where hops tell little: most of a tree are leaves, all as far apart
    start = _scaled(hops)
    if len(names) > _MOST_KAMADA_KAWAI:
        return _majorized(start, hops)
    starts = [start, np.array(list(networkx.circular_layout(graph).values()))]
    tried = [_kamada_kawai(graph, names, hops, one) for one in starts[: 2 if len(names) <= _MOST_TRIED else 1]]
    return min(tried, key=lambda where: _strain(where, hops))


def _around(graph: Any, names: list[str], hops: Array) -> Array:
    """Return places of a tree around its middle: each node between the first and the last leaf below it."""
    root = names[int(hops.max(axis=1).argmin())]
    order = list(networkx.dfs_postorder_nodes(graph, root))
    parents = dict(networkx.dfs_predecessors(graph, root))
    turns: dict[str, list[float]] = {name: [] for name in names}
    leaves = sum(1 for name in names if graph.degree(name) == 1 and name != root)
    leaf = 0
    for name in order:
        if not turns[name]:
            turns[name].append(2 * pi * leaf / leaves)
            leaf += 1
        if name in parents:
            turns[parents[name]].append((turns[name][0] + turns[name][-1]) / 2)
    angles = np.array([(turns[name][0] + turns[name][-1]) / 2 for name in names])
    where: Array = hops[names.index(root)][:, None] * np.column_stack((np.cos(angles), np.sin(angles)))
    return where


def _scaled(hops: Array) -> Array:
    """Return places whose distances are the hops as nearly as a plane allows in one step (classical scaling).

    It unfolds grids and rings, which Kamada and Kawai's descent may leave folded when it begins elsewhere.
    """
    count = len(hops)
    centred = np.eye(count) - 1.0 / count
    values, vectors = np.linalg.eigh(-0.5 * centred @ hops**2 @ centred)
    where = vectors[:, -2:] * np.sqrt(np.clip(values[-2:], 0.0, None))
    # Leaves of one node fall on one place; a descent cannot part them.
    angles = np.arange(count) * 2.399963
    return np.asarray(where + 0.01 * np.column_stack((np.cos(angles), np.sin(angles))))


def _kamada_kawai(graph: Any, names: list[str], hops: Array, start: Array) -> Array:
    distances = {name: dict(zip(names, row, strict=True)) for name, row in zip(names, hops, strict=True)}
    laid = networkx.kamada_kawai_layout(graph, dist=distances, pos=dict(zip(names, start, strict=True)))
    return np.array([laid[name] for name in names])


def _majorized(where: Array, hops: Array) -> Array:
    """Move everybody to where the others, each weighted by its nearness, would have it; again and again.

    It comes to what Kamada and Kawai ask for as well, in a time that grows with the pairs alone.
    """
    weights = 1.0 / (hops + np.eye(len(hops))) ** 2
    np.fill_diagonal(weights, 0.0)
    total = weights.sum(axis=1)[:, None]
    for _ in range(_MAJORIZATIONS):
        distance = np.sqrt(((where[:, None, :] - where[None, :, :]) ** 2).sum(axis=2)) + np.eye(len(hops))
        pull = weights * hops / np.maximum(distance, 1e-9)
        wanted = (weights @ where + where * pull.sum(axis=1)[:, None] - pull @ where) / total
        where = 0.5 * (where + wanted)
    return where


def _strain(where: Array, hops: Array) -> float:
    """Return how far distances are from the hops, at the best scale, in shares of them."""
    upper = np.triu_indices(len(hops), 1)
    distance = np.sqrt(((where[:, None, :] - where[None, :, :]) ** 2).sum(axis=2))[upper] / hops[upper]
    scale = distance.sum() / (distance**2).sum()
    return float(((distance * scale - 1.0) ** 2).sum())


def _turned(points: Mapping[str, Point], edges: Sequence[tuple[str, str]]) -> dict[str, Point]:
    """Turn a layout: its links along the axes where most are at right angles, else its length along x; then upright."""
    vectors = [(points[b][0] - points[a][0], points[b][1] - points[a][1]) for a, b in edges]
    total = sum(hypot(*vector) for vector in vectors)
    real = sum(hypot(x, y) * cos(4 * atan2(y, x)) for x, y in vectors)
    imaginary = sum(hypot(x, y) * sin(4 * atan2(y, x)) for x, y in vectors)
    if total and hypot(real, imaginary) > 0.7 * total:
        angle = atan2(imaginary, real) / 4
    else:
        spread = np.cov(np.array(list(points.values())).T)
        angle = 0.5 * float(np.arctan2(2 * spread[0][1], spread[0][0] - spread[1][1]))
    turned = _turn(points, -angle)
    width, height = _extent(turned.values())
    if height > width * 1.05:
        turned = _turn(turned, pi / 2)
    first = next(iter(turned))  # the first node of the source goes left, and up
    flip_x, flip_y = (1.0 if turned[first][axis] * side <= 0 else -1.0 for axis, side in ((0, 1.0), (1, -1.0)))
    return {name: (x * flip_x, y * flip_y) for name, (x, y) in turned.items()}


def _turn(points: Mapping[str, Point], angle: float) -> dict[str, Point]:
    middle = _mean(points.values())
    c, s = cos(angle), sin(angle)
    around = {name: (x - middle[0], y - middle[1]) for name, (x, y) in points.items()}
    return {name: (x * c - y * s, x * s + y * c) for name, (x, y) in around.items()}


def _pack(parts: list[dict[str, Point]]) -> dict[str, Point]:
    """Put separate parts beside one another, in rows."""
    ordered = sorted(parts, key=len, reverse=True)
    sizes = [_extent(part.values()) for part in ordered]
    area = sum((width + _EDGE_INCHES) * (height + _EDGE_INCHES) for width, height in sizes)
    row_width = max(sqrt(area) * 1.3, sizes[0][0] if sizes else 0.0)
    packed: dict[str, Point] = {}
    left = top = row_height = 0.0
    for part, (width, height) in zip(ordered, sizes, strict=True):
        if left and left + width > row_width:
            left, top, row_height = 0.0, top - row_height - _EDGE_INCHES, 0.0
        x0 = min(x for x, _ in part.values())
        y1 = max(y for _, y in part.values())
        packed.update({name: (x - x0 + left, y - y1 + top) for name, (x, y) in part.items()})
        left += width + _EDGE_INCHES
        row_height = max(row_height, height)
    return packed


def _to_inches(given: Mapping[str, Point], topology: Topology, edge_inches: float) -> dict[str, Point]:
    """Scale positions so that links are as long as the picture needs, in the mean."""
    width, height = _extent(given.values())
    lengths = sorted(
        _distance(given[link.ends[0].node], given[end.node])
        for link in topology.links.values()
        for end in link.ends[1:]
    )
    usual = lengths[len(lengths) // 2] if lengths else 0.0
    least = 3.2 + 1.45 * sqrt(len(given))
    wanted = min(_WIDEST_INCHES, max(least, max(width, height) / usual * edge_inches if usual else 0.0))
    scale = wanted / max(width, height, 1e-9)
    return {name: (x * scale, y * scale) for name, (x, y) in given.items()}


def _push_apart(points: dict[str, Point], names: Sequence[str], fixed: Iterable[str] = ()) -> None:
    """Move what stands too close to something else, as little as it takes."""
    if not 1 < len(names) <= _MOST_PUSHED:
        return
    where: Array = np.array([points[name] for name in names])
    still = np.array([name in set(fixed) for name in names])
    # Those at the very same place go in different directions.
    angles = np.arange(len(names)) * 2.399963
    aside = 1e-3 * np.column_stack((np.cos(angles), np.sin(angles))) * (~still)[:, None]
    for _ in range(120):
        between = where[:, None, :] - where[None, :, :]
        distance = np.sqrt((between**2).sum(axis=2))
        np.fill_diagonal(distance, np.inf)
        if distance.min() < 1e-6:
            where += aside
            continue
        lacking = np.clip(_APART_INCHES - distance, 0.0, None)
        if not (lacking > 1e-3).any():
            break
        push = (between / distance[:, :, None] * (lacking / 2)[:, :, None]).sum(axis=1)
        where += push * (~still)[:, None]
    points.update({name: (float(x), float(y)) for name, (x, y) in zip(names, where, strict=True)})


def _usual_room(points: Sequence[Point]) -> float:
    """Return how far the nearest neighbour is, for all but the one in eight that is worst off."""
    where = np.array(points[:_MOST_PAIRS])
    distance = np.sqrt(((where[:, None, :] - where[None, :, :]) ** 2).sum(axis=2))
    np.fill_diagonal(distance, np.inf)
    nearest = np.sort(distance.min(axis=1))
    return max(float(nearest[len(nearest) // 8]), 1e-6)


def _extent(points: Iterable[Point]) -> tuple[float, float]:
    xs, ys = zip(*points, strict=True)
    return max(xs) - min(xs), max(ys) - min(ys)


def _mean(points: Iterable[Point]) -> Point:
    xs, ys = zip(*points, strict=True)
    return sum(xs) / len(xs), sum(ys) / len(ys)


def _distance(a: Point, b: Point) -> float:
    return hypot(a[0] - b[0], a[1] - b[1])

"""Topologies of common shapes, written in the text format.

What is written takes the parameters ``kind``, ``image``, ``link``, ``routing``, ``rate`` and ``delay``; chains, rings and
stars also ``N``, fat trees ``switch``, the type of all nodes that are no hosts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from qemunet.errors import TopologyError
from qemunet.topology.formats.graph import KIND, LINK, ROUTING
from qemunet.topology.formats.text_writer import quoted
from qemunet.topology.links import MOST_LINKS
from qemunet.topology.nodes import MOST_NODES
from qemunet.topology.parameters import NAME
from qemunet.topology.problems import did_you_mean, shown

_COMMON = {"kind": KIND, "image": "", "link": LINK, "routing": ROUTING, "rate": "100Mbps", "delay": "1ms"}
_WIFI_RATE = "54Mbps"
_WIDTH = 9

Body = Iterator[str]


@dataclass(frozen=True)
class Shape:
    """A shape.

    Attributes:
        doc: What it is, with ``{}`` for each number.
        numbers: What its numbers are called.
        least: The least that each may be.
        count: How many nodes and links it has.
        body: Its statements.
        parameters: Those of its own, with their defaults; ``{}`` is the first number.
        optional: How many of the numbers may be left out.
    """

    doc: str
    numbers: tuple[str, ...]
    least: tuple[int, ...]
    count: Callable[..., tuple[int, int]]
    body: Callable[..., Body]
    parameters: Mapping[str, str]
    optional: int = 0


def _row(keyword: str) -> Callable[[int], Body]:
    def body(_: int) -> Body:
        yield "node    n[1-${N}]  ${kind}"
        yield f"{keyword:<7} n[1-${{N}}]  ${{link}}"

    return body


def _grid(rows: int, columns: int) -> Body:
    yield f"node    r[1-{rows}]c[1-{columns}]  ${{kind}}"
    yield from (f"chain   r{row}c[1-{columns}]  ${{link}}" for row in range(1, rows + 1) if columns > 1)
    yield from (f"chain   r[1-{rows}]c{column}  ${{link}}" for column in range(1, columns + 1) if rows > 1)


def _tree(depth: int, fanout: int) -> Body:
    total = _tree_size(depth, fanout)
    yield f"node    n[1-{total}]  ${{kind}}"
    for parent in range(1, _tree_size(depth - 1, fanout) + 1):
        first = (parent - 1) * fanout + 2
        yield f"star    n{parent} n[{first}-{first + fanout - 1}]  ${{link}}"


def _tree_size(depth: int, fanout: int) -> int:
    return sum(fanout**level for level in range(min(depth, 64) + 1))


def _fat_tree(ports: int) -> Body:
    half = ports // 2
    yield f"node    core[1-{half * half}]  ${{switch}}"
    yield f"node    p[1-{ports}]a[1-{half}] p[1-{ports}]e[1-{half}]  ${{switch}}"
    yield f"node    p[1-{ports}]e[1-{half}]h[1-{half}]  ${{kind}}"
    for pod in range(1, ports + 1):
        for switch in range(1, half + 1):
            yield f"star    p{pod}a{switch} core[{(switch - 1) * half + 1}-{switch * half}]  ${{link}}"
            yield f"star    p{pod}e{switch} p{pod}a[1-{half}]  ${{link}}"
            yield f"star    p{pod}e{switch} p{pod}e{switch}h[1-{half}]  ${{link}}"


def _random(nodes: int, links: int, seed: int) -> Body:
    """A random tree, so that all are joined, and random links besides."""
    randomness = random.Random(seed)
    order = randomness.sample(range(1, nodes + 1), nodes)
    pairs = {_pair(node, randomness.choice(order[:index])) for index, node in enumerate(order) if index}
    if links > nodes * (nodes - 1) // 4:  # nearly all: draw from those that are left
        left = [(a, b) for a in range(1, nodes + 1) for b in range(a + 1, nodes + 1) if (a, b) not in pairs]
        pairs.update(randomness.sample(left, links - len(pairs)))
    while len(pairs) < links:
        pairs.add(_pair(*randomness.sample(order, 2)))
    yield f"node    n[1-{nodes}]  ${{kind}}"
    yield from (f"link    n{first} n{second}  ${{link}}" for first, second in sorted(pairs))


def _pair(first: int, second: int) -> tuple[int, int]:
    return min(first, second), max(first, second)


SHAPES: Mapping[str, Shape] = {
    "chain": Shape("{} nodes in a row", ("N",), (1,), lambda n: (n, n - 1), _row("chain"), {"N": "{}"}),
    "ring": Shape("{} nodes in a ring", ("N",), (1,), lambda n: (n, n), _row("ring"), {"N": "{}"}),
    "star": Shape(
        "{} nodes, the first linked to all others", ("N",), (1,), lambda n: (n, n), _row("star"), {"N": "{}"}
    ),
    "grid": Shape(
        "A grid of {} rows and {} columns",
        ("ROWS", "COLUMNS"),
        (1, 1),
        lambda rows, columns: (rows * columns, 2 * rows * columns - rows - columns),
        _grid,
        {},
    ),
    "tree": Shape(
        "A tree of {} levels below its root n1, each node with {} below it",
        ("DEPTH", "FANOUT"),
        (1, 1),
        lambda depth, fanout: (_tree_size(depth, fanout), _tree_size(depth, fanout) - 1),
        _tree,
        {},
    ),
    "fat-tree": Shape(
        "A fat tree of switches with {} ports: core, aggregation (a) and edge (e) in pods (p), hosts (h)",
        ("PORTS",),
        (2,),
        lambda k: (5 * k * k // 4 + k**3 // 4, 3 * k**3 // 4),
        _fat_tree,
        {"switch": "${{kind}}"},
    ),
    "random": Shape(
        "{} nodes, all joined by {} random links, the same for the same seed {}",
        ("N", "LINKS", "SEED"),
        (1, 0, 0),
        lambda nodes, links, seed: (nodes, links),
        _random,
        {},
        optional=2,
    ),
}
"""Every shape by its name."""


def generate(shape: str, numbers: Sequence[int], *, parameters: Mapping[str, str] | None = None) -> str:
    """Return a topology of a shape, in the text format.

    Args:
        shape: One of ``SHAPES``.
        numbers: Its numbers: of nodes, of rows and columns, ...; for ``random`` those of links (three for every two
            nodes) and the seed (1) may be left out.
        parameters: Defaults for its parameters, other than the usual ones.

    Raises:
        TopologyError: no such shape or parameter, or numbers that make none.
    """
    if shape not in SHAPES:
        hint = did_you_mean(shape, SHAPES) or f"; shapes are {', '.join(SHAPES)}"
        raise TopologyError([f"{shown(shape)} is no shape{hint}"])
    row = SHAPES[shape]
    numbers = _checked(shape, row, numbers)
    if shape == "random":
        numbers = _random_numbers(numbers)
    nodes, links = row.count(*numbers)
    if nodes > MOST_NODES or links > MOST_LINKS:
        message = f"{shape} {' '.join(map(str, numbers))}: {nodes} nodes and {links} links"
        raise TopologyError([f"{message}; there may be {MOST_NODES} nodes and {MOST_LINKS} links"])
    declared = {name: text.format(*numbers) for name, text in row.parameters.items()} | _COMMON
    for name, text in (parameters or {}).items():
        if name not in declared:
            hint = did_you_mean(name, declared) or f"; it has {', '.join(declared)}"
            raise TopologyError([f"parameter {shown(name)} is not declared by a {shape}{hint}"])
        assert NAME.fullmatch(name)
        declared[name] = text
    if declared["link"] == "wifi" and "rate" not in (parameters or {}):
        declared["rate"] = _WIFI_RATE  # the usual one is none of Wi-Fi's
    command = f"qemunet generate {shape} {' '.join(map(str, numbers))}"
    lines = [f"# {row.doc.format(*numbers)}: {command}", ""]
    lines += [f"param   {name:<{_WIDTH}} = {_value(text)}" for name, text in declared.items()]
    lines += ["", "option  routing=${routing}"]
    lines += ["default node  image=${image}", "default link  rate=${rate} delay=${delay}", ""]
    lines += row.body(*numbers)
    return "\n".join(lines) + "\n"


def _value(text: str) -> str:
    if re.fullmatch(r"\$\{[a-z]+\}", text):
        return text
    return quoted(text) if text else "''"


def _checked(shape: str, row: Shape, numbers: Sequence[int]) -> list[int]:
    wanted = " ".join(row.numbers)
    if not len(row.numbers) - row.optional <= len(numbers) <= len(row.numbers):
        raise TopologyError([f"{shape} takes {wanted}; {len(numbers)} numbers are given"])
    for name, least, number in zip(row.numbers, row.least, numbers, strict=False):
        if number < least:
            raise TopologyError([f"{shape}: {name} is {number}; the least is {least}"])
        if number > MOST_NODES and name != "SEED":
            raise TopologyError([f"{shape}: {name} is {number}; the most is {MOST_NODES}"])
    if shape == "fat-tree" and numbers[0] % 2:
        raise TopologyError([f"fat-tree: PORTS is {numbers[0]}; it is an even number"])
    return list(numbers)


def _random_numbers(numbers: list[int]) -> list[int]:
    nodes, links, seed = [*numbers, *[-1, 1][len(numbers) - 1 :]]
    most = nodes * (nodes - 1) // 2
    if links < 0:
        links = min(max(nodes - 1, 3 * nodes // 2), most)
    if not nodes - 1 <= links <= most:
        raise TopologyError([f"random: {nodes} nodes have from {nodes - 1} to {most} links, not {links}"])
    return [nodes, links, seed]

"""Generated topologies have the nodes and links that their shape says, and take the usual parameters."""

from __future__ import annotations

from pathlib import Path

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qemunet.errors import TopologyError
from qemunet.plan import make_plan
from qemunet.topology import Topology, parse_topology
from qemunet.topology.generate import SHAPES, generate


def made(shape: str, *numbers: int, **parameters: str) -> Topology:
    return parse_topology(generate(shape, numbers), parameters=parameters)


@pytest.mark.parametrize(
    ("shape", "numbers", "nodes", "degrees"),
    [
        ("chain", [1], 1, [0]),
        ("chain", [4], 4, [1, 1, 2, 2]),
        ("ring", [5], 5, [2] * 5),
        ("star", [5], 5, [1, 1, 1, 1, 4]),
        ("grid", [2, 3], 6, [2, 2, 2, 2, 3, 3]),
        ("grid", [1, 3], 3, [1, 1, 2]),
        ("tree", [2, 2], 7, [1, 1, 1, 1, 2, 3, 3]),
        ("fat-tree", [2], 7, [1, 1, 2, 2, 2, 2, 2]),
        ("random", [4, 6], 4, [3] * 4),
        ("random", [5, 4, 7], 5, None),
        ("random", [1], 1, [0]),
    ],
)
def test_shapes(shape: str, numbers: list[int], nodes: int, degrees: list[int] | None) -> None:
    graph = made(shape, *numbers).graph()
    assert len(graph) == nodes
    assert networkx.is_connected(graph)
    if degrees is not None:
        assert sorted(degree for _, degree in graph.degree) == degrees


def test_a_fat_tree_has_equal_parts() -> None:
    topology = made("fat-tree", 4, switch="qemu")
    graph = topology.graph()
    assert (len(topology.nodes), len(topology.links)) == (36, 48)
    switches = {name for name, node in topology.nodes.items() if node.type == "qemu"}
    assert {graph.degree[name] for name in switches} == {4}
    assert len(topology.nodes) - len(switches) == 16
    assert networkx.node_connectivity(graph, "p1e1", "p4e2") == 2


@given(
    st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(n - 1, n * (n - 1) // 2), st.integers(0, 9)))
)
@settings(max_examples=100)
def test_random_networks(numbers: tuple[int, int, int]) -> None:
    graph = made("random", *numbers).graph()
    assert (len(graph), graph.size()) == numbers[:2]
    assert networkx.is_connected(graph)
    assert not any(first == second for first, second in graph.edges())
    assert generate("random", numbers) == generate("random", numbers)


@pytest.mark.parametrize("shape", SHAPES)
def test_usual_parameters(shape: str) -> None:
    numbers = [4] * (len(SHAPES[shape].numbers) - SHAPES[shape].optional)
    text = generate(shape, numbers)
    assert text.startswith("# ")
    topology = parse_topology(text)
    assert {node.type for node in topology.nodes.values()} == {"container"}
    assert {link.type for link in topology.links.values()} == {"wire"}
    assert topology.options == {"routing": "static"}
    assert all("image" not in node.attributes for node in topology.nodes.values())
    other = {"kind": "qemu", "link": "csma", "routing": "none", "image": "tiny", "rate": "1Mbps", "delay": "1us"}
    topology = parse_topology(text, parameters=other)
    assert {(node.type, node.attributes["image"]) for node in topology.nodes.values()} == {("qemu", "tiny")}
    assert {(link.type, link.attributes["rate"], link.attributes["delay"]) for link in topology.links.values()} == {
        ("csma", "1Mbps", "1us")
    }
    assert topology.options == {"routing": "none"}
    assert parse_topology(generate(shape, numbers, parameters=other)) == topology


@pytest.mark.parametrize(
    ("shape", "numbers", "says"),
    [
        ("rign", [3], "did you mean 'ring'"),
        ("chain", [], "chain takes N; 0 numbers"),
        ("grid", [3, 4, 5], "ROWS COLUMNS; 3 numbers"),
        ("ring", [0], "N is 0; the least is 1"),
        ("fat-tree", [5], "an even number"),
        ("tree", [60, 60], "there may be 100000 nodes"),
        ("tree", [99_999_999, 2], "the most is 100000"),
        ("random", [5, 3], "from 4 to 10 links, not 3"),
        ("random", [5, 11], "from 4 to 10 links, not 11"),
    ],
)
def test_numbers_that_make_no_shape(shape: str, numbers: list[int], says: str) -> None:
    with pytest.raises(TopologyError, match=says):
        generate(shape, numbers)


def test_every_link_type_can_be_planned_as_generated() -> None:
    for link, rate in (("wire", "100Mbps"), ("csma", "100Mbps"), ("p2p", "100Mbps"), ("wifi", "54Mbps")):
        topology = parse_topology(generate("chain", [3], parameters={"link": link}))
        assert {found.attributes["rate"] for found in topology.links.values()} == {rate}
        make_plan(topology, seed=1, source_directory=Path())


def test_parameters_that_a_shape_does_not_have() -> None:
    with pytest.raises(TopologyError, match="not declared by a grid; did you mean 'kind'"):
        generate("grid", [2, 2], parameters={"kid": "qemu"})

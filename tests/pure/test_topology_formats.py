"""What is written in any format reads as the same topology; other programs' graphs load as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import networkx
import pytest
from hypothesis import given, settings

from qemunet.errors import TopologyError
from qemunet.topology import (
    End,
    Lan,
    Link,
    Node,
    Topology,
    declared_parameters,
    parse_topology,
    read_topology,
    write_topology,
)

from .strategies import topologies

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
SUFFIXES = {"text": ".txt", "yaml": ".yaml", "graphml": ".graphml", "json": ".json"}


def same(topology: Topology, format: str) -> None:
    text = write_topology(topology, format=format)
    again = parse_topology(text, name=f"again{SUFFIXES[format]}")
    assert again == topology
    assert list(again.nodes) == list(topology.nodes)
    assert list(again.links) == list(topology.links)
    assert write_topology(again, format=format) == text


@pytest.mark.parametrize("format", SUFFIXES)
@given(topology=topologies())
@settings(max_examples=60)
def test_reading_what_was_written_gives_the_same(topology: Topology, format: str) -> None:
    same(topology, format)


@pytest.mark.parametrize("format", SUFFIXES)
@pytest.mark.parametrize("file", sorted(TOPOLOGIES.glob("*.txt")), ids=lambda file: file.stem)
def test_shipped_topologies_in_every_format(file: Path, format: str, tmp_path: Path) -> None:
    topology = read_topology(file)
    same(topology, format)
    target = tmp_path / f"copy{SUFFIXES[format]}"
    assert write_topology(topology, target) == target.read_text(encoding="utf-8")
    assert read_topology(target) == topology


def test_links_keep_their_names_however_they_came_by_them() -> None:
    nodes = "node a container\nnode b container\n"
    for links in (
        "link a b\nlink a b name=a-b",
        "link a b name=b-a\nlink b a",
        "link a b\nlink a b\nlink b a name=x\nlan a-b csma a b",
        "lan b csma a b\nlan a csma a b\nlink a b",
    ):
        for format in SUFFIXES:
            same(parse_topology(nodes + links), format)


def test_no_format_says_what_no_reader_takes(tmp_path: Path) -> None:
    topology = parse_topology("node a qemu\nnode b qemu\nlink a b", name="t.txt")
    link = topology.links["a-b"]
    for problem, broken in {
        "character that cannot stand": replace(
            topology, nodes={**topology.nodes, "a": Node("a", "qemu", {"append": "\n"})}
        ),
        "cannot be called so": replace(topology, links={"a b": replace(link, name="a b")}),
        "has 1 ends": replace(topology, links={"a-b": replace(link, ends=link.ends[:1])}),
        "a field of its own": replace(topology, links={"a-b": replace(link, attributes={"name": "x"})}),
    }.items():
        for format in SUFFIXES:
            with pytest.raises(TopologyError, match=problem):
                write_topology(broken, format=format)
    for suffix, problem in {".jsn": "did you mean '.json'", ".svg": "its suffix is one of", "": "no suffix"}.items():
        with pytest.raises(TopologyError, match=problem):
            write_topology(topology, tmp_path / f"net{suffix}")
    with pytest.raises(TopologyError, match="did you mean 'yaml'"):
        write_topology(topology, format="yml")
    with pytest.raises(TopologyError, match="cannot be written: No such file"):
        write_topology(topology, tmp_path / "none" / "net.txt")


def test_what_xml_cannot_say() -> None:
    topology = parse_topology("node a qemu append=\uffff")
    with pytest.raises(TopologyError, match="cannot stand in XML"):
        write_topology(topology, format="graphml")
    for format in ("text", "yaml", "json"):
        same(topology, format)


def test_a_reserved_key_is_refused_where_a_format_cannot_say_it() -> None:
    topology = parse_topology("node a qemu\nnode b qemu\nlink a b")
    odd = replace(topology, links={"a-b": replace(topology.links["a-b"], attributes={"ends": "x"})})
    for format in ("yaml", "json", "graphml"):
        with pytest.raises(TopologyError, match="another meaning"):
            write_topology(odd, format=format)


GRAPH = networkx.Graph()
GRAPH.add_node(0, name="New York", Latitude=40.7)
GRAPH.add_node(1, name="New York")
GRAPH.add_node(2, name="2nd Straße")
GRAPH.add_node("host")
GRAPH.add_edge(0, 1, delay="3ms", weight=1.5)
GRAPH.add_edge(1, 2, rate="10Mbps")
GRAPH.add_edge(2, "host", type="fibre")
GRAPH.add_edge(2, 2)


def check_foreign(file: Path) -> None:
    assert declared_parameters(file) == {"kind": "container", "image": "", "link": "wire", "routing": "static"}
    topology = read_topology(file, parameters={"kind": "qemu", "link": "csma", "image": "tiny"})
    assert {node.name: node.attributes.get("label") for node in topology.nodes.values()} == {
        "New-York": "New York",
        "New-York-2": "New York",
        "n2nd-Strasse": "2nd Straße",
        "host-2": "host",
    }
    assert {(node.type, node.attributes["image"]) for node in topology.nodes.values()} == {("qemu", "tiny")}
    assert [(link.name, link.type, link.attributes) for link in topology.links.values()] == [
        ("New-York-New-York-2", "csma", {"delay": "3ms"}),
        ("New-York-2-n2nd-Strasse", "csma", {"rate": "10Mbps"}),
        ("n2nd-Strasse-host-2", "csma", {}),
    ]
    assert topology.options == {"routing": "static"}
    assert read_topology(file).nodes["New-York"].type == "container"
    warnings = "\n".join(topology.warnings)
    for word in ("'Latitude'", "'weight'", "'type'", "linked to itself"):
        assert word in warnings
    with pytest.raises(TopologyError, match=r"'kimd' is not declared; did you mean 'kind'\?"):
        read_topology(file, parameters={"kimd": "qemu"})


def test_a_graph_that_networkx_wrote_as_graphml(tmp_path: Path) -> None:
    networkx.write_graphml(GRAPH, tmp_path / "net.graphml")
    check_foreign(tmp_path / "net.graphml")


@pytest.mark.parametrize("edges", ["edges", "links"])
def test_a_graph_that_networkx_wrote_as_json(edges: str, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(json.dumps(networkx.node_link_data(GRAPH, edges=edges)))
    check_foreign(tmp_path / "net.json")


def test_ids_that_are_tuples_have_the_same_names_in_both_formats(tmp_path: Path) -> None:
    grid = networkx.grid_2d_graph(2, 3)
    networkx.write_graphml(grid, tmp_path / "net.graphml")
    from_graphml = read_topology(tmp_path / "net.graphml")
    from_json = parse_topology(json.dumps(networkx.node_link_data(grid, edges="edges")), name="net.json")
    assert from_json == from_graphml
    assert list(from_json.nodes)[-1] == "n1-2"


@pytest.mark.parametrize("suffix", ["json", "graphml"])
def test_the_name_of_a_graph_is_no_option(suffix: str, tmp_path: Path) -> None:
    graph = networkx.Graph(name="Zachary's Karate Club")
    graph.add_edge("a", "b")
    networkx.set_node_attributes(graph, "host", "type")
    file = tmp_path / f"net.{suffix}"
    if suffix == "json":
        file.write_text(json.dumps(networkx.node_link_data(graph)))
    else:
        networkx.write_graphml(graph, file)
    assert read_topology(file) == parse_topology("node a b host\nlink a b")


def test_networkx_reads_what_is_written(tmp_path: Path) -> None:
    topology = parse_topology("node n[1-3] qemu cpus=2\nchain n[1-3] delay=3ms\nlink n1 n2\nlan l csma n[1-3]")
    for file in (tmp_path / "net.graphml", tmp_path / "net.json"):
        write_topology(topology, file)
        if file.suffix == ".json":
            graph = networkx.node_link_graph(json.loads(file.read_text()), edges="edges")
        else:
            graph = networkx.read_graphml(file)
        assert graph.nodes["n1"]["cpus"] == "2"
        assert graph.nodes["l"]["type"] == "csma"
        assert sorted(graph["n1"]["n2"]) == ["n1-n2", "n1-n2#2"]
        assert graph["n1"]["n2"]["n1-n2"]["delay"] == "3ms"
        # Written by networkx, its links may stand in another order: it is the same network but for their numbers.
        if file.suffix == ".json":
            file.write_text(json.dumps(networkx.node_link_data(graph, edges="edges")))
        else:
            networkx.write_graphml(graph, file)
        again = read_topology(file)
        assert again.nodes == topology.nodes
        assert set(again.links) == set(topology.links)
        assert again.links["l"].ends == topology.links["l"].ends


def test_opposite_edges_of_a_directed_graph_are_one_link() -> None:
    graph = networkx.DiGraph()
    graph.add_edge("a", "b", delay="1ms", rate="1Mbps")
    graph.add_edge("b", "a", delay="2ms", rate="1Mbps")
    graph.add_edge("b", "c")
    topology = parse_topology(json.dumps(networkx.node_link_data(graph)), name="net.json")
    assert [(link.name, link.attributes) for link in topology.links.values()] == [
        ("a-b", {"delay": "1ms/2ms", "rate": "1Mbps"}),
        ("b-c", {}),
    ]


def test_abilene() -> None:
    topology = read_topology("topohub:topozoo/Abilene", parameters={"kind": "qemu"})
    assert (len(topology.nodes), len(topology.links)) == (11, 14)
    assert topology.nodes["New-York"].attributes["label"] == "New York"
    assert topology.nodes["New-York"].type == "qemu"
    assert topology.links["New-York-Chicago"].attributes == {"delay": "5.7308ms"}
    assert topology.options == {"routing": "static"}
    assert topology.warnings == ()
    for format in SUFFIXES:
        same(topology, format)
    with pytest.raises(TopologyError, match="did you mean 'topozoo/Abilene'"):
        read_topology("topohub:topozoo/abilene")
    with pytest.raises(TopologyError, match="groups are backbone, caida, gabriel, sndlib, topozoo"):
        read_topology("topohub:../../topozoo/Abilene")


PROGRAM = """\
from qemunet.topology import parse_topology

def topology(count="3", **parameters):
    return parse_topology("param kind = qemu\\nnode n[1-%s] ${kind}\\nchain n[1-%s] delay=1ms" % (count, count),
                          parameters=parameters)
"""


def test_a_program_makes_a_topology(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(PROGRAM)
    assert declared_parameters(file) == {"count": "3", "kind": "qemu"}
    topology = read_topology(file, parameters={"count": "5", "kind": "container"})
    assert topology == parse_topology("node n[1-5] container\nchain n[1-5] delay=1ms")
    assert topology.parameters == {"count": "5", "kind": "container"}
    assert topology.text == PROGRAM
    with pytest.raises(TopologyError, match="'cuont' is not declared"):
        read_topology(file, parameters={"cuont": "5"})


def test_what_a_program_prints_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.py"
    file.write_text(f'print("loading")\n{PROGRAM}'.replace("    return", '    print("making")\n    return', 1))
    read_topology(file)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "loading\nmaking\n"


def test_what_a_program_makes_by_hand_is_completed_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from qemunet.topology import End, Link, Node, Topology\n"
        "def topology(kind='qemu'):\n"
        "    nodes = {name: Node(name, kind) for name in 'ab'}\n"
        "    ends = End('a', 'eth0', ''), End('b', 'eth0', '')\n"
        "    return Topology('net', nodes, {'a-b': Link('a-b', 'wire', ends, {'delay': '1ms'})})\n"
    )
    assert read_topology(file) == parse_topology("node a qemu\nnode b qemu\nlink a b delay=1ms")
    with pytest.raises(TopologyError, match=r"net.py:2:1: 'qmeu' is no type of node; did you mean 'qemu'\?"):
        read_topology(file, parameters={"kind": "qmeu"})
    with pytest.raises(TopologyError, match=r"net.py:1:1: parameter 'kidn' is not declared; did you mean 'kind'\?"):
        read_topology(file, parameters={"kidn": "qemu"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def topology(:", r"net.py:1:14: invalid syntax"),
        ("x = 1\ny = x / 0", r"net.py:2:1: does not load: ZeroDivisionError"),
        ("raise SystemExit", r"net.py:1:1: does not load: SystemExit"),
        ("def toplogy(): pass", r"has no function topology; did you mean 'toplogy'\?"),
        ("topology = 3", r"has no function topology"),
        ("def topology():\n    return {}", r"net.py:1:1: topology\(\) returned dict"),
        ("def topology():\n    return [][1]", r"net.py:2:1: topology\(\) failed: IndexError"),
        ("def topology(x):\n    return x", r"net.py:1:1: topology\(\) failed: TypeError"),
        ("\0", r"net.py:1:1: .*null bytes"),
    ],
)
def test_programs_with_mistakes(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(text)
    with pytest.raises(TopologyError, match=says):
        read_topology(file)
    assert declared_parameters(file) == {}
    with pytest.raises(TopologyError, match="read_topology runs it"):
        parse_topology(text, name="net.py")


def test_lans_and_links_made_by_hand_are_written_as_what_they_are() -> None:
    ends = tuple(End(name, "eth0", "") for name in ("a", "b"))
    nodes = {name: Node(name, "container") for name in "ab"}
    topology = Topology("x", nodes, {"l": Lan("l", "csma", ends), "a-b": Link("a-b", "wire", ends)})
    assert "lan     l csma a:eth0 b:eth0\nlink    a:eth0 b:eth0 wire" in write_topology(topology)

"""What a text says: parameters, defaults, nodes, links, their names and interfaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from qemunet.errors import TopologyError
from qemunet.topology import Lan, Topology, declared_parameters, parse_topology, read_topology

TOPOLOGIES = Path(__file__).parents[2] / "topologies"


def interfaces(topology: Topology) -> list[str]:
    return [f"{end.node}:{end.interface}" for link in topology.links.values() for end in link.ends]


def test_parameters_are_replaced_after_splitting() -> None:
    text = """
        param  kind = qemu
        param N=3
        param  quiet = 'quiet loglevel=0'
        param  both = "${kind} ${N}"
        node   n[1-${N}]  ${kind}  append="${quiet} $${N}"
    """
    topology = parse_topology(text, parameters={"N": "2"})
    assert list(topology.nodes) == ["n1", "n2"]
    assert topology.nodes["n1"].attributes == {"append": "quiet loglevel=0 ${N}"}
    assert topology.parameters == {"kind": "qemu", "N": "2", "quiet": "quiet loglevel=0", "both": "qemu 2"}
    assert topology.text == text


def test_parameters_may_refer_to_later_ones() -> None:
    text = "param b=${a}0MiB\nparam a=2${c}\nparam c=0\nnode x qemu memory=${b}"
    topology = parse_topology(text)
    assert topology.nodes["x"].attributes == {"memory": "200MiB"}
    assert list(topology.parameters.items()) == [("b", "200MiB"), ("a", "20"), ("c", "0")]
    assert parse_topology(text, parameters={"a": "3"}).nodes["x"].attributes == {"memory": "30MiB"}


def test_a_chain_of_parameters_may_be_long() -> None:
    text = "".join(f"param a{i} = ${{a{i + 1}}}\n" for i in range(5000)) + "param a5000 = x\nnode n qemu append=${a0}"
    assert parse_topology(text).nodes["n"].attributes == {"append": "x"}


def test_defaults_hold_for_the_whole_text_and_the_narrower_wins() -> None:
    topology = parse_topology(
        """
        node a qemu
        node b qemu memory=256MiB
        link a b
        lan l csma a b rate=5Mbps
        default qemu memory=64MiB
        default node memory=32MiB cpus=2
        default link rate=1Mbps jitter=1ms
        """
    )
    assert topology.nodes["a"].attributes == {"memory": "64MiB", "cpus": "2"}
    assert topology.nodes["b"].attributes == {"memory": "256MiB", "cpus": "2"}
    assert topology.links["a-b"].attributes == {"rate": "1Mbps", "jitter": "1ms"}
    assert topology.links["l"].attributes == {"rate": "5Mbps"}, "csma has no jitter"


def test_shapes() -> None:
    nodes = "node n[1-4] qemu\nnode hub qemu\n"
    names = {
        "chain n[1-4]": ["n1-n2", "n2-n3", "n3-n4"],
        "ring n[1-4]": ["n1-n2", "n2-n3", "n3-n4", "n4-n1"],
        "ring n1 n2": ["n1-n2"],
        "star hub n[1-3] csma": ["hub-n1", "hub-n2", "hub-n3"],
        "mesh n[1-3]": ["n1-n2", "n1-n3", "n2-n3"],
        "chain n[1-0]": [],
        "chain n1 n[3-2] n4": ["n1-n4"],
        "link n[2-3]": ["n2-n3"],
    }
    for statement, expected in names.items():
        assert list(parse_topology(nodes + statement).links) == expected, statement


def test_links_are_named_as_written() -> None:
    topology = parse_topology(
        "node a qemu\nnode b qemu\nlink a b\nlink a b\nlink b a\nlink a b name=a-b#3\n".replace("#3", "")
        + "link a b\nlan air csma a b"
    )
    assert list(topology.links) == ["a-b#2", "a-b#3", "b-a", "a-b", "a-b#4", "air"]
    assert isinstance(topology.links["air"], Lan)
    assert [link.type for link in topology.links.values()] == ["wire"] * 5 + ["csma"]


def test_unnamed_ends_take_the_lowest_free_interface() -> None:
    topology = parse_topology("node a qemu\nnode b qemu\nlink a b:eth1\nlink a b\nlink a:eth0 b\nlink a:wan b:eth5")
    assert interfaces(topology) == ["a:eth1", "b:eth1", "a:eth2", "b:eth0", "a:eth0", "b:eth2", "a:wan", "b:eth5"]


def test_addresses_of_hardware_are_the_same_every_time_and_unique() -> None:
    text = "node n[1-30] qemu\nmesh n[1-30]"
    first, second = parse_topology(text), parse_topology("param x = 1\n" + text)
    macs = [end.mac for link in first.links.values() for end in link.ends]
    assert macs == [end.mac for link in second.links.values() for end in link.ends]
    assert len(set(macs)) == len(macs) == 870
    assert all(mac.startswith("02:") and len(mac) == 17 for mac in macs)


def test_graph() -> None:
    graph = parse_topology("node n[1-4] qemu cpus=2\nlink n1 n2 delay=3ms\nlink n1 n2\nlan l csma n[2-4]").graph()
    assert graph.nodes["n1"] == {"cpus": "2", "type": "qemu"}
    assert graph["n1"]["n2"]["n1-n2"] == {
        "type": "wire",
        "delay": "3ms",
        "interfaces": {"n1": "eth0", "n2": "eth0"},
    }
    assert sorted(graph.edges(keys=True)) == [
        ("n1", "n2", "n1-n2"),
        ("n1", "n2", "n1-n2#2"),
        ("n2", "n3", "l"),
        ("n2", "n4", "l"),
        ("n3", "n4", "l"),
    ]


def test_equal_whatever_the_layout() -> None:
    assert parse_topology("node a qemu\n") == parse_topology("# this\n\n  node 'a' \\\n qemu")


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "small.txt"
    file.write_bytes("param n = ä\r\nnode a qemu append=${n}\r\n".encode())
    assert declared_parameters(file) == {"n": "ä"}
    topology = read_topology(str(file), parameters={"n": "b"})
    assert topology.nodes["a"].attributes["append"] == "b"
    file.write_bytes("param n = ä\nä\xff".encode("latin-1"))
    with pytest.raises(TopologyError, match=r"small.txt:1:11: byte 0xe4 is not UTF-8"):
        read_topology(file)
    with pytest.raises(TopologyError, match="No such file"):
        read_topology(tmp_path / "none.txt")


@pytest.mark.parametrize("file", sorted(TOPOLOGIES.glob("*.txt")), ids=lambda file: file.stem)
def test_shipped_topologies_say_what_they_show(file: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith("# ")
    assert "kind" in declared_parameters(file)
    assert read_topology(file).nodes


@pytest.mark.parametrize("count", [2, 3, 6, 32])
def test_shipped_chain(count: int) -> None:
    topology = read_topology(TOPOLOGIES / "chain.txt", parameters={"N": str(count)})
    with_address = {e.node: e.addresses for link in topology.links.values() for e in link.ends if e.addresses}
    assert with_address == {"n1": ("10.0.0.1/24",), f"n{count}": ("10.0.0.2/24",)}
    assert [name for name, node in topology.nodes.items() if node.bridges] == [f"n{i}" for i in range(2, count)]

"""Segments, subnets and addresses."""

from __future__ import annotations

import pytest

from qemunet.errors import TopologyError
from qemunet.topology import parse_topology

NODES = "node a qemu\nnode b qemu\nnode c qemu\nnode d qemu\nnode br qemu bridge=yes\nnode bs qemu bridge=yes\n"


def addresses(text: str) -> list[str]:
    """Return ``node=address,address`` of every end, in order."""
    topology = parse_topology(NODES + text)
    return [f"{end.node}={','.join(end.addresses)}" for link in topology.links.values() for end in link.ends]


def complaint(text: str) -> str:
    with pytest.raises(TopologyError) as caught:
        parse_topology(NODES + text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("link a b\nlink b c", "a=10.0.0.1/24 b=10.0.0.2/24 b=10.0.1.1/24 c=10.0.1.2/24"),
        ("link a br\nlink c d\nlink br b", "a=10.0.0.1/24 br= c=10.0.1.1/24 d=10.0.1.2/24 br= b=10.0.0.2/24"),
        ("link a br@10.0.0.9/24\nlink br b", "a=10.0.0.1/24 br=10.0.0.9/24 br= b=10.0.0.2/24"),
        ("link br bs\nlink a b", "br= bs= a=10.0.0.1/24 b=10.0.0.2/24"),
        ("link a@10.7.0.2/16 b\nlink b c", "a=10.7.0.2/16 b=10.7.0.1/16 b=10.0.0.1/24 c=10.0.0.2/24"),
        ("link a b\nlink c@10.0.0.200/25 d", "a=10.0.1.1/24 b=10.0.1.2/24 c=10.0.0.200/25 d=10.0.0.129/25"),
        ("link a b\nlink c d subnet=10.0.0.0/15", "a=10.2.0.1/24 b=10.2.0.2/24 c=10.0.0.1/15 d=10.0.0.2/15"),
        ("link a b subnet=none\nlink b c", "a= b= b=10.0.0.1/24 c=10.0.0.2/24"),
        ("link a@10.3.0.1/24 b subnet=none", "a=10.3.0.1/24 b="),
        ("link a@10.3.0.5 b subnet=10.3.0.0/28", "a=10.3.0.5/28 b=10.3.0.1/28"),
        ("link a@10.3.0.5 b", "a=10.3.0.5/24 b=10.3.0.1/24"),
        ("link a@10.3.0.1/24,192.168.0.1/24 b", "a=10.3.0.1/24,192.168.0.1/24 b=10.3.0.2/24"),
        ("link a b subnet=10.3.0.0/31", "a=10.3.0.0/31 b=10.3.0.1/31"),
        ("link a@fd00::1/64 b", "a=fd00::1/64,10.0.0.1/24 b=10.0.0.2/24"),
        ("link a b subnet=fd00::/64", "a=10.0.0.1/24,fd00::1/64 b=10.0.0.2/24,fd00::2/64"),
        ("link a b subnet=10.9.0.0/24,fd00::/64", "a=10.9.0.1/24,fd00::1/64 b=10.9.0.2/24,fd00::2/64"),
        (
            "link a@fe80::1/64 b\nlink c@fe80::1/64 d subnet=none",
            "a=fe80::1/64,10.0.0.1/24 b=10.0.0.2/24 c=fe80::1/64 d=",
        ),
        (
            "option ipv6=fd00::/48\nlink a b\nlink c@fd00:0:0:1::7/64 d",
            "a=10.0.0.1/24,fd00::1/64 b=10.0.0.2/24,fd00::2/64 "
            "c=fd00:0:0:1::7/64,10.0.1.1/24 d=10.0.1.2/24,fd00:0:0:1::1/64",
        ),
    ],
)
def test_given(text: str, expected: str) -> None:
    assert " ".join(addresses(text)) == expected


@pytest.mark.parametrize(
    ("ends", "first", "last", "following"),
    [
        (254, "10.0.0.1/24", "10.0.0.254/24", "10.0.1.1/24"),
        (255, "10.0.0.1/23", "10.0.0.255/23", "10.0.2.1/24"),
        (510, "10.0.0.1/23", "10.0.1.254/23", "10.0.2.1/24"),
        (511, "10.0.0.1/22", "10.0.1.255/22", "10.0.4.1/24"),
    ],
)
def test_large_segments_take_larger_blocks(ends: int, first: str, last: str, following: str) -> None:
    topology = parse_topology(f"node n[1-{ends}] qemu\nlan l csma n[1-{ends}]\nlink n1 n2")
    given = [end.addresses[0] for end in topology.links["l"].ends]
    assert (given[0], given[-1]) == (first, last)
    assert topology.links["n1-n2"].ends[0].addresses == (following,)


def test_larger_blocks_are_aligned() -> None:
    topology = parse_topology("node n[1-300] qemu\nlink n1 n2\nlan l csma n[1-300]")
    assert topology.links["l"].ends[0].addresses == ("10.0.2.1/23",)


def test_bridges_that_close_a_loop_are_warned_of() -> None:
    topology = parse_topology("node n[1-3] qemu bridge=yes\nring n[1-3]")
    assert len(topology.warnings) == 1
    assert topology.warnings[0].startswith("topology.txt:2:6: ")
    assert "loop" in topology.warnings[0]


def test_suspicious_addresses_are_warned_of() -> None:
    topology = parse_topology(NODES + "link a@10.0.0.1/24 b@10.0.1.1/24\nlink c@10.0.0.3/24 d@10.0.0.4/24")
    assert topology.warnings[0].startswith("topology.txt:7:22: ")
    assert ["outside its segment's network" in topology.warnings[0], "overlaps" in topology.warnings[1]] == [True] * 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("link a@10.0.0.1/24 b@10.0.0.1/24", "7:22: address 10.0.0.1 is used twice, first at topology.txt:7:8"),
        ("link a@10.0.0.1/24 b\nlink c@10.0.0.1/16 d", "8:8: address 10.0.0.1 is used twice"),
        ("link a@10.0.0.1/24 b@10.0.0.2/16", "does not have the prefix length of its segment"),
        ("link a b@10.0.0.7/24,10.0.0.0/24", "7:22: b:eth0: 10.0.0.0 is the address of the network"),
        ("link a:eth1@10.0.0.7/24,10.0.0.300 b", "7:25: end "),
        ("link a b@10.0.0.7/24,", "7:21: end "),
        ("link a@10.0.0.1/24 'b'\"@10.0.0.\"\\\n2/16", "7:25: b: 10.0.0.2/16 does not have the prefix length"),
        ("param p = 10.0.0.1\nlink a@${p}/24,10.0.0.300 b", "8:16: end "),
        ("param p = 10.0.0.1/33\nlink a@${p} b", "8:8: end "),
        ("param p = a@10.0.0.1/33\nlink ${p} b", "8:6: end "),
        ("link a b@10.9.0.1/24 subnet=10.1.0.0/24", "7:10: b: 10.9.0.1 is outside its subnet"),
        ("link a@10.0.0.0/24 b", "address of the network"),
        ("link a@10.0.0.255/24 b", "broadcast address"),
        ("link a@10.0.0.1/33 b", "prefix length of IPv4 is 1 to 32"),
        ("link a@10.0.0.1/0 b", "prefix length of IPv4 is 1 to 32"),
        ("link a@10.0.0.256 b", "not an IPv4 or IPv6 address"),
        ("link a@ b", "not an IPv4 or IPv6 address"),
        ("link a@127.0.0.1/8 b", "reserved"),
        ("link a@224.0.0.1/24 b", "reserved"),
        ("link a@10.9.0.1/24 b subnet=10.1.0.0/24", "outside its subnet 10.1.0.0/24"),
        ("link a b subnet=10.1.0.1/24", "the network is 10.1.0.0/24"),
        ("link a b subnet=10.1.0.0", "not a network"),
        ("link a b subnet=10.1.0.0/24,10.2.0.0/24", "two IPv4 networks"),
        ("link a b subnet=10.1.0.0/24\nlink c d subnet=10.1.0.0/16", "overlaps"),
        ("link a br subnet=10.1.0.0/24\nlink br c subnet=10.2.0.0/24", "has another subnet already"),
        ("link a br subnet=none\nlink br c subnet=10.2.0.0/24", "has another subnet already"),
        ("lan l csma a b c d subnet=10.0.0.0/30", "room for 2 of the 4 ends"),
        ("link a@10.0.0.1/7 b\nlink c d", "no IPv4 network left"),
        ("option ipv6=fd00::/65", "at least a /64"),
    ],
)
def test_refused(text: str, says: str) -> None:
    assert says in complaint(text)

"""Every mistake is reported, all at once, at its place, with what would be right."""

from __future__ import annotations

import pytest

from qemunet.errors import TopologyError
from qemunet.topology import parse_topology

NODES = "node a qemu\nnode b qemu\nnode c qemu\n"


def problems(text: str, **parameters: str) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        parse_topology(text, name="net.txt", parameters=parameters)
    return caught.value.problems


def test_ten_mistakes() -> None:
    text = """\
param  rate = 10Mbps
node   client qemu memroy=128MiB
node   server qemuu
nod    r1 qemu
node   r2 qemu memory=128
link   client r2 wire rate=${rte}
link   client r3
link   client r2 wire loss=120%
link   client r2 wirre
link   client:eth7@10.0.0.1/24 r2:eth7@10.0.0.1/24
link   client:eth7 r2 csma jitter=1ms
"""
    expected = [
        ("net.txt:2:20", "did you mean 'memory'?"),
        ("net.txt:3:15", "did you mean 'qemu'?"),
        ("net.txt:4:1", "did you mean 'node'?"),
        ("net.txt:5:16", "such as 128MiB"),
        ("net.txt:6:28", "did you mean 'rate'?"),
        ("net.txt:7:15", "did you mean 'r2'?"),
        ("net.txt:8:23", "0% to 100%"),
        ("net.txt:9:18", "did you mean 'wire'?"),
        ("net.txt:10:40", "address 10.0.0.1 is used twice"),
        ("net.txt:11:8", "interface client:eth7 is used twice"),
        ("net.txt:11:28", "type wire has it"),
    ]
    found = problems(text)
    assert len(found) == len(expected)
    for line, (place, says) in zip(found, expected, strict=True):
        assert line.startswith(place + ": ")
        assert says in line


def test_keys_are_checked_beside_a_type_that_there_is_not() -> None:
    text = """\
default qemuu memroy=1MiB dealy=1ms loss=200%
node a qemuu memroy=128MiB cpus=0 mobility.X=1
node b ${x} memory=5
node c
node d host
link c d wirre dealy=5ms rate=10Mbps device.X=1
link ${x} d loss=200%
"""
    expected = [
        ("net.txt:1:9", "did you mean 'qemu'?"),
        ("net.txt:1:15", "did you mean 'memory'?"),
        ("net.txt:1:27", "did you mean 'delay'?"),
        ("net.txt:1:37", "0% to 100%"),
        ("net.txt:2:8", "did you mean 'qemu'?"),
        ("net.txt:2:14", "did you mean 'memory'?"),
        ("net.txt:2:28", "from 1 to 255"),
        ("net.txt:3:8", "parameter 'x' is not declared"),
        ("net.txt:3:13", "such as 128MiB"),
        ("net.txt:4:6", "has no type"),
        ("net.txt:6:10", "did you mean 'wire'?"),
        ("net.txt:6:16", "did you mean 'delay'?"),
        ("net.txt:7:6", "parameter 'x' is not declared"),
        ("net.txt:7:13", "0% to 100%"),
    ]
    found = problems(text)
    assert len(found) == len(expected), found
    for line, (place, says) in zip(found, expected, strict=True):
        assert line.startswith(place + ": ")
        assert says in line


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("node a", "1:6", "has no type"),
        ("node qemu", "1:6", "has no name"),
        ("node", "1:1", "name and a type"),
        ("node a qemu\nnode a qemu", "2:6", "declared twice, first in line 1"),
        ("node n[1-12] qemu\nnode n[1-1][1-1] qemu", "2:6", "node n11 is declared twice"),
        ("node wire qemu", "1:6", "reserved"),
        ("node 9a qemu", "1:6", "begins with a letter"),
        ("node a.b qemu", "1:6", "begins with a letter"),
        (f"node {'a' * 33} qemu", "1:6", "32"),
        ("node n[1-0] qemu", "1:6", "empty"),
        ("node n[1-999999999] qemu", "1:6", "100000"),
        ("node a wire", "1:8", "is a type of link"),
        ("node a qemu N=3", "1:13", "'N=3' is no type"),
        ("node a qemu cpus=0", "1:13", "from 1 to 255"),
        ("node a qemu cpus=1 cpus=2", "1:20", "twice"),
        ("node a qemu arch=arm64", "1:13", "'aarch64'"),
        ("node a qemu memory=1.5KiB", "1:13", "whole number of MiB"),
        ('node a qemu qemu_args="\'"', "1:13", "quotes do not match"),
        ("node a qemu bridge=jes", "1:13", "did you mean 'yes'?"),
        ("node a qemu console=seriell", "1:13", "must be image or serial; did you mean 'serial'?"),
        ("node a qemu console=serial user='a b'", "1:28", "must be a login name"),
        ("node a qemu console=serial password=", "1:28", "leave it out"),
        ("param x", "1:7", "no value"),
        ("param x = 1 2", "1:13", "more than one word"),
        ("param 1x = 1", "1:7", "parameter's name"),
        ("param x = 1\nparam x = 2", "2:7", "declared twice"),
        ("param x = ${x}", "1:11", "parameter x refers to itself: x -> x"),
        ("param b=${a}0MiB\nnode x qemu memory=${b}", "1:9", "parameter 'a' is not declared"),
        ("param x=y${z}\nparam z='a b'${y}\nparam y=${z}\nnode a qemu memory=${x}", "2:14", "z -> y -> z"),
        ("param a=${c}\nparam b=${a}\nparam c=${b}", "1:9", "parameter a refers to itself: a -> c -> b -> a"),
        ("param x\nnode a qemu memory=${x}", "1:7", "no value"),
        ("node a qemu append='x y'${z}", "1:25", "not declared"),
        ("node a qemu append=${z", "1:20", "has no }"),
        ('node a qemu append="x\nnode b qemu\nlink a b', "1:20", "not closed"),
        ('param m = "64MiB\nnode a qemu memory=${m}', "1:11", "not closed"),
        ("nod a 'x", "1:7", "not closed"),
        ("node a qemu memroy=(", "1:20", "not closed"),
        ("node a qemu append=f('x", "1:22", "not closed"),
        ("param", "1:1", "NAME = VALUE"),
        ("option routing=none routing=none", "1:21", "twice"),
        ("option seed=1\noption seed=2", "2:8", "twice, first in line 1"),
        ("option rooting=none", "1:8", "did you mean 'routing'?"),
        ("option attach=tap", "1:8", "native or tapbridge"),
        ("option fast", "1:8", "KEY=VALUE"),
        ("default qmu memory=1MiB", "1:9", "did you mean 'qemu'?"),
        ("default link rte=1Mbps", "1:14", "did you mean 'rate'?"),
        ("default wire name=x", "1:14", "cannot be a default"),
        ("default memory=1MiB", "1:1", "one type, node or link"),
    ],
)
def test_statements(text: str, place: str, says: str) -> None:
    (found,) = problems(text)
    assert found.startswith(f"net.txt:{place}: ")
    assert says in found


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("link a", "4:1", "two ends, not 1"),
        ("link a b c", "4:1", "two ends, not 3"),
        ("link a a", "4:8", "linked to itself"),
        ("link a qemu", "4:8", "is a type"),
        ("link a b qemu", "4:10", "is a type of node"),
        ("link a b:br0", "4:8", "choose another"),
        ("link a b:eth.1", "4:8", "15 letters"),
        ("link a:eth0 b\nlink c a:eth0", "5:8", "interface a:eth0 is used twice, first at net.txt:4:6"),
        ("link a b name=x\nlink a c name=x", "5:10", "used twice, first in line 4"),
        ("chain a b c name=x", "4:13", "names one link; this chain makes 2"),
        ("chain", "4:1", "needs ends"),
        ("chain a d c", "4:9", "'d' is not declared"),
        ("mesh a[1-999999999]", "4:6", "999999999 names"),
        ("lan a b c", "4:7", "no type of link"),
        ("lan air csma", "4:1", "lan needs"),
        ("lan air csma a b name=x", "4:18", "remove name="),
        ("lan air csma a[2-1]", "4:14", "empty"),
        ("lan air wire a b c", "4:9", "2 ends, not 3; use type csma"),
        ("link a b delay=1ms/2ms/3ms", "4:10", "more than two directions"),
        ("link a b csma delay=1ms/2ms", "4:15", "shared by all ends"),
        ("link a b rate=10", "4:10", "no unit"),
        ("link a b queue=x", "4:10", "number of frames"),
        ("link a b mtu=12", "4:10", "from 68 to"),
        ("default link mtu=1400/1500\nlan l csma a b\nlan m csma a c", "4:14", "shared by all ends"),
        ("link a b loss=", "4:10", "not a share"),
        ("link a b bandwidth=1Mbps", "4:10", "it has rate, delay"),
        ('link a c "unfinished', "4:10", "not closed"),
        ("lan air token a b", "4:9", "no type of link"),
        ("link a b 'rate=1Mbps", "4:10", "not closed"),
    ],
)
def test_links(text: str, place: str, says: str) -> None:
    found = problems(NODES + text)
    assert any(line.startswith(f"net.txt:{place}: ") and says in line for line in found), found
    assert len(found) == 1


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("node x qemu snapshot=no", "key snapshot of type qemu"),
        ("at 3s crash a", "statement at"),
    ],
)
def test_what_a_later_version_builds_is_refused_as_such(text: str, what: str) -> None:
    (found,) = problems(NODES + text)
    assert what in found
    assert found.endswith("not available in this version")


def test_given_parameters_must_be_declared() -> None:
    (found,) = problems("param rate = 1Mbps\nnode a qemu", raet="2Mbps")
    assert "'raet' is not declared; did you mean 'rate'?" in found
    (found,) = problems("param rate = 1Mbps\nnode a qemu", rate="2\0")
    assert "cannot be printed" in found


def test_a_wrong_given_value_is_reported_where_it_is_used() -> None:
    (found,) = problems("param rate = 1Mbps\n" + NODES + "link a b rate=${rate}", rate="2")
    assert found.startswith("net.txt:5:10: rate=2: has no unit")


def test_what_the_plan_would_refuse_is_reported_with_the_rest() -> None:
    found = problems("node a qemu attach=tapbridge\nnode b qemu cpu=\nlink a b")
    assert len(found) == 2
    assert "use link type csma or attach=native" in found[1]


def test_the_list_of_mistakes_ends() -> None:
    found = problems("junk\n" * 100_000)
    assert len(found) == 501
    assert "the rest is not shown" in found[-1]

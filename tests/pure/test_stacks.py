"""Plans of the nodes that ns-3 itself plays, what goes where, and what guests are told of routes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from qemunet.errors import PlanError
from qemunet.guest.configure import configuration_script
from qemunet.plan import make_plan, plan_from_json, plan_to_json
from qemunet.plan.model import Impairments, Plan, StackInterfacePlan, StackPlan
from qemunet.topology import parse_topology


def plan_of(text: str) -> Plan:
    return make_plan(parse_topology(text), seed=7, source_directory=None)


def complaint(text: str) -> tuple[str, ...]:
    topology = parse_topology(text)
    with pytest.raises(PlanError) as caught:
        make_plan(topology, seed=1, source_directory=None)
    return caught.value.problems


def stack(plan: Plan, node: str) -> StackPlan:
    return next(stack for stack in plan.simulation.stacks if stack.node == node)


ALL = (
    "option ipv6=fd00::/48 routing=static\nnode a container\nnode h host\nnode r router\nnode o[1-2] olsr\nnode s bridge\n"
    "link a s\nlink s h csma\nlink h r wire mtu=1400/9000\nlink r o1 p2p\nlink o1 o2 csma"
)


def test_nodes_of_all_types() -> None:
    plan = plan_of(ALL)
    assert [guest.node for guest in plan.guests] == ["a"]
    assert plan.simulation.nodes == ("a", "h", "r", "o1", "o2", "s")
    assert [(each.node, each.type, each.role, each.olsr) for each in plan.simulation.stacks] == [
        ("h", "host", "host", False),
        ("r", "router", "router", False),
        ("o1", "olsr", "router", True),
        ("o2", "olsr", "router", True),
        ("s", "bridge", "bridge", False),
    ]
    assert stack(plan, "h").interfaces == (
        StackInterfacePlan("eth0", ("10.0.0.2/24", "fd00::2/64"), 1500),
        StackInterfacePlan("eth1", ("10.0.1.1/24", "fd00:0:0:1::1/64"), 1400),
    )
    assert stack(plan, "s").interfaces == ()
    # Only guests have doors, and these are numbered without gaps.
    ends = [end for link in plan.simulation.links for end in link.ends]
    assert [(end.node, end.door, end.attach) for end in ends if end.door is not None] == [("a", 0, "native")]
    assert len({end.mac for end in ends}) == len(ends)


def test_a_bridge_has_an_address_where_one_is_written() -> None:
    plan = plan_of("node a container\nnode s bridge\nnode b container\nlink a s@10.0.0.9/24\nlink s b mtu=1400")
    assert stack(plan, "s").interfaces == (StackInterfacePlan("br0", ("10.0.0.9/24",), 1400),)


def test_point_to_point() -> None:
    keys = "rate=1Mbps/2Mbps delay=3ms loss=0/1% queue=5 mtu=1400"
    (link,) = plan_of(f"node a container\nnode b router\nlink a b p2p {keys}").simulation.links
    assert link.type == "p2p"
    assert link.mtu == 1400
    assert link.impairments == (
        Impairments(1_000_000, 3_000_000, 0.0, queue_frames=5),
        Impairments(2_000_000, 3_000_000, 0.01, queue_frames=5),
    )


def test_json_round_trip() -> None:
    plan = plan_of(ALL)
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (
            "node a qemu attach=tapbridge\nnode b qemu\nlink a b p2p",
            "3:6",
            "guest a has attach=tapbridge, but a p2p link",
        ),
        ("node a bridge\nnode b qemu\nlink a b p2p", "3:6", "a is a bridge, but a p2p link carries packets without"),
        ("node a qemu bridge=yes\nnode b qemu\nlink b a p2p", "3:8", "guest a has bridge=yes, but a p2p link"),
        ("option simulator=ns3\nnode a qemu\nnode b router\nlink a b p2p", "4:6", "simulator=ns3 has no native doors"),
    ],
)
def test_what_does_not_go_there(text: str, place: str, words: str) -> None:
    found = complaint(text)
    assert any(line.startswith(f"topology.txt:{place}: ") and words in line for line in found), found
    assert all("use " in line for line in found)


def test_nodes_of_ns3_are_on_every_link_and_attach_is_no_matter_to_them() -> None:
    text = "option attach=tapbridge simulator=ns3\nnode a router\nnode b host\nnode s bridge\nlink a b p2p\nlink a s\nlink s b csma"
    assert len(plan_of(text).simulation.stacks) == 3


def script(text: str, node: str = "r") -> str:
    plan = plan_of(text)
    return configuration_script(next(guest for guest in plan.guests if guest.node == node))


ROW = "node a container\nnode r container\nnode b container\nnode z router\nchain a r b z"


def test_a_guest_is_told_its_routes_and_to_forward() -> None:
    told = script(f"option routing=static ipv6=fd00::/48\n{ROW}")
    assert "/proc/sys/net/ipv4/ip_forward" in told
    assert "rp_filter" in told
    assert "accept_dad" in told
    assert "route add default via 10.0.1.2 dev eth1\n" in told
    assert "route add default via fd00:0:0:1::2 dev eth1\n" in told
    assert "ip_default_ttl" not in told
    plain = script(ROW)
    assert "route" not in plain
    assert "/proc/sys" not in plain
    alone = script(f"option routing=static\n{ROW}", "a")
    assert "forward" not in alone
    assert "route add default via 10.0.0.2 dev eth0\n" in alone


def test_a_guest_far_from_others_gets_a_longer_life() -> None:
    told = script("option routing=static\nnode r container\nnode z container\nnode n[1-70] router\nchain r n[1-70] z")
    assert "echo 255 >$each" in told
    assert "/proc/sys/net/ipv4/ip_default_ttl" in told


@pytest.mark.parametrize("shell", ["sh", "busybox sh"])
def test_the_script_is_one_for_either_ip(tmp_path: Path, shell: str) -> None:
    """With an `ip` that has no batch mode, each route is added by itself."""
    text = script(f"option routing=static ipv6=fd00::/48\n{ROW}")
    routes = text[text.index("if ip -V") : text.rindex(")")]
    for batch in (True, False):
        (tmp_path / "ip").write_text(
            f'#!/bin/sh\n[ "$1" = -V ] && exit {0 if batch else 1}\n'
            f'echo "$*" >>{tmp_path}/said\n[ "$1" = -batch ] && cat >>{tmp_path}/said\nexit 0\n'
        )
        (tmp_path / "ip").chmod(0o755)
        (tmp_path / "said").write_text("")
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        subprocess.run([*shell.split(), "-e"], input=routes, text=True, check=True, env=environment)
        said = (tmp_path / "said").read_text().splitlines()
        assert said[0] == ("-batch -" if batch else "route add default via 10.0.1.2 dev eth1")
        assert said[-1] == ("" if batch else "-6 ") + "route add default via fd00:0:0:1::2 dev eth1"

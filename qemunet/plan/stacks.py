"""Nodes that ns-3 itself plays: hosts, routers, bridges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Literal, cast

from qemunet.plan.model import StackInterfacePlan, StackPlan
from qemunet.plan.routes import Routes
from qemunet.topology.model import Node, Topology
from qemunet.topology.registry import NODE_TYPES

BRIDGE = "br0"
"""What a bridge's own interface is called, in a guest and in ns-3."""


@dataclass(frozen=True)
class StackEnd:
    """An interface of a node without guest, and the segment it is in."""

    interface: StackInterfacePlan
    segment: int


def plan_stacks(topology: Topology, ends: Mapping[str, Sequence[StackEnd]], routes: Routes) -> tuple[StackPlan, ...]:
    """Plan every node without guest.

    Args:
        topology: The network.
        ends: Of each of these nodes.
        routes: Of the network.
    """
    stacks = (node for node in topology.nodes.values() if not node.is_guest)
    segments = _olsr_segments(topology)
    return tuple(_plan_stack(node, ends.get(node.name, ()), routes, segments) for node in stacks)


def _plan_stack(
    node: Node, ends: Sequence[StackEnd], routes: Routes, olsr_segments: Mapping[int, frozenset[bool]]
) -> StackPlan:
    interfaces = tuple(end.interface for end in ends)
    node_type = NODE_TYPES[node.type]
    if node_type.role == "bridge":
        addresses = tuple(address for interface in interfaces for address in interface.addresses)
        mtu = min((interface.mtu for interface in interfaces), default=0)
        interfaces = (StackInterfacePlan(BRIDGE, addresses, mtu),) if addresses else ()
    olsr = node.type == "olsr"
    excluded: tuple[str, ...] = ()
    announced: tuple[str, ...] = ()
    if olsr:
        excluded, announced = _olsr(ends, olsr_segments, routes.of(node.name))
    return StackPlan(
        node=node.name,
        type=node.type,
        role=cast(Literal["host", "router", "bridge"], node_type.role),
        interfaces=interfaces,
        routes=routes.of(node.name),
        olsr=olsr,
        excluded=excluded,
        announced=announced,
        hop_limit=routes.hop_limit,
        build=node_type.build,
        attributes=node.attributes,
    )


def _olsr_segments(topology: Topology) -> Mapping[int, frozenset[bool]]:
    """Segment -> whether what is in it runs OLSR: a bridge is neither here nor there."""
    found: dict[int, set[bool]] = {}
    count: dict[int, int] = {}
    for link in topology.links.values():
        for end in link.ends:
            if topology.nodes[end.node].bridges:
                continue
            runs = topology.nodes[end.node].type == "olsr"
            count[link.segment] = count.get(link.segment, 0) + runs
            found.setdefault(link.segment, set()).add(runs)
    # A single OLSR router in a segment speaks to nobody there.
    return {number: frozenset(runs) if count[number] > 1 else frozenset({False}) for number, runs in found.items()}


def _olsr(
    ends: Sequence[StackEnd], segments: Mapping[int, frozenset[bool]], routes: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Interfaces that OLSR leaves alone, and networks that it announces: where others than its routers are."""
    excluded: list[str] = []
    announced: dict[str, None] = {}
    for end in ends:
        runs = segments.get(end.segment, frozenset())
        if True not in runs:
            excluded.append(end.interface.name)
        if False in runs:
            announced.update((str(ip_interface(address).network), None) for address in end.interface.addresses)
    announced.update((route.partition(" ")[0].replace("default", "0.0.0.0/0"), None) for route in routes)
    return tuple(excluded), tuple(network for network in announced if ":" not in network)

"""The network as its routers see it: who reaches whom in one hop, at what cost.

A hop leads from a node over one segment to another node with an address in the same subnet. Its cost is the delay of
the links on the way through the segment; among equal delays the fewer hops count. Hops between two nodes that pass
nothing on and have no other subnet are left out: they need no route.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from ipaddress import IPv4Network, IPv6Network, ip_interface
from itertools import combinations

from qemunet.topology.model import End, Link, Topology

Network = IPv4Network | IPv6Network

HOP_BITS = 20
"""The low bits of a cost count hops; the others are nanoseconds."""
ONE_HOP = 1

Delays = Mapping[str, tuple[int, int]]
"""Link -> delay in ns from its first to its second end, and back; both the same where it has more ends."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A way out of a node.

    Attributes:
        to: Number of the node it leads to, or of a hub, which is a subnet where everyone is one hop from everyone.
        cost: See HOP_BITS.
        device: The interface by which it leaves.
        gateway: Address of the node it leads to; empty for a hub.
        subnet: Number of the subnet it crosses.
    """

    to: int
    cost: int
    device: str
    gateway: str
    subnet: int


@dataclass(frozen=True, slots=True)
class Member:
    """An address in a subnet."""

    node: int
    address: str
    device: str


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet of a segment, with those that have an address in it."""

    network: Network
    members: tuple[Member, ...]


@dataclass
class Graph:
    """A network, for one version of IP.

    Attributes:
        nodes: Names by number.
        forwards: By number of the node: whether it passes packets on.
        hops: By number of the node, and of the hubs after them.
        subnets: In order of their addresses.
        hubs: Number of a hub -> node -> its address there.
    """

    nodes: Sequence[str]
    forwards: Sequence[bool]
    hops: list[list[Hop]]
    subnets: list[Subnet]
    hubs: dict[int, dict[int, str]]

    @property
    def uniform(self) -> bool:
        """Whether all hops cost the same, and none leads over a hub."""
        return not self.hubs and len({hop.cost for hops in self.hops for hop in hops}) <= 1


@dataclass(frozen=True, slots=True, eq=False)
class _Port:
    """An end with what it is as a member of its segment."""

    link: Link
    end: End
    index: int
    node: int
    device: str
    bridging: bool


def forwarders(topology: Topology) -> frozenset[str]:
    """Nodes that pass packets on: routers, and guests with addresses in more than one subnet that are no bridges."""
    networks: dict[str, set[Network]] = {}
    for link in topology.links.values():
        for end in link.ends:
            networks.setdefault(end.node, set()).update(ip_interface(address).network for address in end.addresses)
    found = set()
    for node in topology.nodes.values():
        by_version = [sum(network.version == version for network in networks.get(node.name, ())) for version in (4, 6)]
        if node.role == "router" or (node.is_guest and not node.bridges and max(by_version) > 1):
            found.add(node.name)
    return frozenset(found)


def make_graph(topology: Topology, version: int, delays: Delays, forward: frozenset[str], bridge: str) -> Graph:
    """Return the network for a version of IP.

    Args:
        topology: The network.
        version: 4 or 6.
        delays: Of its links.
        forward: Nodes that pass packets on.
        bridge: Name of the interface that has the addresses of a bridging node.
    """
    numbers = {name: number for number, name in enumerate(topology.nodes)}
    segments: dict[int, list[_Port]] = {}
    for link in topology.links.values():
        for index, end in enumerate(link.ends):
            bridging = topology.nodes[end.node].bridges
            device = bridge if bridging else end.interface
            segments.setdefault(link.segment, []).append(_Port(link, end, index, numbers[end.node], device, bridging))
    graph = Graph(list(topology.nodes), [name in forward for name in topology.nodes], [[] for _ in numbers], [], {})
    crossings: list[tuple[Subnet, list[_Port], list[_Port]]] = []
    for ports in segments.values():
        crossings += _subnets(ports, version)
    crossings.sort(key=lambda crossing: (int(crossing[0].network.network_address), crossing[0].network.prefixlen))
    graph.subnets = [subnet for subnet, _, _ in crossings]
    order = {(link.name, index): number for number, (link, index) in enumerate(_ends(topology))}
    found: list[tuple[int, int, Hop]] = []
    own = Counter(node for subnet in graph.subnets for node in {member.node for member in subnet.members})
    leads_on = [forwards or own[node] > 1 for node, forwards in enumerate(graph.forwards)]
    for number, (subnet, members, segment) in enumerate(crossings):
        if any(leads_on[port.node] for port in members):
            found += _hops(graph, number, subnet, members, segment, delays, order, leads_on)
    # Those of a node in the order of its interfaces: equal ways are then chosen alike everywhere.
    for node, _, hop in sorted(found, key=lambda each: each[:2]):
        graph.hops[node].append(hop)
    return graph


def _ends(topology: Topology) -> Iterable[tuple[Link, int]]:
    return ((link, index) for link in topology.links.values() for index in range(len(link.ends)))


def _subnets(ports: Sequence[_Port], version: int) -> Iterable[tuple[Subnet, list[_Port], list[_Port]]]:
    """Yield the subnets of a segment with their members' ports, and all ports of the segment."""
    members: dict[Network, list[tuple[_Port, Member]]] = {}
    for port in ports:
        for text in port.end.addresses:
            address = ip_interface(text)
            if address.version == version and not address.ip.is_link_local:
                member = Member(port.node, str(address.ip), port.device)
                members.setdefault(address.network, []).append((port, member))
    for network, each in members.items():
        yield Subnet(network, tuple(member for _, member in each)), [port for port, _ in each], list(ports)


def _hops(
    graph: Graph,
    number: int,
    subnet: Subnet,
    members: Sequence[_Port],
    segment: Sequence[_Port],
    delays: Delays,
    order: Mapping[tuple[str, int], int],
    leads_on: Sequence[bool],
) -> Iterable[tuple[int, int, Hop]]:
    """Yield (node, order of its interface, hop) of one subnet; adds a hub to the graph where it needs one."""
    links = {port.link.name for port in segment}
    if len(links) == 1 and len(members) > 2:
        hub = len(graph.hops)
        graph.hops.append([])
        graph.hubs[hub] = {member.node: member.address for member in subnet.members}
        delay_ns = delays[members[0].link.name][0]
        for port, member in zip(members, subnet.members, strict=True):
            into = Hop(hub, delay_ns << HOP_BITS | ONE_HOP, port.device, "", number)
            yield port.node, order[port.link.name, port.index], into
            graph.hops[hub].append(Hop(port.node, 0, "", member.address, number))
        return
    costs = _costs(segment, members, delays, leads_on) if len(links) > 1 else {}
    for pair in combinations(zip(members, subnet.members, strict=True), 2):
        for (here, _), (there, member) in (pair, pair[::-1]):
            if here.node != there.node and (leads_on[here.node] or leads_on[there.node]):
                delay_ns = costs[here, there] if costs else _delay_ns(here, delays)
                cost = delay_ns << HOP_BITS | ONE_HOP
                way = Hop(there.node, cost, here.device, member.address, number)
                yield here.node, order[here.link.name, here.index], way


def _delay_ns(port: _Port, delays: Delays) -> int:
    """Delay of what a port sends on its link."""
    return delays[port.link.name][min(port.index, 1)]


def _costs(
    segment: Sequence[_Port], members: Sequence[_Port], delays: Delays, leads_on: Sequence[bool]
) -> dict[tuple[_Port, _Port], int]:
    """Return the delay from port to port through the bridges of a segment, for pairs of which one leads on.

    A link is a vertex that costs its delay to enter, a bridging node one that costs nothing, and a port one of its own.
    """
    onward: dict[object, list[tuple[object, int]]] = {}
    backward: dict[object, list[tuple[object, int]]] = {}
    for port in segment:
        vertex: object = port.node if port.bridging else port
        for source, target, cost in ((vertex, port.link.name, _delay_ns(port, delays)), (port.link.name, vertex, 0)):
            onward.setdefault(source, []).append((target, cost))
            backward.setdefault(target, []).append((source, cost))
    found: dict[tuple[_Port, _Port], int] = {}
    for router in (port for port in members if leads_on[port.node]):
        there, back = _search(onward, router), _search(backward, router)
        for port in members:
            vertex = port.node if port.bridging else port
            if port is not router and vertex in there:
                found[router, port] = there[vertex]
                found[port, router] = back[vertex]
    return found


def _search(graph: Mapping[object, Sequence[tuple[object, int]]], start: object) -> dict[object, int]:
    """Return the least cost from ``start`` to whatever can be reached."""
    costs: dict[object, int] = {}
    heap: list[tuple[int, int, object]] = [(0, 0, start)]
    pushed = 0
    while heap:
        cost, _, vertex = heappop(heap)
        if vertex in costs:
            continue
        costs[vertex] = cost
        for target, more in graph.get(vertex, ()):
            if target not in costs:
                pushed += 1
                heappush(heap, (cost + more, pushed, target))
    return costs

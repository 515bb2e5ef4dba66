"""Static routes: for every node, along the paths of least delay, as few routes as say it.

Every address is reached on a path of least total delay to its node, and of the fewest hops among those. A node with one
way out gets a default route. Elsewhere a route leads to a block of subnets that lie side by side and are reached the
same way; where the ends of a subnet are best reached on different ways, one of them gets a route of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice, pairwise

from qemunet.plan.graph import HOP_BITS, Delays, Graph, forwarders, make_graph
from qemunet.topology.model import Topology

USUAL_HOP_LIMIT = 64
MOST_HOPS = 255
_HOPS_WITH_ROOM = 60

_HERE = -1
_NOWHERE = -2


@dataclass(frozen=True)
class Routes:
    """The static routes of a network.

    Attributes:
        forward: Nodes that pass packets on.
        hop_limit: Time to live with which packets reach everyone.
        warnings: What the routes cannot do.
    """

    forward: frozenset[str] = frozenset()
    hop_limit: int = USUAL_HOP_LIMIT
    warnings: tuple[str, ...] = ()
    _routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, node: str) -> tuple[str, ...]:
        """Routes of a node as words of ``ip route add``: ``10.0.2.0/23 via 10.0.0.2 dev eth0``."""
        return self._routes.get(node, ())


def find_routes(topology: Topology, delays: Delays, bridge: str) -> Routes:
    """Find the routes that ``option routing=static`` fills in; without it none, and only routers pass packets on.

    Args:
        topology: The network.
        delays: Of its links.
        bridge: Name of the interface that has the addresses of a bridging node.
    """
    if topology.options.get("routing") != "static":
        return Routes()
    forward = forwarders(topology)
    routes: dict[str, list[str]] = {name: [] for name in topology.nodes}
    longest = 0
    severed: list[str] = []
    for version in (4, 6):
        graph = make_graph(topology, version, delays, forward, bridge)
        olsr = frozenset(
            number for number, name in enumerate(graph.nodes) if version == 4 and topology.nodes[name].type == "olsr"
        )
        table = _Tables(graph, olsr)
        for number, name in enumerate(graph.nodes):
            routes[name] += table.of(number)
        longest = max(longest, table.longest)
        severed += table.severed
    return Routes(
        forward,
        USUAL_HOP_LIMIT if longest <= _HOPS_WITH_ROOM else MOST_HOPS,
        tuple(_warnings(longest, severed)),
        {name: tuple(each) for name, each in routes.items()},
    )


def _warnings(longest: int, severed: Sequence[str]) -> Iterator[str]:
    if severed:
        more = f" (nor for {len(severed) - 1} others)" if len(severed) > 1 else ""
        yield f"routing=static: there is no way {severed[0]}{more}; only routers and guests in several subnets forward"
    if longest > MOST_HOPS:
        yield f"routing=static: the longest path has {longest} hops; no packet gets further than {MOST_HOPS}"


class _Tables:
    """Makes the tables of all nodes of a graph.

    A *way* is a number that stands for a next hop of the node in question: that of the hop in its list times the
    number of vertices, plus the node it leads to.

    Args:
        graph: The network.
        olsr: Nodes that run OLSR: what they reach by way of each other is left to it.

    Attributes:
        severed: From and to where there is no way, as ``from a to 10.0.3.0/24``; one for each node.
    """

    def __init__(self, graph: Graph, olsr: frozenset[int]) -> None:
        self.severed: list[str] = []
        self._graph = graph
        self._olsr = olsr
        self._vertices = len(graph.hops)
        self._uniform = graph.uniform
        self._targets = [[hop.to for hop in hops] for hops in graph.hops]
        self._longest = 0
        self._skipped = False
        subnets = graph.subnets
        # Most subnets have one member or two, so two lists say where all are reached.
        self._first = [subnet.members[0].node for subnet in subnets]
        self._last = [subnet.members[-1].node for subnet in subnets]
        self._ends = list(zip(self._first, self._last, strict=True))
        self._large = [number for number, subnet in enumerate(subnets) if len(subnet.members) > 2]
        self._spans = [
            (int(subnet.network.network_address), int(subnet.network.broadcast_address)) for subnet in subnets
        ]
        pairs = list(pairwise(self._spans))
        overlapping = any(following[0] <= span[1] for span, following in pairs)
        self._follows = [False, *(following[0] == span[1] + 1 and not overlapping for span, following in pairs)]
        self._own: list[set[int]] = [set() for _ in graph.nodes]
        for number, subnet in enumerate(subnets):
            for member in subnet.members:
                self._own[member.node].add(number)

    @property
    def longest(self) -> int:
        """Hops of the longest path."""
        return self._longest + self._skipped

    def of(self, node: int) -> list[str]:
        """Return the routes of a node."""
        if not self._graph.hops[node]:
            if self._own[node]:
                self._note_severed(node, [_NOWHERE] * len(self._graph.subnets))
            return []
        if len(self._graph.subnets) == 1:
            return []
        only = self._only_way(node)
        if only is not None and len(self._own[node]) < len(self._graph.subnets):
            self._skipped = True
            return [f"default {self._words(node, only)}"]
        ways, costs = self._breadth_first(node) if self._uniform else self._by_delay(node)
        self._note_severed(node, [min(ways[one], ways[other]) for one, other in self._ends])
        if node in self._olsr:
            ways = [_NOWHERE if way >= 0 and way % self._vertices in self._olsr else way for way in ways]
        return self._table(node, ways, costs)

    def _note_severed(self, node: int, by_subnet: Sequence[int]) -> None:
        if _NOWHERE in by_subnet:
            far = (number for number, way in enumerate(by_subnet) if way == _NOWHERE and number not in self._own[node])
            for number in islice(far, 1):
                self.severed.append(f"from {self._graph.nodes[node]} to {self._graph.subnets[number].network}")

    def _only_way(self, node: int) -> int | None:
        """The next hop of a node that passes nothing on and has a single one; None if there is more to know."""
        forwards = self._graph.forwards
        if forwards[node]:
            return None
        ways = []
        for number, hop in enumerate(self._graph.hops[node]):
            leads_to = self._targets[hop.to] if hop.to in self._graph.hubs else [hop.to]
            for to in leads_to:
                if to != node and (forwards[to] or len(self._own[to]) > 1):
                    ways.append(number * self._vertices + to)
        return ways[0] if len(ways) == 1 and forwards[ways[0] % self._vertices] else None

    def _breadth_first(self, source: int) -> tuple[list[int], list[int]]:
        """Way to and cost of every vertex, where all hops cost the same."""
        ways = [_NOWHERE] * self._vertices
        costs = [0] * self._vertices
        ways[source] = _HERE
        level = []
        for number, to in enumerate(self._targets[source]):
            if ways[to] == _NOWHERE:
                ways[to] = number * self._vertices + to
                costs[to] = 1
                level.append(to)
        hops = 1
        while level:
            self._longest = max(self._longest, hops)
            hops += 1
            following = []
            for vertex in level:
                if not self._graph.forwards[vertex]:
                    continue
                way = ways[vertex]
                for to in self._targets[vertex]:
                    if ways[to] == _NOWHERE:
                        ways[to] = way
                        costs[to] = hops
                        following.append(to)
            level = following
        return ways, costs

    def _by_delay(self, source: int) -> tuple[list[int], list[int]]:
        """Way to and cost of every vertex."""
        graph, vertices, nodes = self._graph, self._vertices, len(self._graph.nodes)
        ways = [_NOWHERE] * vertices
        costs = [0] * vertices
        done = [False] * vertices
        # A way into a hub is not known before it leads out of it: until then it is a number below the others.
        heap = [(0, _HERE, source)]
        while heap:
            cost, way, vertex = heappop(heap)
            if done[vertex]:
                continue
            done[vertex] = True
            ways[vertex] = way
            costs[vertex] = cost
            if vertex == source:
                for number, hop in enumerate(graph.hops[vertex]):
                    out = number * vertices + hop.to if hop.to < nodes else _NOWHERE - 1 - number
                    heappush(heap, (hop.cost, out, hop.to))
            elif vertex >= nodes:
                out_of = (_NOWHERE - 1 - way) * vertices
                for hop in graph.hops[vertex]:
                    if not done[hop.to]:
                        heappush(heap, (cost, out_of + hop.to if way < _NOWHERE else way, hop.to))
            elif graph.forwards[vertex]:
                for hop in graph.hops[vertex]:
                    if not done[hop.to]:
                        heappush(heap, (cost + hop.cost, way, hop.to))
        hops = max(cost & ((1 << HOP_BITS) - 1) for cost in costs)
        self._longest = max(self._longest, hops)
        return ways, costs

    def _table(self, node: int, ways: Sequence[int], costs: Sequence[int]) -> list[str]:
        """Return the routes of a node by what a search from it found."""
        own = self._own[node]
        by_subnet = [ways[member] for member in self._first]
        last = [ways[member] for member in self._last]
        divided = set(self._large)
        if by_subnet != last:
            divided.update(number for number, way in enumerate(by_subnet) if way != last[number])
        single: list[tuple[str, int]] = []
        for number in sorted(divided - own):
            by_subnet[number] = self._usual_way(number, ways, costs)
            single += self._others(number, by_subnet[number], ways)
        for number in own:
            by_subnet[number] = _HERE
            single += self._detours(node, number, ways)
        remote = {way for way in by_subnet if way != _HERE}
        if len(remote) == 1 and _NOWHERE not in remote and not single:
            return [f"default {self._words(node, remote.pop())}"]
        words = {way: self._words(node, way) for way in {*remote, *(way for _, way in single)} if way >= 0}
        return [f"{prefix} {words[way]}" for prefix, way in (*self._blocks(by_subnet), *single)]

    def _usual_way(self, number: int, ways: Sequence[int], costs: Sequence[int]) -> int:
        """The way to most members of a subnet; among equals, to the nearest one."""
        members = [member.node for member in self._graph.subnets[number].members if ways[member.node] >= 0]
        if not members:
            return _NOWHERE
        counts = Counter(ways[member] for member in members)
        return ways[min(members, key=lambda member: (-counts[ways[member]], costs[member]))]

    def _others(self, number: int, usual: int, ways: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield the members of a subnet that are best reached another way."""
        for member in self._graph.subnets[number].members:
            if ways[member.node] >= 0 and ways[member.node] != usual:
                yield self._prefix(int(ip_address(member.address)), 0), ways[member.node]

    def _detours(self, node: int, number: int, ways: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield the neighbours in a subnet of the node itself that are nearer by another one."""
        forwards = self._graph.forwards
        for member in self._graph.subnets[number].members:
            way = ways[member.node]
            if way < 0 or not (forwards[node] or forwards[member.node]):
                continue
            direct = way % self._vertices == member.node
            if not direct or self._graph.hops[node][way // self._vertices].subnet != number:
                yield self._prefix(int(ip_address(member.address)), 0), way

    def _blocks(self, by_subnet: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield the blocks of subnets side by side that are reached the same way.

        The node's own subnets may lie in a block: it has a route of its own to each of them, which is narrower.
        """
        current, first, last = _NOWHERE, 0, 0
        for number, (way, follows) in enumerate(zip(by_subnet, self._follows, strict=True)):
            if current >= 0 and follows and way in (current, _HERE):
                if way == current:
                    last = number
                continue
            if current >= 0:
                yield from self._split(first, last, current)
            current, first, last = way, number, number
        if current >= 0:
            yield from self._split(first, last, current)

    def _split(self, first: int, last: int, way: int) -> Iterator[tuple[str, int]]:
        """Yield the prefixes that make up the subnets from the first to the last."""
        low, high = self._spans[first][0], self._spans[last][1]
        while low <= high:
            bits = (high - low + 1).bit_length() - 1
            if low:
                bits = min(bits, (low & -low).bit_length() - 1)
            yield self._prefix(low, bits), way
            low += 1 << bits

    def _prefix(self, address: int, bits: int) -> str:
        """A prefix as text: its first address, and how many bits vary."""
        if self._graph.subnets[0].network.version == 4:
            return f"{IPv4Address(address)}/{32 - bits}"
        return f"{IPv6Address(address)}/{128 - bits}"

    def _words(self, node: int, way: int) -> str:
        """A next hop as words of ``ip route``."""
        hop = self._graph.hops[node][way // self._vertices]
        gateway = hop.gateway or self._graph.hubs[hop.to][way % self._vertices]
        return f"via {gateway} dev {hop.device}"

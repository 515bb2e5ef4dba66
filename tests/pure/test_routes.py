"""Static routes: every packet takes a path of least delay, by tables as small as they can be kept."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

import networkx
from hypothesis import given, settings
from hypothesis import strategies as st

from qemunet.plan import make_plan
from qemunet.plan.model import Plan
from qemunet.topology import Topology, parse_topology

MS = 1_000_000
Subnet = IPv4Network | IPv6Network


def planned(text: str) -> tuple[Topology, Plan]:
    topology = parse_topology("option routing=static\n" + text)
    return topology, make_plan(topology, seed=1, source_directory=None)


def routes(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {
        **{guest.node: guest.routes for guest in plan.guests},
        **{stack.node: stack.routes for stack in plan.simulation.stacks},
    }


class Network:
    """A planned network in which packets can be followed from node to node, as its tables say."""

    def __init__(self, topology: Topology, plan: Plan) -> None:
        self.owner: dict[str, str] = {}
        self.connected: dict[str, list[tuple[Subnet, int]]] = {name: [] for name in topology.nodes}
        self.graph: networkx.DiGraph[str] = networkx.DiGraph()
        self.graph.add_nodes_from(topology.nodes)
        self.bridges = {name for name, node in topology.nodes.items() if node.bridges}
        for link, planned_link in zip(topology.links.values(), plan.simulation.links, strict=True):
            ways = planned_link.impairments
            for index, end in enumerate(link.ends):
                for address in map(ip_interface, end.addresses):
                    self.owner[str(address.ip)] = end.node
                    self.connected[end.node].append((address.network, link.segment))
                medium = f"{link.segment}/{link.name}"
                self.graph.add_edge(end.node, f"{medium}/{index}", delay=ways[min(index, len(ways) - 1)].delay_ns)
                self.graph.add_edge(f"{medium}/{index}", medium, delay=0)
                self.graph.add_edge(medium, end.node, delay=0)
        self.forwards = {guest.node for guest in plan.guests if guest.forwards}
        self.forwards |= {stack.node for stack in plan.simulation.stacks if stack.role == "router"}
        self.tables = {
            node: [
                (ip_network(prefix.replace("default", "::/0" if ":" in via else "0.0.0.0/0")), via)
                for prefix, _, via, _, _ in (route.split() for route in each)
            ]
            for node, each in routes(plan).items()
        }

    def segment_delays_ns(self, node: str, segment: int) -> Mapping[str, int]:
        """What a frame takes from a node to others of a segment."""
        inside = [v for v in self.graph if v in self.bridges or v.startswith(f"{segment}/")]
        others = [v for v in self.graph if any(segment == own for _, own in self.connected.get(v, ()))]
        usable = self.graph.subgraph([*inside, *others]).copy()
        usable.remove_edges_from([edge for other in others if other != node for edge in list(usable.out_edges(other))])
        lengths: Mapping[str, int] = networkx.single_source_dijkstra_path_length(usable, node, weight="delay")
        return lengths

    def least_ns(self, source: str) -> Mapping[str, int]:
        """The least that packets of a node can take to others."""
        usable = self.graph.copy()
        silent = [n for n in self.connected if n != source and n not in self.forwards | self.bridges]
        usable.remove_edges_from([edge for node in silent for edge in list(usable.out_edges(node))])
        lengths: Mapping[str, int] = networkx.single_source_dijkstra_path_length(usable, source, weight="delay")
        return lengths

    def delay_ns(self, source: str, destination: str) -> int | None:
        """What a packet takes to an address; None if it does not get there."""
        target, owner = ip_address(destination), self.owner[destination]
        node, total, passed = source, 0, 0
        while node != owner:
            near = [(each.prefixlen, destination) for each, _ in self.connected[node] if target in each]
            known = [(network.prefixlen, via) for network, via in self.tables.get(node, ()) if target in network]
            passed += 1
            if not near + known or passed > 200 or (passed > 1 and node not in self.forwards):
                return None
            _, via = max(near + known, key=lambda entry: entry[0])
            total += self._hop_ns(node, via)
            node = self.owner[via]
        return total

    def _hop_ns(self, node: str, via: str) -> int:
        segments = {segment for network, segment in self.connected[node] if ip_address(via) in network}
        return min(self.segment_delays_ns(node, segment)[self.owner[via]] for segment in segments)


@st.composite
def networks(draw: st.DrawFn) -> str:
    count = draw(st.integers(2, 8))
    kinds = [draw(st.sampled_from(["container", "router", "router", "host", "bridge"])) for _ in range(count)]
    nodes = st.integers(0, count - 1)
    delays = st.integers(0, draw(st.sampled_from([0, 1, 3, 50])))
    lines = [f"node n{number} {kind}" for number, kind in enumerate(kinds)]
    if draw(st.booleans()):
        lines.insert(0, "option ipv6=fd00::/48")
    for one, other in draw(st.lists(st.tuples(nodes, nodes), min_size=1, max_size=14)):
        if one != other:
            lines.append(f"link n{one} n{other} delay={draw(delays)}ms/{draw(delays)}ms")
    for number in range(draw(st.integers(0, 2))):
        ends = draw(st.lists(nodes, min_size=1, max_size=4, unique=True))
        lines.append(f"lan l{number} csma {' '.join(f'n{end}' for end in ends)} delay={draw(delays)}ms")
    return "\n".join(lines)


@settings(max_examples=200)
@given(networks())
def test_every_packet_takes_a_path_of_least_delay(text: str) -> None:
    network = Network(*planned(text))
    for source in network.connected:
        if source in network.bridges:
            continue
        least = network.least_ns(source)
        neighbours = {
            address for address in network.owner for each, _ in network.connected[source] if ip_address(address) in each
        }
        for address, owner in network.owner.items():
            if address in neighbours and not {source, owner} & network.forwards:
                # Two that pass nothing on speak to each other directly, whatever else there is.
                assert network.delay_ns(source, address) is not None
            else:
                assert network.delay_ns(source, address) == least.get(owner), (source, address)


def test_a_router_on_the_way_is_taken_though_there_is_a_direct_link() -> None:
    topology, plan = planned(
        "node a router\nnode b router\nnode c router\nlink a b delay=50ms\nlink a c delay=1ms\nlink c b delay=1ms"
    )
    assert Network(topology, plan).delay_ns("a", "10.0.0.2") == 2 * MS
    assert "10.0.0.2/32 via 10.0.1.2 dev eth1" in routes(plan)["a"]


def test_one_way_out_is_a_default_route() -> None:
    _, plan = planned("option ipv6=fd00::/48\nnode a container\nnode b container\nnode r router\nlink a r\nlink r b")
    assert routes(plan)["a"] == ("default via 10.0.0.2 dev eth0", "default via fd00::2 dev eth0")
    assert routes(plan)["r"] == ()


def test_who_forwards() -> None:
    _, plan = planned(
        "node a container\nnode b container\nnode c qemu bridge=yes\nnode h host\nchain a b h b\nchain a c h"
    )
    assert {guest.node: guest.forwards for guest in plan.guests} == {"a": True, "b": True, "c": False}
    assert routes(plan)["h"] != ()
    # A host passes nothing on, though the way over it would be shorter.
    topology, plan = planned("node a router\nnode b router\nnode h host\nchain a h b\nlink a b delay=9ms")
    assert Network(topology, plan).delay_ns("a", "10.0.1.2") == 9 * MS


def test_none_is_the_default() -> None:
    plan = make_plan(
        parse_topology("node a container\nnode r container\nnode b container\nchain a r b"),
        seed=1,
        source_directory=None,
    )
    assert not any(routes(plan).values())
    assert not any(guest.forwards for guest in plan.guests)


def test_lans_and_bridges() -> None:
    text = (
        "node a container\nnode h[1-3] container\nnode r[1-2] router\nnode s[1-2] bridge\nnode z container\n"
        "lan office csma a h[1-3] r1 delay=1ms\nlink r1 s1 delay=2ms\nlink s1 s2 delay=3ms\nlink s2 r2 delay=4ms\n"
        "link s1 z delay=5ms"
    )
    _, plan = planned(text)
    table = routes(plan)
    assert table["a"] == table["h2"] == ("default via 10.0.0.5 dev eth0",)
    assert table["r2"] == ("default via 10.0.1.1 dev eth0",)
    # z has two routers in its segment; only one of them leads anywhere.
    assert table["z"] == ("default via 10.0.1.1 dev eth0",)
    assert table["s1"] == ()


def test_the_nearer_of_two_routers_in_a_bridged_segment() -> None:
    text = (
        "node a container\nnode r[1-2] router\nnode s bridge\nnode z container\n"
        "link a s\nlink s r1 delay=9ms\nlink s r2 delay=1ms\nlink r1 z delay=1ms\nlink r2 z delay=1ms"
    )
    topology, plan = planned(text)
    network = Network(topology, plan)
    assert network.delay_ns("a", "10.0.1.2") == network.delay_ns("a", "10.0.2.2") == 2 * MS
    assert network.delay_ns("z", "10.0.0.1") == 2 * MS
    assert all("via 10.0.0.3 " in route for route in routes(plan)["a"] if not route.startswith("10.0.1.1/"))


def test_no_route_where_there_is_no_way() -> None:
    _, plan = planned("node a router\nnode b router\nnode c router\nnode d router\nlink a b\nlink c d")
    assert not any(routes(plan).values())
    (warning,) = plan.warnings
    assert warning.startswith(
        "topology.txt:1:8: routing=static: there is no way from a to 10.0.1.0/24 (nor for 3 others)"
    )
    # A host passes nothing on; what the others can reach is no reason to complain.
    _, plan = planned("node a container\nnode h host\nnode b container\nchain a h b")
    assert "no way from a to 10.0.1.0/24" in plan.warnings[0]
    _, plan = planned(
        "node a container\nnode b container\nnode c container\nlan l csma a b c\nnode d container\nlink a d"
    )
    assert plan.warnings == ()


def test_paths_that_no_packet_survives() -> None:
    _, plan = planned("node a container\nnode b container\nnode n[1-300] router\nchain a n[1-300] b")
    (warning,) = plan.warnings
    assert "the longest path has 301 hops; no packet gets further than 255" in warning


def test_olsr_keeps_its_own_routes_and_announces_the_others() -> None:
    text = (
        "node a container\nnode o[1-2] olsr\nnode r router\nnode z container\n"
        "link a o1\nlink o1 o2\nlink o2 r\nlink r z\n"
    )
    _, plan = planned(text)
    o1, o2 = (stack for stack in plan.simulation.stacks if stack.olsr)
    assert (o1.routes, o1.excluded, o1.announced) == ((), ("eth0",), ("10.0.0.0/24",))
    assert o2.routes == ("10.0.3.0/24 via 10.0.2.2 dev eth1",)
    assert (o2.excluded, o2.announced) == (("eth1",), ("10.0.2.0/24", "10.0.3.0/24"))
    assert routes(plan)["a"] == ("default via 10.0.0.2 dev eth0",)


def test_a_large_grid() -> None:
    rows = "\n".join(f"chain r{row}c[1-40] delay=1ms" for row in range(1, 26))
    columns = "\n".join(f"chain r[1-25]c{column} delay=1ms" for column in range(1, 41))
    text = (
        f"node r[1-25]c[1-40] router\nnode a container\nnode z container\nlink a r1c1\nlink r25c40 z\n{rows}\n{columns}"
    )
    begun_s = time.process_time()
    topology, plan = planned(text)
    took_s = time.process_time() - begun_s
    assert took_s < 30, took_s  # seconds on any machine, not minutes
    assert plan.guests[0].hop_limit == 255
    assert sum(len(each) for each in routes(plan).values()) < 1002 * 400
    network = Network(topology, plan)
    chosen = random.Random(1)
    addresses = sorted(network.owner)
    assert network.delay_ns("a", "10.0.1.2") is not None
    for _ in range(10):
        source, target = chosen.choice(list(topology.nodes)), chosen.choice(addresses)
        assert network.delay_ns(source, target) is not None


def test_hop_limit_is_left_alone_where_paths_are_short() -> None:
    _, plan = planned("node a container\nnode b container\nlink a b")
    assert plan.guests[0].hop_limit is None

"""What goes where: joinings of guests, links and options that ns-3 would abort on or silently spoil."""

from __future__ import annotations

from collections.abc import Iterator

from qemunet.topology import keys
from qemunet.topology.model import Link, Node, Topology
from qemunet.topology.problems import Place
from qemunet.topology.registry import LINK_TYPES, NODE_TYPES
from qemunet.topology.wifi import wifi_problems, wifi_warnings
from qemunet.units import format_time_ns

_ETHERNET_HEADER_BYTES = 14
_USUAL_MTU = 1500


def placement_problems(topology: Topology) -> Iterator[tuple[Place, str]]:
    """Yield what cannot be built, with the remedy."""
    yield from _login_problems(topology)
    yield from wifi_problems(topology)
    yield from _pcap_problems(topology)
    yield from _option_problems(topology)
    stock = topology.options.get("simulator") == "ns3"
    for link in topology.links.values():
        tapbridge, bridging = LINK_TYPES[link.type].tapbridge, LINK_TYPES[link.type].bridging
        for end in link.ends:
            node = topology.nodes[end.node]
            if node.bridges and isinstance(bridging, str):
                what = f"guest {node.name} has bridge=yes" if node.is_guest else f"{node.name} is a {node.type}"
                yield end.place, f"{link.type} {link.name}: {what}, but {bridging}"
            if not node.is_guest:
                continue
            attach = topology.attach_of(end.node)
            if attach == "tapbridge" and isinstance(tapbridge, str):
                yield end.place, f"{link.type} {link.name}: guest {end.node} has attach=tapbridge, but {tapbridge}"
            elif attach == "native" and stock:
                message = "simulator=ns3 has no native doors; use attach=tapbridge with it, or simulator=qemunet"
                yield end.place, f"{link.type} {link.name}: guest {end.node} has attach=native, but {message}"


def records(node: Node, link: Link) -> bool:
    """Return whether the frames of a node's interface on a link are recorded: what the link says goes first."""
    return link.attributes.get("pcap", node.attributes.get("pcap", "no")) == "yes"


def _pcap_problems(topology: Topology) -> Iterator[tuple[Place, str]]:
    """Yield the ends that cannot be recorded: ns-3's own devices tell of Ethernet and PPP frames only."""
    for link in topology.links.values():
        if link.type != "wifi" and LINK_TYPES[link.type].build is None:
            continue
        for end in link.ends:
            node = topology.nodes[end.node]
            by_door = node.is_guest and topology.attach_of(node.name) == "native"
            if records(node, link) and not by_door:
                what = f"frames of {node.name} on {link.type} {link.name} cannot be recorded"
                remedy = "record them at a guest with attach=native, and write pcap=no for this link or node"
                yield (link if "pcap" in link.attributes else node).place_of("pcap"), f"{what}; {remedy}"


def _option_problems(topology: Topology) -> Iterator[tuple[Place, str]]:
    """Yield the options that do not go together."""
    if topology.options.get("busy_poll") == "yes" and topology.options.get("simulator") == "ns3":
        message = "busy_poll=yes is for our own simulator's loop; remove it, or use simulator=qemunet"
        yield topology.option_places["busy_poll"], message


def _login_problems(topology: Topology) -> Iterator[tuple[Place, str]]:
    """Yield what belongs to a login where there is none."""
    for node in topology.nodes.values():
        if node.type != "qemu" or node.attributes.get("console") == "serial":
            continue
        for key in ("user", "password"):
            if key in node.attributes:
                message = f"{key} of node {node.name} is for a login on its serial port, and its image has none"
                yield node.place_of(key), f"{message}; add console=serial, or remove {key}="


def placement_warnings(topology: Topology) -> Iterator[tuple[Place, str]]:
    """Yield what is allowed but seldom meant."""
    yield from wifi_warnings(topology)
    for link in topology.links.values():
        if link.type == "csma":
            yield from _busy_channel(link)


def unused_keys(topology: Topology) -> Iterator[tuple[Place, str]]:
    """Yield the keys that mean nothing to the types of their nodes."""
    for node in topology.nodes.values():
        unused = [key for key in node.attributes if key in NODE_TYPES[node.type].unused]
        if unused:
            yield node.place, f"{node.type} {node.name} does not use {', '.join(unused)}"


def _busy_channel(link: Link) -> Iterator[tuple[Place, str]]:
    """Warn of a csma delay that leaves the channel idle: it stays busy while a frame propagates."""
    delay_ns = keys.one_delay(link.attributes.get("delay", "0"))
    rate = link.attributes.get("rate", keys.UNLIMITED)
    rate_bps = keys.one_rate(rate)
    frame_bytes = keys.one_mtu(link.attributes.get("mtu", str(_USUAL_MTU))) + _ETHERNET_HEADER_BYTES
    frame_ns = frame_bytes * 8 * 1_000_000_000 // rate_bps if rate_bps else 0
    if delay_ns > frame_ns:
        took = f"the {frame_ns / 1e6:.4g}ms that a full frame takes at {rate}" if rate_bps else "what a frame takes"
        yield (
            link.place_of("delay"),
            f"csma {link.name}: delay {format_time_ns(delay_ns)} is longer than {took}; ns-3's CSMA channel "
            "stays busy while a frame propagates, so the link will carry less than its rate (use wire)",
        )

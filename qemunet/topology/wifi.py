"""What a Wi-Fi is: its mode, its access point, the ns-3 models that its keys name, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from qemunet.topology import ns3_types, places, wifi_keys
from qemunet.topology.model import Link, Node, Topology
from qemunet.topology.problems import Place, shown

Mode = Literal["adhoc", "infrastructure"]

MAC_TYPES = ("ns3::AdhocWifiMac", "ns3::StaWifiMac", "ns3::ApWifiMac")


def mode_of(link: Link) -> Mode:
    """Return how a Wi-Fi works: with an access point where it says so or names one."""
    infrastructure = link.attributes.get("mode", "infrastructure" if "ap" in link.attributes else "adhoc")
    return "infrastructure" if infrastructure == "infrastructure" else "adhoc"


def access_point_of(link: Link) -> str | None:
    """Return the node that is the access point: ``ap=``, else the first end; None in an ad hoc network."""
    if mode_of(link) == "adhoc":
        return None
    return link.attributes.get("ap", link.ends[0].node)


def mac_type_of(link: Link, node: str) -> str:
    """Return the type of the MAC of a node's device."""
    adhoc, station, access_point = MAC_TYPES
    if mode_of(link) == "adhoc":
        return adhoc
    return access_point if node == access_point_of(link) else station


def mac_types(link: Link) -> tuple[str, ...]:
    """Return the types of MAC on a Wi-Fi."""
    return MAC_TYPES[:1] if mode_of(link) == "adhoc" else MAC_TYPES[1:]


def standard_of(link: Link) -> str:
    """Return the standard's name."""
    return link.attributes.get("standard", wifi_keys.DEFAULT_STANDARD)


def chosen_models(link: Link) -> dict[str, str]:
    """Return the full names of the models by the key that names each."""
    written = link.attributes
    manager = wifi_keys.CONSTANT_RATE if "rate" in written else wifi_keys.DEFAULT_MANAGER
    if "manager" in written:
        manager = ns3_types.resolve(written["manager"], wifi_keys.MANAGER)
    loss = wifi_keys.RANGE_LOSS if "range" in written else wifi_keys.DEFAULT_LOSS
    if "propagation" in written:
        loss = ns3_types.resolve(written["propagation"], wifi_keys.LOSS)
    delay = wifi_keys.DEFAULT_DELAY
    if "propagation_delay" in written:
        delay = ns3_types.resolve(written["propagation_delay"], wifi_keys.DELAY)
    return {"manager": manager, "propagation": loss, "propagation_delay": delay}


def wifi_problems(topology: Topology) -> Iterator[tuple[Place, str]]:
    """Yield what no Wi-Fi can be, with the remedy."""
    for link in topology.links.values():
        if link.type == "wifi":
            yield from _mode_problems(link)
            yield from _rate_problems(link)
            yield from _mtu_problems(link)
            yield from _bridge_problems(topology, link)
            yield from _height_problems(topology, link)
    for node in topology.nodes.values():
        yield from _mobility_problems(node)


def _mode_problems(link: Link) -> Iterator[tuple[Place, str]]:
    ends = [end.node for end in link.ends]
    written = link.attributes.get("ap")
    if written is not None and written not in ends:
        yield link.place_of("ap"), wifi_keys.unknown_end(written, ends)
    elif written is not None and mode_of(link) == "adhoc":
        yield link.place_of("ap"), f"ap={written}: an ad hoc network has no access point; write mode=infrastructure"
    elif (access_point := access_point_of(link)) is not None and ends.count(access_point) > 1:
        message = f"access point {access_point} is twice on this Wi-Fi; it has one access point and stations"
        yield link.place_of("ap"), message


def _rate_problems(link: Link) -> Iterator[tuple[Place, str]]:
    models = chosen_models(link)
    manager = models["manager"]
    standard = standard_of(link)
    if "rate" in link.attributes:
        rate = link.attributes["rate"]
        if manager != wifi_keys.CONSTANT_RATE:
            message = (
                f"rate={shown(rate)[1:-1]}: manager={ns3_types.short(manager, wifi_keys.MANAGER)} chooses rates itself"
            )
            yield link.place_of("rate"), f"{message}; remove rate= or manager="
        else:
            try:
                wifi_keys.mode_of_rate(standard, rate)
            except ValueError as error:
                yield link.place_of("rate"), f"rate={shown(rate)[1:-1]}: {error}"
    if wifi_keys.STANDARDS[standard].high_throughput and manager in wifi_keys.LEGACY_MANAGERS:
        message = f"manager={ns3_types.short(manager, wifi_keys.MANAGER)} knows no rates of {standard}"
        yield link.place_of("manager"), f"{message}; use Ideal, MinstrelHt or ConstantRate"


def _mtu_problems(link: Link) -> Iterator[tuple[Place, str]]:
    """A default for any link may say one that only other types carry."""
    for text in link.attributes.get("mtu", "1500").split("/"):
        try:
            wifi_keys.mtu_bytes(text)
        except ValueError as error:
            yield link.place_of("mtu"), f"mtu={text}: {error}"
    if "mtu" in link.attributes and "device.Mtu" in link.attributes:
        yield link.place_of("device.Mtu"), "device.Mtu is what mtu= says already; write one of the two"


def _bridge_problems(topology: Topology, link: Link) -> Iterator[tuple[Place, str]]:
    access_point = access_point_of(link)
    for end in link.ends:
        node = topology.nodes[end.node]
        if end.node == access_point or not (node.bridges or node.type == "bridge"):
            continue
        what = "an ad hoc device" if access_point is None else "a station"
        yield (
            end.place,
            f"wifi {link.name}: {end.node} bridges, but {what} of Wi-Fi sends in its own name only; make it the access "
            f"point (mode=infrastructure ap={end.node}), or let it route in place of bridging",
        )


def _height_problems(topology: Topology, link: Link) -> Iterator[tuple[Place, str]]:
    if chosen_models(link)["propagation"] not in wifi_keys.HIGH_LOSSES:
        return
    taken: dict[places.Vector, str] = {}
    for end in link.ends:
        node = topology.nodes[end.node]
        position = places.position_m(node.attributes.get("position", "0,0"))
        model = f"propagation={link.attributes['propagation']}"
        if position[2] <= 0:
            message = f"node {end.node} is at no height, on which {model} depends; add one: position=x,y,1.5"
            yield node.place_of("position"), message
        elif taken.setdefault(position, end.node) != end.node:
            message = f"node {end.node} is where {taken[position]} is, and {model} knows no distance of 0"
            yield node.place_of("position"), f"{message}; give it another position"


def _mobility_problems(node: Node) -> Iterator[tuple[Place, str]]:
    written = node.attributes
    model = places.mobility(written["mobility"]) if "mobility" in written else places.DEFAULT_MOBILITY
    if "velocity" in written and "mobility" in written and model != places.CONSTANT_VELOCITY:
        yield (
            node.place_of("velocity"),
            f"velocity of node {node.name} is for mobility=ConstantVelocity, not {written['mobility']}; remove one",
        )
    position = places.position_m(written.get("position", "0,0"))
    for key, area in (
        ("area", places.area_m(written["area"]) if "area" in written else None),
        ("mobility.Bounds", places.bounds_m(written.get("mobility.Bounds", ""))),
    ):
        if area is not None and "position" in written and not places.is_inside(area, position):
            yield (
                node.place_of("position"),
                f"node {node.name} is outside of {key}={written[key]}; it has to begin inside",
            )


def positions_of(topology: Topology) -> dict[str, places.Vector]:
    """Return where each node stands: all that say it, and those on Wi-Fi, which get places nobody has."""
    found = {
        node.name: places.position_m(node.attributes["position"])
        for node in topology.nodes.values()
        if "position" in node.attributes
    }
    free = places.free_places(found.values())
    for name in nodes_on_wifi(topology):
        if name not in found:
            found[name] = next(free)
    return found


def nodes_on_wifi(topology: Topology) -> list[str]:
    """Return the nodes with an end on a Wi-Fi, in the order in which they appear there."""
    on = (end.node for link in topology.links.values() if link.type == "wifi" for end in link.ends)
    return list(dict.fromkeys(on))


def wifi_warnings(topology: Topology) -> Iterator[tuple[Place, str]]:
    """Yield what is allowed but seldom meant."""
    positions = None
    for name in nodes_on_wifi(topology):
        node = topology.nodes[name]
        if "position" not in node.attributes:
            positions = positions or positions_of(topology)
            where = places.format_position(positions[name])
            yield (
                node.place,
                f"node {name} is on Wi-Fi and has no position; it is put at {where} (position=x,y in metres)",
            )

"""What of ns-3's own a plan has: attributes, defaults, Wi-Fi, places and mobility."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qemunet.plan.model import LinkPlan, MobilityPlan, ModelPlan, WifiPlan
from qemunet.topology import ns3_types, places, wifi, wifi_keys
from qemunet.topology.attributes import attributes_under
from qemunet.topology.model import Link, Node, Topology

_USUAL_MTU = "1500"
_PARTS = ("channel", "device", "phy")

#: Stations ask for their access point at once, in place of waiting for its beacon.
_USUAL_MAC = {"ns3::StaWifiMac": {"ActiveProbing": "true"}}

#: Loaded for every run: see qemunet/simulation/native.py.
_LOADED_ANYWAY = frozenset(
    ("", "core", "stats", "network", "bridge", "traffic-control", "internet", "csma", "tap-bridge", "config-store")
)


def mtu_text(link: Link) -> str:
    """Return the MTU of a link's ends as written: ``mtu=``, or the attribute ``device.Mtu=``."""
    return link.attributes.get("mtu") or link.attributes.get("device.Mtu", _USUAL_MTU)


def link_attributes(link: Link) -> dict[str, Mapping[str, str]]:
    """Return the attributes to set once a link is built, by what has them."""
    parts = {part: attributes_under(link.attributes, part) for part in _PARTS}
    # It takes effect before the PHY is configured only: see wifi_plan().
    parts["phy"].pop("ChannelSettings", None)
    return {part: attributes for part, attributes in parts.items() if attributes}


def wifi_plan(link: Link) -> WifiPlan | None:
    """Return what a Wi-Fi has beyond what every link has; None for another type."""
    if link.type != "wifi":
        return None
    standard = wifi_keys.STANDARDS[wifi.standard_of(link)]
    models = wifi.chosen_models(link)
    losses = [ModelPlan(models["propagation"], attributes_under(link.attributes, "propagation"))]
    if "range" in link.attributes:
        reach = {"MaxRange": format(wifi_keys.range_m(link.attributes["range"]), ".10g")}
        if models["propagation"] == wifi_keys.RANGE_LOSS:
            losses = [ModelPlan(wifi_keys.RANGE_LOSS, {**reach, **losses[0].attributes})]
        else:
            losses.append(ModelPlan(wifi_keys.RANGE_LOSS, reach))
    return WifiPlan(
        standard=standard.ns3_name,
        channel=link.attributes.get("phy.ChannelSettings", standard.channel),
        ssid=link.attributes.get("ssid", link.name),
        macs=tuple(wifi.mac_type_of(link, end.node) for end in link.ends),
        mac_attributes={mac: _mac_attributes(link, mac) for mac in wifi.mac_types(link)},
        manager=ModelPlan(models["manager"], _manager_attributes(link, models["manager"])),
        losses=tuple(losses),
        delay=ModelPlan(models["propagation_delay"], attributes_under(link.attributes, "propagation_delay")),
    )


def _mac_attributes(link: Link, mac: str) -> dict[str, str]:
    """Return the attributes of one type of MAC: of those that are written, each goes to the types that have it."""
    written = attributes_under(link.attributes, "mac")
    own = {name: value for name, value in written.items() if name in ns3_types.attributes_of(mac)}
    return {**_USUAL_MAC.get(mac, {}), **own}


def _manager_attributes(link: Link, manager: str) -> dict[str, str]:
    written = attributes_under(link.attributes, "manager")
    if manager != wifi_keys.CONSTANT_RATE:
        return written
    name = wifi.standard_of(link)
    standard = wifi_keys.STANDARDS[name]
    # Without a rate ns-3's own default is one of 802.11a, which other standards do not have.
    rate = link.attributes.get("rate", next(iter(standard.rates)))
    modes = {"DataMode": wifi_keys.mode_of_rate(name, rate), "ControlMode": standard.control_mode}
    return {**modes, **written}


def mobility_plans(topology: Topology) -> tuple[MobilityPlan, ...]:
    """Return the places of the nodes on Wi-Fi and of those that move."""
    positions = wifi.positions_of(topology)
    on_wifi = set(wifi.nodes_on_wifi(topology))
    return tuple(
        _mobility_plan(node, positions.get(node.name, (0.0, 0.0, 0.0)))
        for node in topology.nodes.values()
        if node.name in on_wifi or {"mobility", "velocity"} & node.attributes.keys()
    )


def _mobility_plan(node: Node, position: places.Vector) -> MobilityPlan:
    written = node.attributes
    velocity = places.velocity_mps(written["velocity"]) if "velocity" in written else None
    usual = places.CONSTANT_VELOCITY if velocity else places.DEFAULT_MOBILITY
    model = places.mobility(written["mobility"]) if "mobility" in written else usual
    attributes = attributes_under(written, "mobility")
    left, lower, right, upper = (format(edge, ".10g") for edge in places.area_of(written, position))
    known = ns3_types.attributes_of(model)
    settings: dict[str, str] = {}
    height = format(position[2], ".10g")
    if "Bounds" in known:
        settings["Bounds"] = f"{left}|{right}|{lower}|{upper}"
        if known["Bounds"].kind == "Box":
            settings["Bounds"] += f"|{height}|{height}"
    allocator = None
    if model == places.RANDOM_WAYPOINT and "PositionAllocator" not in attributes:
        uniform = "ns3::UniformRandomVariable[Min={}|Max={}]"
        destinations = {"X": uniform.format(left, right), "Y": uniform.format(lower, upper), "Z": height}
        allocator = ModelPlan("ns3::RandomRectanglePositionAllocator", destinations)
    return MobilityPlan(node.name, ModelPlan(model, {**settings, **attributes}), position, velocity, allocator)


def ns3_defaults(topology: Topology) -> dict[str, str]:
    """Return the defaults of ns-3 attributes, which are options."""
    return {key: value for key, value in topology.options.items() if key.startswith(ns3_types.PREFIX)}


def modules_of(
    links: Iterable[LinkPlan], mobility: Iterable[MobilityPlan], defaults: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the modules that models and defaults need beyond those of every run."""
    models = [move.model for move in mobility]
    for link in links:
        if link.wifi:
            models += [link.wifi.manager, *link.wifi.losses, link.wifi.delay]
    names = [model.type for model in models] + [ns3_types.split_default(name)[0] for name in defaults]
    # Attributes may name further types, as a rate control's random variable.
    values = [value for model in models for value in model.attributes.values()] + list(defaults.values())
    values += [value for link in links for part in link.ns3.values() for value in part.values()]
    for value in values:
        if value.startswith(ns3_types.PREFIX) and (name := value.partition("[")[0]) in ns3_types.types():
            names.append(name)
    return tuple(sorted({ns3_types.module_of(name) for name in names} - _LOADED_ANYWAY))

"""ns-3 attributes in a topology: ``device.X=`` and the like, and ``option ns3::TYPE::X=``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qemunet.topology import keys, ns3_types, ns3_values, places, wifi
from qemunet.topology.model import Link, Node, Topology
from qemunet.topology.problems import Place, did_you_mean, shown
from qemunet.topology.registry import LINK_TYPES, Keys, keys_of

_SETTLED = {
    "device.Address": "hardware addresses follow from the names of node and interface; remove it",
    "mac.Ssid": "the network's name is ssid=",
}
"""Attributes that the topology says in its own words."""


def static_problem(known: Keys, name: str, text: str) -> str | None:
    """Say what is wrong with an attribute as far as the statement alone tells; None: nothing.

    Args:
        known: The keys that there may be, such as ``device.X``.
        name: The key as written, such as ``device.Mtu`` or ``ns3::WifiMac::Ssid``.
        text: Its value.
    """
    try:
        if name.startswith(ns3_types.PREFIX):
            type_name, attribute = ns3_types.split_default(name)
            ns3_values.check_attribute(type_name, attribute, text, default=True)
            return None
        if name in _SETTLED:
            return _SETTLED[name]
        prefix, _, attribute = name.partition(".")
        types = known[f"{prefix}.X"].types
        problem = _problem(types, attribute, text) if types else ""
        if types and name == "device.Mtu" and not problem:
            keys.mtu_bytes(text)  # it is the guests' too
        return problem or None
    except ValueError as error:
        return str(error)


def is_attribute(known: Keys, name: str) -> bool:
    """Return whether a key is written as an attribute, and such there may be."""
    if name.startswith(ns3_types.PREFIX):
        return "ns3::X" in known
    prefix, dot, _ = name.partition(".")
    return bool(dot) and f"{prefix}.X" in known


def attributes_under(attributes: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the attributes written as ``PREFIX.X=``, by X."""
    start = f"{prefix}."
    return {key.removeprefix(start): value for key, value in attributes.items() if key.startswith(start)}


def _problem(types: tuple[str, ...], name: str, text: str) -> str:
    """Say what is wrong with an attribute that one of several types should have."""
    for one in types:
        if name in ns3_types.attributes_of(one):
            ns3_values.check_attribute(one, name, text)
            return ""
    if len(types) == 1:
        ns3_types.find_attribute(types[0], name)
    known = {attribute: None for one in types for attribute in ns3_types.attributes_of(one)}
    near = did_you_mean(name, known)
    return f"none of {', '.join(types)} has an attribute {shown(name)}{near}{ns3_types.listed(known, who='they have')}"


def attribute_problems(topology: Topology) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with attributes of models that another key names."""
    for node in topology.nodes.values():
        if "mobility.X" in keys_of(node.type):
            yield from _check(node, "mobility", (_mobility(node),))
    for link in topology.links.values():
        if link.type == "wifi":
            yield from _check(link, "mac", wifi.mac_types(link))
            for prefix, chosen in wifi.chosen_models(link).items():
                yield from _check(link, prefix, (chosen,))
        elif "mtu" in link.attributes and "device.Mtu" in link.attributes and "mtu" in LINK_TYPES[link.type].keys:
            yield link.place_of("device.Mtu"), "device.Mtu is what mtu= says already; write one of the two"


def _mobility(node: Node) -> str:
    written = node.attributes.get("mobility")
    return places.mobility(written) if written else places.DEFAULT_MOBILITY


def _check(owner: Node | Link, prefix: str, types: tuple[str, ...]) -> Iterator[tuple[Place, str]]:
    for name, text in attributes_under(owner.attributes, prefix).items():
        key = f"{prefix}.{name}"
        try:
            problem = _problem(types, name, text)
        except ValueError as error:
            problem = str(error)
        if problem:
            yield owner.place_of(key), f"{key}={shown(text)[1:-1]}: {problem}"

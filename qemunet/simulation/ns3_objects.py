"""Objects of ns-3's and their attributes, by the native library."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from qemunet.plan.model import LinkPlan, ModelPlan, SimulationPlan
from qemunet.simulation.native import load_modules

#: By whose name a WifiNetDevice has them as attributes.
_PARTS = {"phy": "Phy", "mac": "Mac", "manager": "RemoteStationManager"}


def make(library: ctypes.PyDLL, model: ModelPlan) -> int:
    """Make an object; returns its number.

    Raises:
        ValueError: ns-3 does not take an attribute.
    """
    number = int(library.qemunet_make(model.type.encode()))
    set_all(library, number, model.attributes)
    return number


def set_all(library: ctypes.PyDLL, number: int, attributes: Mapping[str, str]) -> None:
    """Set attributes of an object.

    Raises:
        ValueError: ns-3 does not take one of them.
    """
    for name, value in attributes.items():
        _raise_if(library.qemunet_set(number, name.encode(), value.encode()))


def set_defaults(library: ctypes.PyDLL, plan: SimulationPlan) -> None:
    """Load the modules that the plan needs and set its defaults: before anything is built.

    Raises:
        ValueError: ns-3 does not take one of them.
    """
    load_modules(plan.modules)
    for full_name, value in plan.defaults.items():
        type_name, _, attribute = full_name.rpartition("::")
        _raise_if(library.qemunet_set_default(type_name.encode(), attribute.encode(), value.encode()))


def set_link(library: ctypes.PyDLL, link: LinkPlan, devices: Mapping[str, tuple[int, int]]) -> None:
    """Set the attributes of a link that is built.

    Args:
        library: The native library.
        link: The link.
        devices: ``node:interface`` -> (node id, index of the device).

    Raises:
        ValueError: ns-3 does not take one of them.
    """
    places = [devices[f"{end.node}:{end.interface}"] for end in link.ends]
    if "channel" in link.ns3 and places:
        set_all(library, int(library.qemunet_get_channel(*places[0])), link.ns3["channel"])
    for end_index, place in enumerate(places):
        device = int(library.qemunet_get_device(*place))
        parts = {part: attributes for part, attributes in link.ns3.items() if part != "channel"}
        if link.wifi is not None:
            mac = link.wifi.mac_attributes.get(link.wifi.macs[end_index], {})
            parts = {**parts, "mac": mac, "manager": link.wifi.manager.attributes}
        for part, attributes in parts.items():
            number = int(library.qemunet_get_part(device, _PARTS[part].encode())) if part in _PARTS else device
            set_all(library, number, attributes)


def _raise_if(problem: bytes | None) -> None:
    if problem is not None:
        raise ValueError(problem.decode())

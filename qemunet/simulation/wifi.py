"""Builds Wi-Fis, and the places and movements of nodes, by libqemunet-wifi.so."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from qemunet.plan.model import EndPlan, LinkPlan, MobilityPlan
from qemunet.simulation.native import load_wifi
from qemunet.simulation.ns3_objects import make


class WifiBuilder:
    """Loads the library when it is made, that is for a plan that needs it only."""

    def __init__(self, library: ctypes.PyDLL) -> None:
        self._library = library
        self._wifi = load_wifi()

    def place(self, node: int, mobility: MobilityPlan) -> None:
        """Give a node its place and the way it moves."""
        model = make(self._library, mobility.model)
        if mobility.allocator is not None:
            self._library.qemunet_set_part(model, b"PositionAllocator", make(self._library, mobility.allocator))
        velocity = None if mobility.velocity is None else (ctypes.c_double * 3)(*mobility.velocity)
        self._wifi.qemunet_place(node, model, *mobility.position, velocity)

    def add(self, link: LinkPlan, nodes: Mapping[str, int], devices: dict[str, tuple[int, int]]) -> None:
        """Build a Wi-Fi, its doors and taps; fills in ``devices``."""
        wifi = link.wifi
        if wifi is None:
            raise ValueError(f"link {link.name}: a wifi without settings")
        number = self._wifi.qemunet_add_wifi(
            wifi.standard.encode(),
            wifi.channel.encode(),
            wifi.manager.type.encode(),
            wifi.ssid.encode(),
            link.mtu,
            make(self._library, wifi.delay),
        )
        for loss in wifi.losses:
            self._wifi.qemunet_add_wifi_loss(number, make(self._library, loss))
        for end, mac in zip(link.ends, wifi.macs, strict=True):
            node = nodes[end.node]
            place = devices[f"{end.node}:{end.interface}"] = (node, int(self._library.qemunet_device_count(node)))
            self._wifi.qemunet_add_wifi_end(number, node, mac.encode(), _address(end, mac))
            if end.door is None:
                continue
            if end.attach == "native":
                self._library.qemunet_add_door(end.door, *place)
                if mac != "ns3::AdhocWifiMac":
                    self._wifi.qemunet_hold_wifi_end(*place, len(link.ends) - 1)
            elif end.tap is not None:
                self._library.qemunet_add_tap(*place, end.tap.encode())


def _address(end: EndPlan, mac: str) -> bytes:
    """The guest's address, in whose name its device sends; not so where TapBridge puts it behind an access point."""
    return b"" if end.tap is not None and mac == "ns3::ApWifiMac" else end.mac.encode()

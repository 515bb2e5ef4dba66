"""Builds the nodes that ns-3 itself plays: Internet stacks, bridges, OLSR."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping

from qemunet.plan.model import StackPlan


def add_stack(library: ctypes.PyDLL, stack: StackPlan, node: int, devices: dict[str, tuple[int, int]]) -> None:
    """Complete a node that has its devices.

    Args:
        library: The native library.
        stack: What it is to be.
        node: Its id.
        devices: ``node:interface`` -> (node id, index of the device); a bridge's own is added as ``br0``.
    """
    if stack.role == "bridge":
        devices[f"{stack.node}:br0"] = (node, int(library.qemunet_add_bridge(node)))
        if not stack.interfaces:
            return
    indices = {interface.name: devices[f"{stack.node}:{interface.name}"][1] for interface in stack.interfaces}
    library.qemunet_add_stack(
        node,
        int(stack.role == "router"),
        int(any(":" in address for interface in stack.interfaces for address in interface.addresses)),
        int(stack.olsr),
        stack.hop_limit,
        "\n".join(_lines(stack, indices)).encode(),
    )


def _lines(stack: StackPlan, indices: Mapping[str, int]) -> Iterator[str]:
    """The configuration as the native part reads it: interfaces by the index of their device."""
    for interface in stack.interfaces:
        for address in interface.addresses:
            yield f"address {indices[interface.name]} {address.replace('/', ' ')}"
        yield f"mtu {indices[interface.name]} {interface.mtu}"
    for route in stack.routes:
        destination, _, gateway, _, device = route.split(" ")
        if destination == "default":
            destination = "::/0" if ":" in gateway else "0.0.0.0/0"
        yield f"route {destination.replace('/', ' ')} {gateway} {indices[device]}"
    for interface_name in stack.excluded:
        yield f"exclude {indices[interface_name]}"
    for network in stack.announced:
        yield f"announce {network.replace('/', ' ')}"

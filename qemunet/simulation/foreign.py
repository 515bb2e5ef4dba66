"""Types of nodes and links that other packages bring: their functions, called with the whole of ns-3."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from qemunet.errors import QemunetError
from qemunet.plan.model import LinkPlan, SimulationPlan
from qemunet.simulation.bindings import Namespace


class ForeignTypeError(QemunetError):
    """A type that another package brings could not be built."""


@cache
def _namespace() -> Namespace:
    return Namespace()


def add_foreign_link(
    library: ctypes.PyDLL, link: LinkPlan, nodes: Mapping[str, int], devices: dict[str, tuple[int, int]]
) -> None:
    """Make a link and the doors of its guests.

    Args:
        library: The native library.
        link: What to make.
        nodes: Name -> node id.
        devices: ``node:interface`` -> (node id, index of the device), to be added to.

    Raises:
        ForeignTypeError: its function failed, or did not give each end a device on its node.
    """
    ns = _namespace()
    what = f"link {link.name}: type {link.type} ({link.build})"
    function = _function(what, link.build or "")
    addresses = [ns.Mac48Address(end.mac) if end.door is None else ns.Mac48Address.Allocate() for end in link.ends]
    ends = [ns.NodeList.GetNode(nodes[end.node]) for end in link.ends]
    before = [int(node.GetNDevices()) for node in ends]
    try:
        made = list(function(ns, ends, addresses, dict(link.attributes)))
    except Exception as error:
        raise ForeignTypeError(f"{what} failed: {type(error).__name__}: {error}") from error
    if len(made) != len(link.ends):
        raise ForeignTypeError(f"{what} made {len(made)} devices; there is one for each of its {len(link.ends)} ends")
    library.qemunet_add_foreign(link.mtu)
    for end, node, first, device in zip(link.ends, ends, before, made, strict=True):
        index = next((i for i in range(first, int(node.GetNDevices())) if node.GetDevice(i) == device), None)
        if index is None:
            raise ForeignTypeError(f"{what}: what it made for {end.node} is no device of that node; use node.AddDevice")
        device.SetMtu(link.mtu)
        devices[f"{end.node}:{end.interface}"] = (nodes[end.node], index)
        if end.door is None:
            continue
        if end.tap is not None:
            library.qemunet_add_tap(nodes[end.node], index, end.tap.encode())
        elif device.SupportsSendFrom():
            library.qemunet_add_door(end.door, nodes[end.node], index)
        else:
            raise ForeignTypeError(
                f"{what}: guest {end.node} cannot be joined to a device that sends in no other's name"
            )


def complete_nodes(plan: SimulationPlan, nodes: Mapping[str, int]) -> None:
    """Call the functions of the node types that other packages bring.

    Raises:
        ForeignTypeError: one failed.
    """
    ns = _namespace()
    for stack in plan.stacks:
        if stack.build is None:
            continue
        what = f"node {stack.node}: type {stack.type} ({stack.build})"
        function = _function(what, stack.build)
        try:
            function(ns, ns.NodeList.GetNode(nodes[stack.node]), dict(stack.attributes))
        except Exception as error:
            raise ForeignTypeError(f"{what} failed: {type(error).__name__}: {error}") from error


def _function(what: str, path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    try:
        function = getattr(import_module(module), name)
    except Exception as error:
        raise ForeignTypeError(f"{what} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(function):
        raise ForeignTypeError(f"{what} is {type(function).__name__}, not a function")
    result: Callable[..., Any] = function
    return result

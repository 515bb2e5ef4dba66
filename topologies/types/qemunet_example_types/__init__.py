"""A node type, ``echo``, and a link type, ``simple``, for qemunet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qemunet.topology.registry import Key, LinkType, NodeType
from qemunet.units import parse_time_ns


def _port(text: str) -> int:
    """Read a UDP port; what is wrong is raised as ValueError, and reported with file, line and column."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError("a port is a number from 1 to 65535")
    return int(text)


def make_echo(ns: Any, node: Any, attributes: Mapping[str, str]) -> None:
    """Complete a node that has its devices, addresses and routes."""
    server = ns.UdpEchoServerHelper(_port(attributes.get("port", "7")))
    server.Install(node).Start(ns.Seconds(0))


def make_simple(ns: Any, nodes: Sequence[Any], addresses: Sequence[Any], attributes: Mapping[str, str]) -> list[Any]:
    """Make a channel and a device on each node; returns the devices."""
    channel = ns.CreateObject[ns.SimpleChannel]()
    channel.SetAttribute("Delay", ns.TimeValue(ns.NanoSeconds(parse_time_ns(attributes.get("delay", "0")))))
    devices = []
    for node, address in zip(nodes, addresses, strict=True):
        device = ns.CreateObject[ns.SimpleNetDevice]()
        device.SetAddress(address.ConvertTo())
        node.AddDevice(device)
        device.SetChannel(channel)
        devices.append(device)
    return devices


ECHO = NodeType(
    "A host that sends back what comes by UDP.",
    {"port": Key("number", "Where it listens; 7 where nothing is said.", _port)},
    role="host",
    build="qemunet_example_types:make_echo",
)

SIMPLE = LinkType(
    "ns-3's SimpleChannel: everybody hears everybody after a delay.",
    {"delay": Key("time", "0 where nothing is said.", parse_time_ns)},
    tapbridge="it sends in no other's name; use attach=native",
    build="qemunet_example_types:make_simple",
)

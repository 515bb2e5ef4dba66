"""Builds the simulated network of a SimulationPlan in the worker."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qemunet.plan.model import (
    DelayPart,
    EndPlan,
    Impairments,
    LinkPlan,
    MobilityPlan,
    ModelPlan,
    SimulationPlan,
    StackInterfacePlan,
    StackPlan,
    TimingPlan,
    WifiPlan,
)
from qemunet.simulation.messages import pack_delay, pack_impairments
from qemunet.simulation.ns3_objects import set_defaults, set_link
from qemunet.simulation.stacks import add_stack


@dataclass(frozen=True)
class BuiltNetwork:
    """Where the plan's names are in ns-3.

    Attributes:
        nodes: Name -> node id.
        devices: ``node:interface`` -> (node id, index of the device).
        links: Name of the link -> ``node:interface`` of its first end.
        pcaps: Names of the files in which frames are recorded, by their numbers.
    """

    nodes: Mapping[str, int]
    devices: Mapping[str, tuple[int, int]]
    links: Mapping[str, str]
    pcaps: Sequence[str] = ()


def plan_from_json(data: Mapping[str, Any]) -> SimulationPlan:
    """The SimulationPlan that ``dataclasses.asdict`` turned into JSON."""
    links = tuple(
        LinkPlan(
            **{
                **link,
                "ends": tuple(EndPlan(**end) for end in link["ends"]),
                "impairments": tuple(_impairments_from_json(each) for each in link["impairments"]),
                "wifi": None if link["wifi"] is None else _wifi_from_json(link["wifi"]),
            }
        )
        for link in data["links"]
    )
    stacks = tuple(
        StackPlan(**{**stack, "interfaces": tuple(StackInterfacePlan(**each) for each in stack["interfaces"])})
        for stack in data["stacks"]
    )
    return SimulationPlan(
        data["simulator"],
        data["seed"],
        tuple(data["nodes"]),
        links,
        stacks,
        mobility=tuple(_mobility_from_json(each) for each in data["mobility"]),
        defaults=data["defaults"],
        modules=tuple(data["modules"]),
        timing=TimingPlan(**data["timing"]),
    )


def _wifi_from_json(data: Mapping[str, Any]) -> WifiPlan:
    models = {key: ModelPlan(**data[key]) for key in ("manager", "delay")}
    return WifiPlan(**{**data, **models, "losses": tuple(ModelPlan(**loss) for loss in data["losses"])})


def _mobility_from_json(data: Mapping[str, Any]) -> MobilityPlan:
    models = {key: None if data[key] is None else ModelPlan(**data[key]) for key in ("model", "allocator")}
    return MobilityPlan(**{**data, **models})


def _impairments_from_json(data: Mapping[str, Any]) -> Impairments:
    parts = (
        DelayPart(**{**part, "values_ns": tuple(part["values_ns"]), "weights": tuple(part["weights"])})
        for part in data["delay_parts"]
    )
    return Impairments(**{**data, "delay_parts": tuple(parts)})


def build(library: ctypes.PyDLL, plan: SimulationPlan, *, extended: bool, pcap: Path) -> BuiltNetwork:
    """Build everything in the plan. Node ids and link numbers follow its order.

    Args:
        library: The native library.
        plan: What to build.
        extended: An experiment adds to it.
        pcap: Where recorded frames go.

    Raises:
        ForeignTypeError: a type that another package brings could not be built.
    """
    # ns-3 computes IP and TCP checksums only where its own stacks talk to guests.
    checksums = extended or bool(plan.stacks)
    # ns-3 refuses seed 0 and takes 32 bits.
    library.qemunet_open(plan.simulator.encode(), plan.seed % (2**32 - 1) + 1, int(checksums))
    timing = plan.timing
    library.qemunet_set_timing(timing.deadline_ns, timing.hard_limit_ns or 0, int(timing.busy_poll))
    nodes = {name: int(library.qemunet_add_node(name.encode())) for name in plan.nodes}
    devices: dict[str, tuple[int, int]] = {}
    delays = _Delays(library)
    radio = None
    if plan.mobility or any(link.type == "wifi" for link in plan.links):
        from qemunet.simulation.wifi import WifiBuilder  # only here: it brings more of ns-3 in

        radio = WifiBuilder(library)
    set_defaults(library, plan)
    for mobility in plan.mobility:
        if radio is not None:
            radio.place(nodes[mobility.node], mobility)
    for link in plan.links:
        if link.build is not None:
            # Imported here: this is what brings cppyy in.
            from qemunet.simulation.foreign import add_foreign_link

            add_foreign_link(library, link, nodes, devices)
        elif link.type == "wifi" and radio is not None:
            radio.add(link, nodes, devices)
        else:
            _ADD[link.type](library, link, nodes, devices, delays)
        set_link(library, link, devices)
    for stack in plan.stacks:
        add_stack(library, stack, nodes[stack.node], devices)
    links = {link.name: f"{link.ends[0].node}:{link.ends[0].interface}" for link in plan.links}
    return BuiltNetwork(nodes, devices, links, _record(library, plan, devices, pcap))


class _Delays:
    """The distributions of the network; those that are the same are one."""

    def __init__(self, library: ctypes.PyDLL) -> None:
        self._library = library
        self._numbers: dict[tuple[DelayPart, ...], int] = {(): 0}

    def pack(self, impairments: Impairments) -> bytes:
        """The struct Impairments of the native part."""
        parts = impairments.delay_parts
        if parts not in self._numbers:
            packed = pack_delay(parts)
            self._numbers[parts] = int(self._library.qemunet_add_delay(b"".join(packed), len(packed)))
        return pack_impairments(impairments, self._numbers[parts])


def _record(
    library: ctypes.PyDLL, plan: SimulationPlan, devices: Mapping[str, tuple[int, int]], directory: Path
) -> list[str]:
    """Have frames recorded where the plan says so; returns the files' names."""
    ends = [end for link in plan.links for end in link.ends if end.pcap]
    if ends:
        directory.mkdir(exist_ok=True)
    for end in ends:
        door = end.door if end.door is not None and end.attach == "native" else -1
        path = directory / end.pcap_name
        library.qemunet_add_pcap(*devices[f"{end.node}:{end.interface}"], door, os.fsencode(path))
    return [end.pcap_name for end in ends]


def _add_wire(
    library: ctypes.PyDLL,
    link: LinkPlan,
    nodes: Mapping[str, int],
    devices: dict[str, tuple[int, int]],
    delays: _Delays,
) -> None:
    first, second = link.ends
    there, back = link.impairments
    for end in link.ends:
        node = nodes[end.node]
        loop = int(first.node == second.node and end is second)
        devices[f"{end.node}:{end.interface}"] = (node, int(library.qemunet_device_count(node)) + loop)
    library.qemunet_add_wire(
        nodes[first.node],
        _device_address(first),
        nodes[second.node],
        _device_address(second),
        link.mtu,
        delays.pack(there),
        delays.pack(back),
    )
    for end in link.ends:
        if end.door is not None and end.attach == "native":
            library.qemunet_add_door(end.door, *devices[f"{end.node}:{end.interface}"])


def _add_csma(
    library: ctypes.PyDLL,
    link: LinkPlan,
    nodes: Mapping[str, int],
    devices: dict[str, tuple[int, int]],
    delays: _Delays,
) -> None:
    number = library.qemunet_add_csma(link.mtu, delays.pack(link.impairments[0]))
    for end in link.ends:
        node = nodes[end.node]
        devices[f"{end.node}:{end.interface}"] = (node, int(library.qemunet_device_count(node)))
        library.qemunet_add_csma_end(number, node, _device_address(end))
        if end.door is None:
            continue
        if end.attach == "native":
            library.qemunet_add_door(end.door, *devices[f"{end.node}:{end.interface}"])
        elif end.tap is not None:
            library.qemunet_add_tap(*devices[f"{end.node}:{end.interface}"], end.tap.encode())


def _add_point_to_point(
    library: ctypes.PyDLL,
    link: LinkPlan,
    nodes: Mapping[str, int],
    devices: dict[str, tuple[int, int]],
    delays: _Delays,
) -> None:
    first, second = link.ends
    there, back = link.impairments
    for end in link.ends:
        devices[f"{end.node}:{end.interface}"] = (nodes[end.node], int(library.qemunet_device_count(nodes[end.node])))
    number = library.qemunet_add_point_to_point(
        nodes[first.node],
        _device_address(first),
        nodes[second.node],
        _device_address(second),
        link.mtu,
        delays.pack(there),
        delays.pack(back),
    )
    for index, end in enumerate(link.ends):
        if end.door is not None:
            library.qemunet_add_point_to_point_door(end.door, number, index, first.mac.encode(), second.mac.encode())


_ADD = {"wire": _add_wire, "csma": _add_csma, "p2p": _add_point_to_point}


def _device_address(end: EndPlan) -> bytes:
    """The plan's address, unless it is a guest's: then its ghost device gets one of ns-3's own."""
    return b"" if end.door is not None else end.mac.encode()

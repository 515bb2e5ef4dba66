"""Topology -> Plan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from qemunet.errors import PlanError
from qemunet.plan.impairments import impairments_of
from qemunet.plan.model import (
    Attach,
    EndPlan,
    GuestPlan,
    HostPlan,
    Impairments,
    InterfacePlan,
    LinkPlan,
    Plan,
    SimulationPlan,
    StackInterfacePlan,
    TapPlan,
    TimingPlan,
    VethPlan,
)
from qemunet.plan.ns3 import link_attributes, mobility_plans, modules_of, mtu_text, ns3_defaults, wifi_plan
from qemunet.plan.qemu import (
    DEFAULT_ARCH,
    DEFAULT_CONSOLE,
    DEFAULT_IMAGE,
    DEFAULT_MEMORY,
    DEFAULT_USER,
    MOST_INTERFACES,
    BootFiles,
    machine_of,
    qemu_argv,
)
from qemunet.plan.routes import USUAL_HOP_LIMIT, Routes, find_routes
from qemunet.plan.stacks import BRIDGE, StackEnd, plan_stacks
from qemunet.topology import keys
from qemunet.topology.attributes import attribute_problems
from qemunet.topology.model import End, Link, Node, Topology
from qemunet.topology.placement import placement_problems, placement_warnings, records, unused_keys
from qemunet.topology.problems import Problems
from qemunet.topology.registry import LINK_TYPES, keys_of
from qemunet.units import parse_time_ns

DEFAULT_DISK = "64MiB"
MOST_CONTAINER_INTERFACES = 240
"""Interfaces that a container may have: their descriptors travel in one message."""


def make_plan(topology: Topology, *, seed: int, source_directory: Path | None) -> Plan:
    """Say exactly what will be built.

    Args:
        topology: The network.
        seed: Of every random stream of the run.
        source_directory: What paths in the topology are relative to; the files they name must exist. Without, they
            are relative to the current directory and not looked for.

    Raises:
        PlanError: everything that cannot be built.
    """
    problems = Problems()
    for place, message in (*placement_problems(topology), *attribute_problems(topology)):
        problems.add(place, message)
    taps: list[TapPlan] = []
    veths: list[VethPlan] = []
    interfaces: dict[str, list[InterfacePlan]] = {name: [] for name in topology.nodes}
    stack_ends: dict[str, list[StackEnd]] = {}
    links: list[LinkPlan] = []
    door = 0
    for link in topology.links.values():
        ends: list[EndPlan] = []
        mtus = keys.directions(mtu_text(link), keys.mtu_bytes)
        for index, end in enumerate(link.ends):
            if not topology.nodes[end.node].is_guest:
                own = StackInterfacePlan(end.interface, end.addresses, mtus[min(index, 1)])
                stack_ends.setdefault(end.node, []).append(StackEnd(own, link.segment))
                pcap = records(topology.nodes[end.node], link)
                ends.append(EndPlan(end.node, end.interface, end.mac, None, None, pcap=pcap))
                continue
            interface = _plan_interface(topology, link, end, door, mtus[min(index, 1)])
            interfaces[end.node].append(interface)
            tap = f"qn-sim{door}" if interface.attach == "tapbridge" else None
            if tap:
                taps.append(TapPlan(tap, f"qn-br{door}", "simulation"))
            if interface.host_tap:
                taps.append(TapPlan(interface.host_tap, f"qn-br{door}", "guest"))
            if interface.host_veth:
                veths.append(VethPlan(interface.host_veth, f"qn-port{door}", f"qn-br{door}"))
            pcap = records(topology.nodes[end.node], link)
            ends.append(EndPlan(end.node, end.interface, end.mac, door, interface.attach, tap, pcap))
            door += 1

        def wrong(key: str, message: str, link: Link = link) -> None:
            problems.add(link.place_of(key), f"{key} of {link.type} {link.name}: {message}")

        build = LINK_TYPES[link.type].build
        attributes = {} if build is None else link.attributes
        if build is None:
            impairments = impairments_of(link.type, link.attributes, source_directory, wrong)
        else:
            impairments = _known_of_foreign(link)
        links.append(
            LinkPlan(
                link.name,
                link.type,
                tuple(ends),
                max(mtus),
                impairments,
                build,
                attributes,
                ns3=link_attributes(link),
                wifi=None if problems else wifi_plan(link),
            )
        )
    guests = tuple(
        _plan_guest(node, interfaces[node.name], source_directory, problems)
        for node in topology.nodes.values()
        if node.is_guest
    )
    problems.raise_if_any(PlanError)
    routes = find_routes(topology, {link.name: _delays_ns(link) for link in links}, BRIDGE)
    warnings = [f"{place}: {message}" for place, message in placement_warnings(topology)]
    warnings += [f"{topology.option_places.get('routing', topology.name)}: {message}" for message in routes.warnings]
    return Plan(
        name=Path(topology.name).stem,
        guests=tuple(_with_routes(guest, routes) for guest in guests),
        simulation=SimulationPlan(
            simulator=topology.options.get("simulator", "qemunet"),
            seed=seed,
            nodes=tuple(topology.nodes),
            links=tuple(links),
            stacks=plan_stacks(topology, stack_ends, routes),
            mobility=(mobility := mobility_plans(topology)),
            defaults=(defaults := ns3_defaults(topology)),
            modules=modules_of(links, mobility, defaults),
            timing=_timing(topology.options),
        ),
        host=HostPlan(bridges=tuple(dict.fromkeys(tap.bridge for tap in taps)), taps=tuple(taps), veths=tuple(veths)),
        options=topology.options,
        warnings=(*topology.warnings, *warnings),
        notes=tuple(f"{place}: {message}" for place, message in unused_keys(topology)),
    )


def _timing(options: Mapping[str, str]) -> TimingPlan:
    """How the simulation keeps time, by the topology's options."""
    return TimingPlan(
        deadline_ns=parse_time_ns(options["deadline"]) if "deadline" in options else TimingPlan().deadline_ns,
        hard_limit_ns=keys.positive_time(options["hard_limit"]) if "hard_limit" in options else None,
        busy_poll=options.get("busy_poll") == "yes",
    )


def _known_of_foreign(link: Link) -> tuple[Impairments, ...]:
    """The delay of a link of another package's type, if it has such a key and reads it as nanoseconds."""
    row = keys_of(link.type).get("delay")
    delay_ns = row.parse(link.attributes["delay"]) if row and row.parse and "delay" in link.attributes else 0
    return (Impairments(delay_ns=delay_ns),) if isinstance(delay_ns, int) else ()


def _delays_ns(link: LinkPlan) -> tuple[int, int]:
    """Delay of a link there and back; 0 where nothing is known."""
    delays = [impairments.delay_ns for impairments in link.impairments] or [0]
    return delays[0], delays[-1]


def _with_routes(guest: GuestPlan, routes: Routes) -> GuestPlan:
    return replace(
        guest,
        routes=routes.of(guest.node),
        forwards=guest.node in routes.forward,
        hop_limit=routes.hop_limit if routes.hop_limit != USUAL_HOP_LIMIT else None,
    )


def _plan_interface(topology: Topology, link: Link, end: End, door: int, mtu: int) -> InterfacePlan:
    attach = cast(Attach, topology.attach_of(end.node))
    machine = topology.nodes[end.node].type == "qemu"
    return InterfacePlan(
        name=end.interface,
        mac=end.mac,
        addresses=end.addresses,
        mtu=mtu,
        link=link.name,
        door=door,
        attach=attach,
        host_tap=f"qn-guest{door}" if attach == "tapbridge" and machine else None,
        host_veth=f"qn-guest{door}" if attach == "tapbridge" and not machine else None,
    )


def _plan_guest(
    node: Node, interfaces: list[InterfacePlan], source_directory: Path | None, problems: Problems
) -> GuestPlan:
    attributes = node.attributes
    ordered = tuple(sorted(interfaces, key=_device_order))
    if node.type == "container":
        return _plan_container(node, ordered, source_directory, problems)
    if len(ordered) > MOST_INTERFACES:
        message = f"node {node.name} has {len(ordered)} interfaces; a QEMU machine can have {MOST_INTERFACES}"
        problems.add(node.place, message)
    files = _boot_files(node, source_directory, problems)
    arch = attributes.get("arch", DEFAULT_ARCH)
    return GuestPlan(
        node=node.name,
        type=node.type,
        image=files.image,
        arch=arch,
        accel=attributes.get("accel", "auto"),
        memory_mib=keys.memory_mib(attributes.get("memory", DEFAULT_MEMORY)),
        bridge=node.bridges,
        interfaces=ordered,
        argv=qemu_argv(node.name, attributes, ordered, files),
        kernel=files.kernel,
        initrd=files.initrd,
        drive=files.drive,
        attributes=attributes,
        emulated_cpu=machine_of(arch).cpu,
        console=cast(Literal["image", "serial"], attributes.get("console", DEFAULT_CONSOLE)),
        user=attributes.get("user", DEFAULT_USER),
        password=attributes.get("password"),
    )


def _plan_container(
    node: Node, interfaces: tuple[InterfacePlan, ...], source_directory: Path | None, problems: Problems
) -> GuestPlan:
    root = Path("/")
    if "image" in node.attributes:
        root = Path(source_directory or Path.cwd(), node.attributes["image"]).absolute()
        if source_directory is not None and not root.is_dir():
            message = f"image of container {node.name}: there is no directory {root}"
            problems.add(node.place_of("image"), f"{message}; a container's image is a directory with its root")
    if len(interfaces) > MOST_CONTAINER_INTERFACES:
        message = f"node {node.name} has {len(interfaces)} interfaces; a container can have {MOST_CONTAINER_INTERFACES}"
        problems.add(node.place, message)
    return GuestPlan(
        node=node.name,
        type=node.type,
        image=None,
        arch="",
        accel="",
        memory_mib=0,
        bridge=node.bridges,
        interfaces=interfaces,
        argv=(),
        attributes=node.attributes,
        root=str(root),
        disk_mib=keys.disk_mib(node.attributes.get("disk", DEFAULT_DISK)),
    )


def _device_order(interface: InterfacePlan) -> tuple[bool, int]:
    """Sort ethN by N, so that a guest's kernel, which counts devices as it finds them, mostly names them so itself."""
    number = re.fullmatch(r"eth([0-9]+)", interface.name)
    return (number is None, int(number[1]) if number else 0)


def _boot_files(node: Node, source_directory: Path | None, problems: Problems) -> BootFiles:
    attributes: Mapping[str, str] = node.attributes
    found: dict[str, str] = {}
    for key in ("kernel", "initrd", "drive"):
        if key in attributes:
            path = Path(source_directory or Path.cwd(), attributes[key]).absolute()
            if source_directory is not None and not path.is_file():
                problems.add(node.place_of(key), f"{key} of node {node.name}: there is no file {path}")
            found[key] = str(path)
    image = attributes.get("image", None if "kernel" in found or "drive" in found else DEFAULT_IMAGE)
    if image is not None and image.endswith(".yaml"):
        recipe = Path(source_directory or Path.cwd(), image).absolute()
        if source_directory is not None and not recipe.is_file():
            problems.add(node.place_of("image"), f"image of node {node.name}: there is no recipe {recipe}")
        image = str(recipe)
    if attributes.get("console") == "serial" and image == DEFAULT_IMAGE:
        message = f"console=serial of node {node.name}: there is no login on the serial port of image {image}"
        problems.add(node.place_of("console"), f"{message}; add drive= or kernel=, or remove console=")
    if image is None and "kernel" not in found:
        for key in ("append", "initrd"):
            if key in attributes:
                message = f"{key} of node {node.name} needs a kernel: a machine that boots from its drive ignores it"
                problems.add(node.place_of(key), f"{message}; add kernel= or image=")
    return BootFiles(image, found.get("kernel"), found.get("initrd"), found.get("drive"))

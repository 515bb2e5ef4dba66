"""``qemunet check TOPOLOGY [--plan]``: parse, check and plan; starts nothing and needs no privileges."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from qemunet.cli.main import add_topology_arguments

if TYPE_CHECKING:
    from qemunet.plan.model import LinkPlan, WifiPlan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_topology_arguments(parser)
    parser.add_argument("--plan", action="store_true", help="print the whole plan as JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Check; standard output gets a summary or the plan, standard error the warnings."""
    from qemunet.experiment import split_parameters
    from qemunet.plan import make_plan, plan_to_json
    from qemunet.topology import declared_parameters, read_topology, source_directory

    declared = declared_parameters(arguments.topology)
    overrides, _ = split_parameters(dict(arguments.parameters), declared, {})
    topology = read_topology(arguments.topology, parameters=overrides)
    plan = make_plan(topology, seed=1, source_directory=source_directory(arguments.topology))
    for warning in plan.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for note in plan.notes:
        print(f"note: {note}", file=sys.stderr)
    if arguments.plan:
        import json

        print(json.dumps(plan_to_json(plan), indent=2))
        return 0
    print(f"{arguments.topology}: {len(topology.nodes)} nodes, {len(topology.links)} links, no mistakes")
    for guest in plan.guests:
        addresses = ", ".join(
            f"{interface.name} {' '.join(interface.addresses) or 'no address'}" for interface in guest.interfaces
        )
        kind = f"{guest.type} {guest.arch}".rstrip()
        print(f"  {guest.node:<16} {kind}  {addresses}")
    for stack in plan.simulation.stacks:
        addresses = ", ".join(
            f"{interface.name} {' '.join(interface.addresses) or 'no address'}" for interface in stack.interfaces
        )
        print(f"  {stack.node:<16} {stack.type}  {addresses}".rstrip())
    for link in plan.simulation.links:
        ends = " ".join(f"{end.node}:{end.interface}" for end in link.ends)
        how = f"  ({_of_wifi(link, link.wifi)})" if link.wifi else ""
        print(f"  {link.name:<16} {link.type}  {ends}{how}")
    return 0


def _of_wifi(link: LinkPlan, wifi: WifiPlan) -> str:
    access_points = [end.node for end, mac in zip(link.ends, wifi.macs, strict=True) if mac == "ns3::ApWifiMac"]
    mode = f"infrastructure, access point {access_points[0]}" if access_points else "ad hoc"
    return f"{mode}, {wifi.standard}"

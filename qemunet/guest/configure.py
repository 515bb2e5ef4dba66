"""The shell script that configures a guest as the plan has it: hostname, interfaces, addresses, bridge."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from qemunet.plan.model import GuestPlan, InterfacePlan


def configuration_script(plan: GuestPlan) -> str:
    """The script for a guest: POSIX sh, with ``ip``; it fails with a message at the first thing that does not work.

    Interfaces are told apart by their MAC addresses and renamed where the guest has called them otherwise.
    """
    return "\n".join(["(", "set -e", *_lines(plan), ")", ""])


def _lines(plan: GuestPlan) -> Iterator[str]:
    yield f"hostname {shlex.quote(plan.node)}"
    if plan.type == "qemu":  # A container's interfaces are made with their names.
        yield from _naming(plan.interfaces)
    for interface in plan.interfaces:
        yield f"ip link set dev {interface.name} mtu {interface.mtu}"
    if plan.bridge and plan.interfaces:
        # Spanning tree would keep the ports closed for 30 s, and a real wire does not look into multicast.
        yield "ip link add name br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        for interface in plan.interfaces:
            yield f"ip link set dev {interface.name} master br0 up"
        yield f"ip link set dev br0 mtu {min(interface.mtu for interface in plan.interfaces)} up"
        yield from _addresses("br0", [address for interface in plan.interfaces for address in interface.addresses])
        return
    for interface in plan.interfaces:
        yield f"ip link set dev {interface.name} up"
        yield from _addresses(interface.name, interface.addresses)


def _naming(interfaces: tuple[InterfacePlan, ...]) -> Iterator[str]:
    """Give each interface its name, over temporary names as the guest may have them in another order."""
    for number, interface in enumerate(interfaces):
        yield "found="
        yield "for each in /sys/class/net/*; do"
        yield '    read -r mac <"$each/address" || continue'
        # A bridge or vlan made by the image may share the address; only a device stands on a bus.
        yield f'    if [ "$mac" = {interface.mac.lower()} ] && [ -e "$each/device" ]; then found=${{each##*/}}; fi'
        yield "done"
        yield f'if [ -z "$found" ]; then echo "no interface with address {interface.mac}" >&2; exit 1; fi'
        yield f'if [ "$found" != {interface.name} ]; then'
        yield f'    ip link set dev "$found" down; ip link set dev "$found" name qemunet{number}; fi'
    for number, interface in enumerate(interfaces):
        yield f"if [ -e /sys/class/net/qemunet{number} ]; then"
        yield f"    ip link set dev qemunet{number} name {interface.name}; fi"


def _addresses(device: str, addresses: list[str] | tuple[str, ...]) -> Iterator[str]:
    for address in addresses:
        # The plan has seen to it that no address is taken twice; the guest need not ask for a second.
        ending = " nodad" if ":" in address else ""
        yield f"ip address add {address} dev {device}{ending}"

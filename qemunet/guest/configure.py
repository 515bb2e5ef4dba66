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
    yield from _settings(plan)
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
    else:
        for interface in plan.interfaces:
            yield f"ip link set dev {interface.name} up"
            yield from _addresses(interface.name, interface.addresses)
    yield from _routes(plan)


def _settings(plan: GuestPlan) -> Iterator[str]:
    """What the kernel does with addresses and packets; before an interface is up."""
    if any(":" in address for interface in plan.interfaces for address in interface.addresses):
        # Those that the kernel gives itself, by which a router asks for neighbours, would not be good for a second.
        yield from _set("0", "ipv6/conf/*/accept_dad")
    if plan.hop_limit is not None:
        yield from _set(str(plan.hop_limit), "ipv4/ip_default_ttl", "ipv6/conf/*/hop_limit")
    if plan.forwards:
        # Two directions may take different ways of the same length, and what comes by another one is no forgery.
        yield from _set("0", "ipv4/conf/*/rp_filter", "ipv4/conf/*/send_redirects")
        yield from _set("1", "ipv4/ip_forward", "ipv6/conf/all/forwarding")
    if plan.routes:
        yield from _set("0", "ipv4/conf/*/accept_redirects", "ipv6/conf/*/accept_redirects")


def _set(value: str, *patterns: str) -> Iterator[str]:
    """Write settings of the kernel, as far as it has them: IPv6 may be absent."""
    files = " ".join(f"/proc/sys/net/{pattern}" for pattern in patterns)
    yield f"for each in {files}; do if [ -e $each ]; then echo {value} >$each; fi; done"


def _routes(plan: GuestPlan) -> Iterator[str]:
    """Add the routes, all by one process where `ip` can do that (busybox's cannot)."""
    if not plan.routes:
        return
    yield "if ip -V >/dev/null 2>&1; then ip -batch -; else"
    yield "while read -r words; do case $words in *:*) ip -6 $words ;; *) ip $words ;; esac; done; fi <<'QEMUNET'"
    yield from (f"route add {route}" for route in plan.routes)
    yield "QEMUNET"


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

"""Bridges and taps of the Run's network namespace, by pyroute2.

Runs in short-lived helpers forked by the Run's init: pyroute2 takes 0.13 s to import, which neither the start of a Run
nor PID 1 has to bear.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from socket import if_nametoindex
from typing import TypedDict

from qemunet.host import linux

MTU_BYTES = 65521
"""Of host-side taps and bridges: the most a tap takes, so that only the guest's and the link's MTU ever count."""

_FORWARD_RESERVED = 0xFFF8
"""Bridges pass on link-local multicast such as LLDP (01-80-C2-00-00-03 to -0F), as a wire would."""


class TapRequest(TypedDict):
    """A tap and the bridge it is a port of."""

    name: str
    bridge: str


class VethRequest(TypedDict):
    """A pair of virtual Ethernet interfaces, of which ``port`` is a port of a bridge."""

    name: str
    port: str
    bridge: str


def silence_ipv6() -> None:
    """Keep interfaces made later in this network namespace free of IPv6.

    Otherwise bridges and taps announce themselves (router solicitation, duplicate address detection, multicast
    reports) on the emulated links. ``lo``, which exists already, keeps its ::1.
    """
    setting = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
    if os.path.exists(setting):
        with open(setting, "w", encoding="ascii") as file:
            file.write("1")


def _bypass_netfilter() -> None:
    """Keep the firewall's hooks off the bridges: they drop frames whose IP header they dislike, and cost time."""
    for protocol in ("ip", "ip6", "arp"):
        setting = f"/proc/sys/net/bridge/bridge-nf-call-{protocol}tables"
        # Absent unless the host has loaded br_netfilter; then on by default, in every new network namespace.
        # Where it may not be written, only packets with malformed headers are lost.
        with suppress(FileNotFoundError, PermissionError), open(setting, "w", encoding="ascii") as file:
            file.write("0")


def build(bridges: Sequence[str], taps: Sequence[TapRequest], veths: Sequence[VethRequest]) -> None:
    """Make bridges, persistent taps and ports of pairs, all up; the pairs' other ends are left to their containers.

    Raises:
        OSError: what the kernel refused; its ``filename`` is the object.
    """
    from pyroute2.iproute.linux import IPRoute

    _bypass_netfilter()
    with IPRoute() as route:
        for bridge in bridges:
            with _named(bridge):
                route.link(
                    "add",
                    ifname=bridge,
                    kind="bridge",
                    mtu=MTU_BYTES,
                    br_stp_state=0,
                    br_mcast_snooping=0,
                    br_group_fwd_mask=_FORWARD_RESERVED,
                )
                route.link("set", index=if_nametoindex(bridge), state="up")
        for tap in taps:
            with _named(tap["name"]):
                os.close(linux.open_tap(tap["name"], persist=True))
                index = if_nametoindex(tap["name"])
                route.link("set", index=index, mtu=MTU_BYTES, master=if_nametoindex(tap["bridge"]), state="up")
        for veth in veths:
            with _named(veth["name"]):
                peer = {"ifname": veth["name"]}
                route.link("add", ifname=veth["port"], kind="veth", mtu=MTU_BYTES, peer=peer)
                route.link("set", index=if_nametoindex(veth["port"]), master=if_nametoindex(veth["bridge"]), state="up")


class _named:  # noqa: N801 - used as a function
    """Turns what netlink refuses into an OSError that names the object."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        if isinstance(error, NetlinkError):
            raise OSError(error.code, os.strerror(error.code), self._name) from error
        if isinstance(error, OSError) and not error.filename:
            raise OSError(error.errno, error.strerror, self._name) from error

"""Changes interfaces by netlink messages made by hand: pyroute2 takes longer to import than a container to start."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping

IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_TXQLEN = 13
IFLA_NET_NS_FD = 28

_RTM_NEWLINK = 16
_NLM_F_REQUEST_ACK = 1 | 4
_NLMSG_ERROR = 2
_ANSWER_BYTES = 65536


def open_netlink() -> socket.socket:
    """A socket that speaks for the network namespace this process is in now, wherever it goes later."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)


def mac_bytes(mac: str) -> bytes:
    """The six bytes of an address as ``02:..``."""
    return bytes.fromhex(mac.replace(":", ""))


def change_interface(netlink: socket.socket, name: str, index: int, attributes: Mapping[int, bytes]) -> None:
    """Change attributes of an interface.

    Args:
        netlink: Speaks for its network namespace.
        name: For the error.
        index: Its number.
        attributes: IFLA_* to value, all in one request.

    Raises:
        OSError: the kernel refused; its ``filename`` is ``name``.
    """
    body = struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, 0, 0)
    for kind, value in attributes.items():
        length = 4 + len(value)
        body += struct.pack("HH", length, kind) + value + bytes(-length % 4)
    netlink.send(struct.pack("IHHII", 16 + len(body), _RTM_NEWLINK, _NLM_F_REQUEST_ACK, 1, 0) + body)
    answer = netlink.recv(_ANSWER_BYTES)
    kind, number = struct.unpack_from("4xH10xi", answer)
    if kind == _NLMSG_ERROR and number != 0:
        raise OSError(-number, os.strerror(-number), name)

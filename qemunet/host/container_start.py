"""Starts a container: the part that is done with the rights of the Run's init, by a short-lived copy of it.

Three processes, all forked from the Run's init. The *helper* has a mount namespace of its own in which it builds the
container's file system. Its child, the *maker*, makes the container's other namespaces, forks the container's PID 1
into them and ends, by which PID 1 becomes a child of the Run's init. The helper gives the user namespace its users,
makes the interfaces and lets PID 1 go on (``container_init``).
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import traceback
from typing import TypedDict

from qemunet.host import linux, rtnetlink
from qemunet.host.container_init import Inside, be_container_init
from qemunet.host.container_root import IDS, ContainerRoot
from qemunet.host.messages import (
    ANCILLARY_BYTES,
    MAX_BYTES,
    Failure,
    Message,
    ancillary_of,
    decode,
    descriptors_of,
    encode,
    failure_of,
)
from qemunet.host.programs import reset_signals

QUEUE_FRAMES = 4096
"""Frames that a container's tap holds until the simulator takes them."""

_FIRST_ID = 0x70000000
_ALL_IDS = (0, 0, 0xFFFFFFFF)
_NAMESPACES = linux.CLONE_NEWUSER | linux.CLONE_NEWPID | linux.CLONE_NEWNET | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC


class InterfaceRequest(TypedDict):
    """An interface of a container.

    Attributes:
        name: In the container.
        mac: As ``02:..``.
        veth: An interface of the Run that becomes it; None makes a tap.
    """

    name: str
    mac: str
    veth: str | None


class ContainerRequest(TypedDict):
    """What a container is to be.

    Attributes:
        hostname: Its name.
        root: Directory of this computer that it sees.
        disk_mib: What it may write, in MiB.
        interfaces: In order.
    """

    hostname: str
    root: str
    disk_mib: int
    interfaces: list[InterfaceRequest]


def be_starter(request: ContainerRequest, answer: socket.socket) -> None:
    """Start a container and send its process id and descriptors, or the failure. Never returns.

    The descriptors are the masters of its terminals, the channels beside them, and then one of each tap.
    """
    try:
        reset_signals()
        message: Message
        descriptors: list[int] = []
        try:
            message, descriptors = _start(request)
        except OSError as error:
            message = {"failure": failure_of(error, "container")}
        answer.sendmsg([encode(message)], ancillary_of(descriptors))
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
            sys.stderr.flush()
        # PID 1 is a child of the Run's init already: this ends alone.
        os._exit(0)


class _InsideError(OSError):
    """What PID 1 reported."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure["errno"], failure["error"], failure["what"])


def _start(request: ContainerRequest) -> tuple[Message, list[int]]:
    in_run = rtnetlink.open_netlink()
    linux.unshare(linux.CLONE_NEWNS, "mount namespace of a container")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    told: Inside = {"hostname": request["hostname"], "root": ContainerRoot.path}
    maker = os.fork()
    if maker == 0:
        ours.close()
        _be_maker(told, theirs)
    theirs.close()
    made = _heard(ours)[0]
    os.waitpid(maker, 0)
    first_id = _map_ids(made["pid"])
    names = f"/proc/{made['pid']}/ns"
    users, net = (os.open(f"{names}/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("user", "net"))
    root = ContainerRoot(
        os.path.realpath(request["root"]), request["disk_mib"], users, first_id, whole=first_id == _FIRST_ID
    )
    for interface in request["interfaces"]:
        if interface["veth"] is not None:
            _move(in_run, interface["veth"], interface, net)
    linux.enter_namespace(net, "network namespace of a container")
    linux.set_loopback_up()
    taps = [_make_tap(interface) for interface in request["interfaces"] if interface["veth"] is None]
    root.build()
    ours.send(b"{}")
    _, consoles = _heard(ours)
    return {"pid": made["pid"], "writing": root.writing}, [*consoles, *taps]


def _be_maker(told: Inside, channel: socket.socket) -> None:
    """Make the namespaces and PID 1 in them. Never returns."""
    status = 1
    try:
        try:
            linux.unshare(_NAMESPACES, "namespaces of a container")
            pid = os.fork()
        except OSError as error:
            channel.send(encode({"failure": failure_of(error, "container")}))
        else:
            if pid == 0:
                _wait_for_go(channel)
                be_container_init(told, channel)
            channel.send(encode({"pid": pid}))
        status = 0
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(status)


def _wait_for_go(channel: socket.socket) -> None:
    """Wait until all that needs the rights of the Run's init is done; end if it failed."""
    if not channel.recv(MAX_BYTES):
        os._exit(1)


def _heard(channel: socket.socket) -> tuple[Message, list[int]]:
    """What the maker or PID 1 says.

    Raises:
        OSError: it failed, or died without a word.
    """
    packet, ancillary, _, _ = channel.recvmsg(MAX_BYTES, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    lost = {"failure": {"stage": "", "what": "PID 1", "errno": 0, "error": "it died"}}
    message: Message = decode(packet) if packet else lost
    if "failure" in message:
        raise _InsideError(message["failure"])
    return message, descriptors_of(ancillary)


def _map_ids(pid: int) -> int:
    """Give a new user namespace its users and groups; returns which of this namespace is its root.

    No user of a container is one of the host's: what the kernel leaves to the owner of a file, such as most of
    /proc/sys, a container's root may not. Where this process has not all users itself, its own ones are the container's.
    """
    with open("/proc/self/uid_map", encoding="ascii") as lines:
        users = [tuple(map(int, line.split())) for line in lines]
    with open("/proc/self/gid_map", encoding="ascii") as lines:
        groups = [tuple(map(int, line.split())) for line in lines]
    if users == groups == [_ALL_IDS]:
        wanted = dict.fromkeys(("uid_map", "gid_map"), f"0 {_FIRST_ID} {IDS}\n")
    else:
        wanted = {
            file: "".join(f"{inside} {inside} {count}\n" for inside, _, count in own)
            for file, own in (("uid_map", users), ("gid_map", groups))
        }
    for file, text in wanted.items():
        with open(f"/proc/{pid}/{file}", "w", encoding="ascii") as setting:
            setting.write(text)
    return _FIRST_ID if users == [_ALL_IDS] else 0


def _move(netlink: socket.socket, veth: str, interface: InterfaceRequest, namespace: int) -> None:
    """Move an interface of the Run into a network namespace; in one request, as names may be taken here or there."""
    attributes = {
        rtnetlink.IFLA_IFNAME: interface["name"].encode() + b"\0",
        rtnetlink.IFLA_ADDRESS: rtnetlink.mac_bytes(interface["mac"]),
        rtnetlink.IFLA_NET_NS_FD: struct.pack("I", namespace),
    }
    rtnetlink.change_interface(netlink, veth, socket.if_nametoindex(veth), attributes)


def _make_tap(interface: InterfaceRequest) -> int:
    """Make a tap in this network namespace; returns its descriptor."""
    name = interface["name"]
    # Persistent: it ends with its namespace, by a thread of the kernel, and not by whoever closes it last and waits.
    tap = linux.open_tap(name, persist=True)
    attributes = {
        rtnetlink.IFLA_ADDRESS: rtnetlink.mac_bytes(interface["mac"]),
        rtnetlink.IFLA_TXQLEN: struct.pack("I", QUEUE_FRAMES),
    }
    with rtnetlink.open_netlink() as netlink:
        rtnetlink.change_interface(netlink, name, socket.if_nametoindex(name), attributes)
    return tap

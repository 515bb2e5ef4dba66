"""The few Linux calls that Python 3.11 does not offer: namespaces, mounts, taps, the loopback interface.

Imported by the Run's init, which must start fast: nothing but small modules of the standard library.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

CAP_NET_ADMIN = 12
CAP_SYS_ADMIN = 21
CAP_SYS_RESOURCE = 24
_PR_CAPBSET_DROP = 24
_PR_SET_PDEATHSIG = 1

TUN_DEVICE = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFREQ_FLAGS = "16sH22x"
_SIOCSIFFLAGS = 0x8914
_IFF_UP_RUNNING = 0x1 | 0x40

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raise the OSError of a call that did not return 0; ``what`` is its ``filename``."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int, what: str) -> None:
    """Leave the namespaces of ``flags`` for new ones; ``what`` names them in the OSError."""
    check(libc.unshare(flags), what)


def enter_namespace(descriptor: int, what: str) -> None:
    """Join the namespace that a descriptor is of; ``what`` names it in the OSError."""
    check(libc.setns(descriptor, 0), what)


def drop_capability(number: int) -> None:
    """Give a capability up for this process, once it has executed a program, and for all its children."""
    check(libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), f"capability {number}")


def die_with_parent(parent: int) -> None:
    """Have this process killed when the thread that forked it has ended, or now if ``parent`` has ended already."""
    check(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "parent's death")
    if os.getppid() != parent:
        os._exit(1)


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount a file system, bind a tree or change how one is mounted.

    Raises:
        OSError: its ``filename`` is ``target``.
    """
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, options)]
    check(libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), target)


def effective_capabilities() -> int:
    """The bit set of this process's effective capabilities."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0


def may_make_namespaces() -> bool:
    """Whether namespaces can be made without a user namespace of one's own.

    Being root is not enough: root in a container often lacks the capabilities.
    """
    wanted = 1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN
    return effective_capabilities() & wanted == wanted


def set_loopback_up() -> None:
    """Bring ``lo`` up in this network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack(_IFREQ_FLAGS, b"lo", _IFF_UP_RUNNING))


def open_tap(name: str, *, persist: bool = False) -> int:
    """Open the tap ``name`` of this network namespace, making it if need be; each frame is one read or write.

    No header precedes the frames (neither packet information nor vnet header): what crosses an emulated link is
    what would be on a wire, segmented and with its checksums.

    Args:
        name: At most 15 characters.
        persist: The tap outlives its descriptor (and still ends with its network namespace).

    Raises:
        OSError: its ``filename`` is the device's or the tap's name.
    """
    descriptor = os.open(TUN_DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack(_IFREQ_FLAGS, name.encode(), _IFF_TAP | _IFF_NO_PI))
        if persist:
            fcntl.ioctl(descriptor, _TUNSETPERSIST, 1)
    except OSError as error:
        os.close(descriptor)
        raise OSError(error.errno, error.strerror, name) from error
    return descriptor

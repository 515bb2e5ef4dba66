"""Mounts by the calls that came with Linux 5.2 and 5.12, and the root of a mount namespace.

A mount can be cloned without a place (``open_tree``), given an owner mapping (``mount_setattr``) and then put
somewhere (``move_mount``). Their numbers are the same on every architecture.
"""

from __future__ import annotations

import ctypes
import os

from qemunet.host.linux import MS_BIND, MS_RDONLY, MS_REMOUNT, check, libc, mount

_OPEN_TREE = 428
_MOVE_MOUNT = 429
_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_AT_EMPTY_PATH = 0x1000
_MOUNT_ATTR_IDMAP = 0x00100000
_MNT_DETACH = 2


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def mount_mapped(source: str, target: str, user_namespace: int) -> None:
    """Bind the directory ``source`` to ``target`` with its owners mapped as a user namespace maps them.

    Args:
        source: A directory; what is mounted below it is not taken along.
        target: A directory.
        user_namespace: Descriptor of the namespace.

    Raises:
        OSError: the kernel (before 5.12) or the file system of ``source`` cannot.
    """
    tree = libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    check(min(tree, 0), source)
    try:
        attributes = _MountAttr(attr_set=_MOUNT_ATTR_IDMAP, userns_fd=user_namespace)
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        check(libc.syscall(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size), source)
        flags = _MOVE_MOUNT_F_EMPTY_PATH
        check(libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), flags), target)
    finally:
        os.close(tree)


def bind_read_only(source: str, target: str) -> None:
    """Bind a file or directory, so that nothing can be written through ``target``.

    Raises:
        OSError: a mount was refused.
    """
    mount(source, target, None, MS_BIND)
    # In a user namespace the flags that the source is mounted with may not be lost.
    kept = os.statvfs(target).f_flag & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)
    mount(None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def detach(target: str) -> None:
    """Take a mount away; who still uses it keeps it."""
    check(libc.umount2(os.fsencode(target), _MNT_DETACH), target)


def change_root(root: str) -> None:
    """Make the mount at ``root`` the root of this mount namespace, and leave nothing of the old one in it.

    Raises:
        OSError: ``root`` is no mount of this namespace's own.
    """
    os.chdir(root)
    # The old root lands on top of the new one, from where it is taken away.
    check(libc.pivot_root(b".", b"."), root)
    check(libc.umount2(b".", _MNT_DETACH), "old root")
    os.chdir("/")


def mount_points() -> dict[str, str]:
    """Every mount point of this namespace with its file system's type; of several at one place the uppermost."""
    points = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            fields, _, rest = line.partition(" - ")
            point = fields.split(" ")[4]
            for escaped, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
                point = point.replace(escaped, character)
            points[point] = rest.split(" ")[0]
    return points

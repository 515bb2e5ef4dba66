"""The file system of a container: a directory of this computer, seen through overlays on a tmpfs.

Every directory in which nothing else is mounted becomes an overlay of its own, the others are made anew and filled in
the same way: so a ``/home`` of its own is seen like the rest, and a user namespace, which may not look under mounts
that it has inherited, manages too. What is written goes to the tmpfs, whose size is the bound on all of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Literal

from qemunet.host import linux, mounts

Writing = Literal["mapped", "partly", "none"]
"""What a container may change in its view: everything; what does not belong to an owner unknown to it (the file system
cannot map owners, or the Run is an ordinary user's); only /tmp, /run and the like (the kernel refuses overlays)."""

IDS = 65536
"""Users and groups that a container has if the Run's own namespace has enough of them."""

_STAGE = "/dev"
"""Hidden while the view is made. Not /sys: the container's own may be mounted only where the host's is seen."""

_PRIVATE = ("dev", "proc", "run", "sys", "tmp")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
_RUN_MIB = 16
_BYTES_AN_INODE = 4096
_NO_FILES = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "proc",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "sysfs",
        "tracefs",
    ]
)
_WORST: tuple[Writing, ...] = ("mapped", "partly", "none")


class ContainerRoot:
    """Builds the view in a mount namespace that is this process's alone; the result is the mount ``path``.

    Args:
        base: Directory that is seen.
        disk_mib: Size of the tmpfs.
        user_namespace: Descriptor of the container's.
        first_id: User and group, here, that is root in the container.
        whole: The container has ``IDS`` users, so owners of files can be mapped.

    Attributes:
        writing: What the container may change.
    """

    path = f"{_STAGE}/root"

    def __init__(self, base: str, disk_mib: int, user_namespace: int, first_id: int, *, whole: bool) -> None:
        self.writing: Writing = "mapped"
        self._base = base.rstrip("/")
        self._user_namespace = user_namespace
        self._first_id = first_id
        self._whole = whole
        self._options = f"size={disk_mib}m,nr_inodes={disk_mib * (1 << 20) // _BYTES_AN_INODE}"
        self._mounts: dict[str, str] = {}
        self._overlays = 0

    def build(self) -> None:
        """Make it, without /proc, /sys and /dev/pts, which need the container's other namespaces.

        Raises:
            OSError: its ``filename`` is what the kernel refused.
        """
        self._mounts = mounts.mount_points()
        # Opened before the stage is mounted over one of them.
        with ExitStack() as stack:
            entries = {
                name: _opened(f"{self._base}/{name}", stack)
                for name in sorted(os.listdir(self._base or "/"))
                if name not in _PRIVATE
            }
            devices = {name: _opened(f"/dev/{name}", stack) for name in _DEVICES if os.path.exists(f"/dev/{name}")}
            self._tmpfs(_STAGE, self._options)
            for name in ("lower", "upper", "work", "root"):
                self._directory(f"{_STAGE}/{name}", 0o755)
            linux.mount(self.path, self.path, None, linux.MS_BIND)
            for name, entry in entries.items():
                self._show(f"{self._base}/{name}", entry, f"{self.path}/{name}")
            self._private(devices)

    def _private(self, devices: Mapping[str, int]) -> None:
        """What no container shares with the host."""
        for name, mode in (("proc", 0o555), ("sys", 0o555), ("tmp", 0o1777), ("run", 0o755), ("dev", 0o755)):
            self._directory(f"{self.path}/{name}", mode)
        self._tmpfs(f"{self.path}/run", f"size={_RUN_MIB}m")
        dev = f"{self.path}/dev"
        self._tmpfs(dev, self._options)
        for name in ("net", "pts", "shm"):
            self._directory(f"{dev}/{name}", 0o1777 if name == "shm" else 0o755)
        for name, device in devices.items():
            os.close(os.open(f"{dev}/{name}", os.O_CREAT | os.O_CLOEXEC))
            linux.mount(f"/proc/self/fd/{device}", f"{dev}/{name}", None, linux.MS_BIND)
        for name, target in _LINKS.items():
            self._link(target, f"{dev}/{name}")

    def _show(self, path: str, entry: int, target: str) -> None:
        """Let ``entry``, which is ``path``, be seen at ``target``."""
        source = f"/proc/self/fd/{entry}"
        status = os.fstat(entry)
        if stat.S_ISLNK(status.st_mode):
            self._link(os.readlink("", dir_fd=entry), target)
        elif stat.S_ISREG(status.st_mode):
            os.close(os.open(target, os.O_CREAT | os.O_CLOEXEC))
            with suppress(OSError):
                mounts.bind_read_only(source, target)
        elif stat.S_ISDIR(status.st_mode):
            readable = os.access(source, os.R_OK | os.X_OK) and self._mounts.get(path) not in _NO_FILES
            if not readable:
                self._directory(target, stat.S_IMODE(status.st_mode))
            elif any(point.startswith(f"{path}/") for point in self._mounts):
                self._directory(target, stat.S_IMODE(status.st_mode))
                self._show_all(path, entry, target)
            else:
                self._show_directory(source, status, target)

    def _show_all(self, path: str, entry: int, target: str) -> None:
        for name in sorted(os.listdir(f"/proc/self/fd/{entry}")):
            with ExitStack() as stack:
                try:
                    inner = _opened(f"/proc/self/fd/{entry}/{name}", stack)
                except OSError:
                    continue  # it has gone
                self._show(f"{path}/{name}", inner, f"{target}/{name}")

    def _show_directory(self, source: str, status: os.stat_result, target: str) -> None:
        """An overlay of a directory in which nothing is mounted; a read-only view of it where there is no overlay."""
        self._overlays += 1
        upper, work = f"{_STAGE}/upper/{self._overlays}", f"{_STAGE}/work/{self._overlays}"
        self._directory(target, 0o755)
        self._directory(upper, stat.S_IMODE(status.st_mode))
        self._directory(work, 0o755)
        if self._whole:
            lower = f"{_STAGE}/lower"
            try:
                mounts.mount_mapped(source, lower, self._user_namespace)
            except OSError:
                pass  # the file system cannot, or the kernel is older
            else:
                try:
                    os.chown(upper, *(self._first_id + min(own, IDS - 1) for own in (status.st_uid, status.st_gid)))
                    self._overlay(lower, upper, work, target)
                except OSError:
                    os.chown(upper, self._first_id, self._first_id)
                else:
                    return
                finally:
                    mounts.detach(lower)
        try:
            self._overlay(source, upper, work, target)
            self._note("partly")
        except OSError:
            mounts.bind_read_only(source, target)
            self._note("none")

    def _overlay(self, lower: str, upper: str, work: str, target: str) -> None:
        # In a user namespace an overlay may keep its notes in no other attributes than the user's.
        notes = "" if self._whole else ",userxattr"
        options = f"lowerdir={lower},upperdir={upper},workdir={work}{notes}"
        linux.mount("overlay", target, "overlay", linux.MS_NODEV, options)

    def _note(self, writing: Writing) -> None:
        self.writing = max(self.writing, writing, key=_WORST.index)

    def _directory(self, path: str, mode: int) -> None:
        os.mkdir(path)
        os.chown(path, self._first_id, self._first_id)
        os.chmod(path, mode)

    def _tmpfs(self, path: str, options: str) -> None:
        owner = f"uid={self._first_id},gid={self._first_id},mode=755"
        linux.mount("tmpfs", path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, f"{owner},{options}")

    def _link(self, leads_to: str, path: str) -> None:
        os.symlink(leads_to, path)
        os.chown(path, self._first_id, self._first_id, follow_symlinks=False)


def _opened(path: str, stack: ExitStack) -> int:
    entry = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    stack.callback(os.close, entry)
    return entry

"""Writes the initramfs: a cpio archive (``newc``) whose entries belong to root, whoever writes it.

The same entries give the same bytes: paths are sorted, times are 0, inode numbers count up.
"""

from __future__ import annotations

import stat
from typing import BinaryIO


class Archive:
    """Entries of an archive, by path without a leading ``/``; parent directories come by themselves."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, bytes, tuple[int, int]]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file."""
        self._add(path, stat.S_IFREG | mode, content)

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Add a directory, or set the mode of one."""
        self._add(path, stat.S_IFDIR | mode)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """Add a character device."""
        self._add(path, stat.S_IFCHR | mode, device=(major, minor))

    def _add(self, path: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        parent = path.rpartition("/")[0]
        if parent and parent not in self._entries:
            self.directory(parent)
        self._entries[path] = (mode, content, device)

    def write(self, stream: BinaryIO) -> None:
        """Write the whole archive."""
        for inode, path in enumerate(sorted(self._entries), 1):
            mode, content, device = self._entries[path]
            self._write_entry(stream, path, inode, mode, content, device)
        self._write_entry(stream, "TRAILER!!!", 0, 0, b"", (0, 0))

    @staticmethod
    def _write_entry(
        stream: BinaryIO, path: str, inode: int, mode: int, content: bytes, device: tuple[int, int]
    ) -> None:
        name = path.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (inode, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % value for value in fields)
        stream.write(header + name + b"\0" * (-(len(header) + len(name)) % 4))
        stream.write(content + b"\0" * (-len(content) % 4))

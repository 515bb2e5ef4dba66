"""What a computer looks like from outside of all runs, to see that the commands of containers change nothing of it."""

from __future__ import annotations

import os
import platform
import re
import termios
from collections.abc import Iterator
from pathlib import Path

RUNS_PREFIX = "qemunet-torture-"
"""What the torture itself makes in /tmp."""

_SETTINGS = ("kernel", "net", "vm", "fs", "user")
# These change by themselves.
_COUNTERS = re.compile(
    r"/(random/.*|ns_last_pid|pty/nr|inode-.*|dentry-state|file-nr|aio-nr|quota/.*|.*conntrack_count|epoll/.*"
    r"|inode-state|perf_event_max_sample_rate|hung_task_detect_count|.*_ns_stat|sched_domain/.*)$"
)
_FOLDERS = ("/", "/tmp", "/run", "/dev", "/dev/shm", "/etc", "/root", "/usr/bin", "/var", "/mnt")


def footprint(terminal: int) -> dict[str, object]:
    """The state of this computer that its users would miss.

    Args:
        terminal: Descriptor of the terminal that the run had for its own.
    """
    return {
        "hostname": platform.node(),
        "mounts": sorted(Path("/proc/self/mountinfo").read_text().splitlines()),
        "interfaces": {path.name: (path / "flags").read_text() for path in Path("/sys/class/net").iterdir()},
        "terminal": termios.tcgetattr(terminal),
        "settings": dict(_settings()),
        "files": sorted(_files()),
        "processes": sorted(_processes()),
    }


def changes(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """What is not as it was."""
    found = []
    for name in before:
        one, other = before[name], after[name]
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
            found += [f"{name}: {key}: {one.get(key)!r} -> {other.get(key)!r}" for key in keys]
        elif isinstance(one, list) and isinstance(other, list):
            found += [f"{name}: {entry!r} has gone" for entry in one if entry not in other]
            found += [f"{name}: {entry!r} is new" for entry in other if entry not in one]
        else:
            found.append(f"{name}: {one!r} -> {other!r}")
    return found


def _settings() -> Iterator[tuple[str, bytes]]:
    for folder in _SETTINGS:
        for directory, _, names in os.walk(f"/proc/sys/{folder}"):
            for name in names:
                path = f"{directory}/{name}"
                if _COUNTERS.search(path):
                    continue
                try:
                    yield path, Path(path).read_bytes()
                except OSError:
                    continue  # Some may only be written, some not even by root.


def _files() -> Iterator[str]:
    """Only what bears the names of the torture: others work on this computer as well."""
    for folder in _FOLDERS:
        for name in os.listdir(folder):
            if "torture" in name and not name.startswith(RUNS_PREFIX):
                yield f"{folder}/{name}"
    for path in ("/etc/hosts", "/etc/hostname"):
        try:
            yield f"{path} {Path(path).read_text()}"
        except OSError:
            yield f"{path} is missing"


def _processes() -> Iterator[str]:
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                command = (path / "cmdline").read_bytes()
            except OSError:
                continue  # It has ended.
            if b"torture-" in command:
                yield f"{path.name} {command!r}"

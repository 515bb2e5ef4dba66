"""Finds the Runs that are running on this computer, and what dead ones left behind.

Nothing is registered anywhere: an init's command line says whose it is, and /proc knows the rest. A Run leaves
nothing behind even after ``kill -9``; ``leftovers`` is for what that promise does not cover and for interrupted builds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from qemunet.errors import HostError
from qemunet.host.launch import ControllerIdentity, parse_init_argv
from qemunet.process import process_stat

_STALE_AGE_S = 24 * 3600.0


@dataclass(frozen=True)
class RunningRun:
    """A Run that is running.

    Attributes:
        label: Its run directory.
        init_pid: The outer process of its init.
        controller: The process that controls it.
        user_id: Whose it is.
        running_s: Seconds since its init was started.
        processes: Pids of everything in it, PID 1 included.
        resident_bytes: Their resident memory, shared pages counted in each.
    """

    label: str
    init_pid: int
    controller: ControllerIdentity
    user_id: int
    running_s: float
    processes: tuple[int, ...]
    resident_bytes: int

    @property
    def orphaned(self) -> bool:
        """Whether its controller is certainly gone."""
        return self.controller.visible and not self.controller.alive


@dataclass(frozen=True)
class Leftover:
    """Something of qemunet's that nobody uses any more.

    Attributes:
        kind: ``process`` (an init without controller) or ``file`` (what an interrupted build left in the cache).
        what: For the person who reads it.
        size_bytes: Of files.
    """

    kind: Literal["process", "file"]
    what: str
    size_bytes: int
    _remove: Callable[[], None] = field(repr=False, compare=False)

    def remove(self) -> None:
        """Remove it; nothing happens if it has gone or is used again by now.

        Raises:
            HostError: the kernel refused.
        """
        try:
            self._remove()
        except OSError as error:
            raise HostError(f"{self.what} could not be removed: {error.strerror}.") from error


def running_runs() -> list[RunningRun]:
    """All Runs of this computer that this user can see, oldest first."""
    table = {pid: stat for pid in _pids() if (stat := process_stat(pid)) is not None}
    children: dict[int, list[int]] = {}
    for pid, stat in table.items():
        children.setdefault(int(stat[1]), []).append(pid)
    now_s, tick_hz = time.clock_gettime(time.CLOCK_BOOTTIME), os.sysconf("SC_CLK_TCK")
    runs = []
    for pid, stat in table.items():
        found = _init_at(pid)
        # PID 1 of the Run has the same command line as its parent, the outer process, which stands for both.
        if found is None or stat[0] in "ZX" or _init_at(int(stat[1])) == found:
            continue
        label, controller = found
        inside = tuple(sorted(_descendants(pid, children)))
        resident = sum(int(table[each][21]) for each in (pid, *inside)) * os.sysconf("SC_PAGE_SIZE")
        started_s = int(stat[19]) / tick_hz
        runs.append(RunningRun(label, pid, controller, _owner(pid), now_s - started_s, inside, resident))
    return sorted(runs, key=lambda run: -run.running_s)


def leftovers(*, cache: Path | None = None, stale_age_s: float = _STALE_AGE_S) -> list[Leftover]:
    """What ``qemunet clean`` removes; the list is its ``--dry-run``.

    Args:
        cache: The cache directory of images, or None to leave it alone.
        stale_age_s: Unfinished files of builds are left alone until nothing in them changed for so long.
    """
    found = [
        Leftover(
            "process",
            f"init {run.init_pid} of {run.label}, whose controller {run.controller.pid} is gone",
            0,
            partial(_end_orphan, run),
        )
        for run in running_runs()
        if run.orphaned and os.geteuid() in (0, run.user_id)
    ]
    if cache is not None:
        found += _unfinished(cache, stale_age_s)
    return found


def _unfinished(cache: Path, stale_age_s: float) -> Iterable[Leftover]:
    """Files and directories that begin with a dot: builds write there and rename when done. Locks stay, for ever."""
    now_s = time.time()
    for directory, folders, files in os.walk(cache):
        for name in [*folders, *files]:
            path = Path(directory, name)
            if not name.startswith(".") or name.endswith(".lock"):
                continue
            if name in folders:
                folders.remove(name)
            age_s, size_bytes = now_s - _newest(path), _size(path)
            if (age_s >= stale_age_s or _abandoned(path)) and path.lstat().st_uid == os.geteuid():
                text = f"{path}, unfinished since {age_s / 3600:.1f} h"
                yield Leftover("file", text, size_bytes, partial(_remove_tree, path))


def _abandoned(path: Path) -> bool:
    """Whether it is certain that nobody builds there any more: a build holds the lock beside it while it runs."""
    lock = path.with_name(f"{path.name.partition('.building-')[0]}.lock")
    if ".building-" not in path.name or not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _remove_tree(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _everything(path: Path) -> Iterable[os.stat_result]:
    yield path.lstat()
    if path.is_dir() and not path.is_symlink():
        for entry in path.rglob("*"):
            try:
                yield entry.lstat()
            except FileNotFoundError:
                continue  # its build goes on


def _newest(path: Path) -> float:
    return max(status.st_mtime for status in _everything(path))


def _size(path: Path) -> int:
    return sum(status.st_blocks * 512 for status in _everything(path))


def _end_orphan(run: RunningRun) -> None:
    """Kill an orphaned init, with all of its Run, if it is still what it was."""
    for pid in (run.init_pid, *run.processes):
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            # Looked at with the pidfd held: the number cannot go to another process in between. Only the init's
            # two processes are killed; what they started, the kernel ends with PID 1.
            if _init_at(pid) == (run.label, run.controller) and run.orphaned:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _init_at(pid: int) -> tuple[str, ControllerIdentity] | None:
    try:
        # That of a fork fills the room it has with zeros.
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return parse_init_argv([os.fsdecode(word) for word in words])


def _owner(pid: int) -> int:
    """Its real user id; the owner of /proc/PID would be root for a process that has made a user namespace."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return -1
    return int(status.partition("\nUid:")[2].split()[0])


def _descendants(pid: int, children: dict[int, list[int]]) -> list[int]:
    found = []
    waiting = list(children.get(pid, ()))
    while waiting:
        each = waiting.pop()
        found.append(each)
        waiting += children.get(each, ())
    return found

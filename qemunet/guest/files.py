"""Files and programs as several modules of the guest part need them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qemunet.errors import HostError, MissingRequirement, install_command
from qemunet.progress import Progress

_LOCK_POLL_S = 0.05


def cache_directory() -> Path:
    """Where built things are kept: ``$XDG_CACHE_HOME/qemunet`` or ``~/.cache/qemunet``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and os.path.isabs(base) else Path.home() / ".cache") / "qemunet"


def require_program(name: str, *, package: str) -> str:
    """Path of a program.

    Raises:
        MissingRequirement: It is not there; the hint is the command that brings it.
    """
    path = shutil.which(name)
    if path is None:
        raise MissingRequirement(f"the program {name} is not installed", hint=install_command(package))
    return path


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


@contextmanager
def locked(path: Path, what: str, progress: Progress) -> Iterator[None]:
    """Hold an exclusive lock on a file between processes and threads; who waits says so.

    Args:
        path: The lock file; made if missing, never removed.
        what: What the other one is doing.
        progress: Takes the notice that this one waits.

    Raises:
        HostError: The file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise HostError(
            f"{path}: cannot be written: {error.strerror}", hint="set XDG_CACHE_HOME to a directory you can write to"
        ) from error
    try:
        if not _try_lock(handle):
            with progress.step(f"another process is {what}; waiting for it"):
                while not _try_lock(handle):
                    time.sleep(_LOCK_POLL_S)  # a blocking flock could not be interrupted in a thread
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

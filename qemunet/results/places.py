"""Where runs and batches are on disk, and how the index of a batch is read beside whoever writes it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INDEX = "index.sqlite"
"""The index of a batch, which makes a directory one."""

DEEPEST = 4
"""Levels below a directory at which its runs and batches are looked for."""

_BUSY_S = 30.0


def runs_and_batches(path: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """The directories of runs and of batches at or below a path, in order of their names and numbers.

    The runs of a batch are the batch's. A batch below the path may have plain runs beside its own, of an experiment with
    its name. A directory that cannot be listed has none.
    """
    if (path / INDEX).is_file() or (path / "run.json").is_file():
        yield path
        return
    try:
        entries = sorted((entry for entry in path.iterdir() if entry.is_dir() and not entry.is_symlink()), key=_order)
    except OSError:
        return
    if depth:
        for entry in entries:
            yield from runs_and_batches(entry, depth - 1)
            if (entry / INDEX).is_file():
                yield from (run for run in plain_runs(entry) if (run / "run.json").is_file())


def plain_runs(directory: Path) -> list[Path]:
    """The directories of `qemunet run` right in a directory, in order of their numbers; a batch's own are a level below."""
    try:
        return sorted((entry for entry in directory.iterdir() if entry.name.isdecimal() and entry.is_dir()), key=_order)
    except OSError:
        return []


def _order(path: Path) -> tuple[int, int, str]:
    return (1, int(path.name), "") if path.name.isdecimal() else (0, 0, path.name)


@contextmanager
def reading(index: Path) -> Iterator[sqlite3.Connection]:
    """An index to read from: all that is read is of one instant.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    connection = connect_read_only(index)
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def connect_read_only(index: Path) -> sqlite3.Connection:
    """Open an index to read from it.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    # Without a -wal file nobody writes, and a reader need not write either; one beside a writer shares its -shm file.
    log = index.with_name(f"{INDEX}-wal")
    written = log.exists()
    try:
        return _connect(index, "mode=ro" if written else "mode=ro&immutable=1")
    except sqlite3.OperationalError as error:
        # A medium that is read only has no room for the -shm file, and nobody writes there. Nor has a full disk, where all
        # is in the index if the log is empty.
        no_room = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR and not log.stat().st_size
        read_only = error.sqlite_errorcode in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        if not written or not (read_only or no_room):
            raise
    return _connect(index, "mode=ro&immutable=1")


def _connect(index: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{index.absolute().as_uri()}?{mode}", uri=True, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def pilots_of(meta: Mapping[str, str]) -> dict[str, int]:
    """The metric of a batch's stopping rule, and how many runs of each point are its pilot (see ``summarize``)."""
    try:
        repeat: Any = json.loads(meta.get("repeat", "null"))
        return {str(repeat["until"]["metric"]): max(2, int(repeat["minimum"]))}
    except (ValueError, KeyError, TypeError):
        return {}

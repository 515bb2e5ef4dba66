"""The index of a batch: an SQLite file with every planned run, every attempt at it, and why it ended.

One process writes it, the one that holds the batch's lock; others may read meanwhile (WAL). What it says is true at any
instant, also after ``kill -9`` and on a full disk: a change is one transaction, and an attempt is written down before it
begins. Paths in it are relative to the batch directory.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qemunet.batch.model import PlannedRun
from qemunet.errors import HostError, InputError
from qemunet.results.places import INDEX, connect_read_only

LOCK = "index.lock"
SCHEMA = 1

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE points(point INTEGER PRIMARY KEY, parameters TEXT);
CREATE TABLE runs(run INTEGER PRIMARY KEY, point INTEGER, repetition INTEGER, seed INTEGER, position INTEGER,
                  state TEXT, attempt INTEGER NULL);
CREATE TABLE attempts(run INTEGER, attempt INTEGER, directory TEXT NULL, status TEXT, verdict TEXT NULL, why TEXT,
                      exit_status INTEGER NULL, started TEXT, ended TEXT NULL, executor TEXT, metrics TEXT NULL,
                      fidelity TEXT NULL, error TEXT NULL, PRIMARY KEY(run, attempt));
CREATE INDEX runs_of_point ON runs(point);
"""

_BUSY_S = 30.0
_ROOM_BYTES = 4 * 2**20


@dataclass(frozen=True)
class AttemptRow:
    """An attempt at a run, as the index has it.

    Attributes:
        run: The run's number.
        attempt: Which attempt at it, from 1.
        directory: The run directory, relative to the batch directory, or None.
        status: ``running``; as in run.json; ``cut`` (the batch or a worker died in it) or ``lost`` (it left no result).
        verdict: As in run.json.
        why: Why it ended, in one line.
        exit_status: Of its process, if it is known.
        started, ended: ISO 8601, UTC.
        executor: What ran it.
        metrics, fidelity, error: As in run.json.
    """

    run: int
    attempt: int
    directory: str | None
    status: str
    verdict: str | None = None
    why: str = ""
    exit_status: int | None = None
    started: str = ""
    ended: str | None = None
    executor: str = ""
    metrics: Mapping[str, Any] | None = None
    fidelity: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None


_COLUMNS = tuple(AttemptRow.__dataclass_fields__)
_JSON = ("metrics", "fidelity", "error")


class Index:
    """The index while a batch writes it, or somebody reads it. Made by ``create_index`` and ``open_index``.

    Every method raises a HostError if the file cannot be read or written; the index is then as it was before.
    """

    def __init__(self, directory: Path, connection: sqlite3.Connection) -> None:
        self.directory = directory
        self._connection = connection

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    @property
    def meta(self) -> dict[str, str]:
        """What the whole batch is: see the README."""
        return dict(self._read("SELECT key, value FROM meta"))

    @property
    def points(self) -> dict[int, dict[str, str]]:
        """The parameters of each point, as text."""
        return {point: json.loads(text) for point, text in self._read("SELECT point, parameters FROM points")}

    def runs(self, *, state: str | None = None, point: int | None = None) -> list[PlannedRun]:
        """The runs, all or those of a state or of a point, in their order."""
        rows = self._read(
            "SELECT run, runs.point, repetition, seed, position, parameters FROM runs JOIN points USING (point)"
            " WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR runs.point = ?2) ORDER BY position, run",
            (state, point),
        )
        return [
            PlannedRun(run, number, repetition, seed, position, json.loads(text))
            for run, number, repetition, seed, position, text in rows
        ]

    def attempts(self, run: int | None = None) -> list[AttemptRow]:
        """All attempts, or those at a run, in order."""
        rows = self._read(
            f"SELECT {', '.join(_COLUMNS)} FROM attempts WHERE ?1 IS NULL OR run = ?1 ORDER BY run, attempt",
            (run,),
        )
        return [_attempt(row) for row in rows]

    def counted(self, *, point: int | None = None) -> list[AttemptRow]:
        """The counted attempt of each run that is done, of all points or of one, in the order of repetitions."""
        columns = ", ".join(f"attempts.{name}" for name in _COLUMNS)
        rows = self._read(
            f"SELECT {columns} FROM runs JOIN attempts USING (run, attempt)"
            " WHERE state = 'done' AND (?1 IS NULL OR point = ?1) ORDER BY point, repetition",
            (point,),
        )
        return [_attempt(row) for row in rows]

    def states(self) -> Counter[str]:
        """How many runs are in each state."""
        return Counter(dict(self._read("SELECT state, count(*) FROM runs GROUP BY state")))

    def statuses(self) -> Counter[str]:
        """How many runs are done with each status of their counted attempt."""
        query = (
            "SELECT status, count(*) FROM runs JOIN attempts USING (run, attempt) WHERE state = 'done' GROUP BY status"
        )
        return Counter(dict(self._read(query)))

    def experiment_errors(self) -> int:
        """How many runs are done with an error of the experiment itself."""
        query = (
            "SELECT count(*) FROM runs JOIN attempts USING (run, attempt) WHERE state = 'done' AND status = 'error'"
            " AND json_extract(error, '$.layer') = 'experiment'"
        )
        return int(self._read(query)[0][0])

    def durations_s(self) -> list[float]:
        """How long each attempt took that ended by itself, in seconds."""
        rows = self._read(
            "SELECT (julianday(ended) - julianday(started)) * 86400 FROM attempts"
            " WHERE ended IS NOT NULL AND status NOT IN ('running', 'cut')"
        )
        return [float(seconds) for (seconds,) in rows]

    def add_runs(self, runs: Iterable[PlannedRun]) -> None:
        """Plan further runs."""
        with self._change() as cursor:
            _insert_runs(cursor, runs)

    def begin(self, run: int, *, executor: str) -> int:
        """Write down that an attempt at a run begins; returns its number."""
        with self._change() as cursor:
            (attempt,) = cursor.execute(
                "SELECT coalesce(max(attempt), 0) + 1 FROM attempts WHERE run = ?", (run,)
            ).fetchone()
            _insert_attempt(cursor, AttemptRow(run, attempt, None, "running", started=now(), executor=executor))
            cursor.execute("UPDATE runs SET state = 'running' WHERE run = ?", (run,))
        return int(attempt)

    def end(self, row: AttemptRow, *, state: str | None) -> None:
        """Write down how an attempt ended, whether it was known before or not.

        Args:
            row: The attempt; without ``started`` it keeps what was written when it began.
            state: Of its run from now on: ``done`` (this attempt counts), ``planned``, or None for no change.
        """
        with self._change() as cursor:
            before = cursor.execute(
                "SELECT started FROM attempts WHERE run = ? AND attempt = ?", (row.run, row.attempt)
            ).fetchone()
            started = row.started or (before[0] if before else "") or now()
            _insert_attempt(cursor, AttemptRow(**{**vars(row), "started": started}))
            if state is not None:
                counted = row.attempt if state == "done" else None
                cursor.execute("UPDATE runs SET state = ?, attempt = ? WHERE run = ?", (state, counted, row.run))

    def set_state(self, run: int, state: str, *, attempt: int | None = None) -> None:
        """Set a run's state, and the attempt that counts."""
        with self._change() as cursor:
            cursor.execute("UPDATE runs SET state = ?, attempt = ? WHERE run = ?", (state, attempt, run))

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with _as_host_error(self.directory):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Cursor]:
        """One transaction."""
        with _as_host_error(self.directory):
            cursor = self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled it back already
                    cursor.execute("ROLLBACK")
                raise


def create_index(
    directory: Path, meta: Mapping[str, str], points: Mapping[int, Mapping[str, str]], runs: Iterable[PlannedRun]
) -> Index:
    """Write the index of a new batch, whole or not at all; the lock must be held.

    Raises:
        HostError: it cannot be written.
    """
    for suffix in ("", "-wal", "-shm", "-journal"):
        (directory / f"{INDEX}{suffix}").unlink(missing_ok=True)
    with _as_host_error(directory):
        index = Index(directory, _connect(directory))
        try:
            with index._change() as cursor:
                for statement in filter(str.strip, TABLES.split(";")):
                    cursor.execute(statement)
                cursor.executemany("INSERT INTO meta VALUES (?, ?)", {"schema": str(SCHEMA), **meta}.items())
                lines = [(point, json.dumps(dict(parameters))) for point, parameters in points.items()]
                cursor.executemany("INSERT INTO points VALUES (?, ?)", lines)
                _insert_runs(cursor, runs)
        except BaseException:
            index.close()
            raise
    return index


def open_index(directory: Path, *, read_only: bool = False) -> Index | None:
    """Open a batch's index; None if there is none yet (the batch was stopped before it was planned).

    Args:
        directory: The batch directory.
        read_only: Only to read, beside whoever writes; nothing is written.

    Raises:
        HostError: it cannot be read, or is of another version.
    """
    if not (directory / INDEX).exists():
        return None
    with _as_host_error(directory):
        connection = connect_read_only(directory / INDEX) if read_only else _connect(directory)
        index = Index(directory, connection)
        try:
            if not index._read("SELECT 1 FROM sqlite_master WHERE name = 'runs'"):
                index.close()
                return None
            schema = index.meta.get("schema")
        except BaseException:
            index.close()
            raise
    if schema != str(SCHEMA):
        index.close()
        raise HostError(
            f"{directory / INDEX} has schema {schema}, this qemunet knows {SCHEMA}",
            hint="use the version of qemunet that made it (batch.json)",
        )
    return index


@contextmanager
def batch_lock(directory: Path) -> Iterator[None]:
    """Hold a batch directory for this process alone.

    Raises:
        InputError: another process holds it.
        HostError: the lock file cannot be written.
    """
    try:
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HostError(f"{directory / LOCK} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise InputError(
                f"{directory} is in use by process {holder or 'unknown'}, another `qemunet batch`",
                hint="wait for its end; `qemunet results` may read meanwhile",
            ) from None
        # Overwritten, never truncated first: whoever reads it meanwhile sees a number. A full disk leaves the old one.
        with suppress(OSError):
            os.pwrite(descriptor, f"{os.getpid():<15}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def check_room(directory: Path) -> None:
    """Whether the disk takes the next run directory.

    Raises:
        HostError: it does not.
    """
    probe = directory / ".room"
    try:
        descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _ROOM_BYTES)
        finally:
            os.close(descriptor)
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise HostError(
            f"{directory} has no room for another run ({_ROOM_BYTES >> 20} MiB): {error.strerror}",
            hint="make room, then go on with the same command and --resume",
        ) from error


def now() -> str:
    """The time as the index and run.json write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _connect(directory: Path) -> sqlite3.Connection:
    file = (directory / INDEX).absolute()
    connection = sqlite3.connect(f"{file.as_uri()}?mode=rwc", uri=True, timeout=_BUSY_S, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    # After a power cut the last lines may be missing, and nothing else: their directories are adopted.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


@contextmanager
def _as_host_error(directory: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HostError(
            f"{directory / INDEX}: {reason}",
            hint="if the disk is full make room, then go on with the same command and --resume",
        ) from error


def _insert_runs(cursor: sqlite3.Cursor, runs: Iterable[PlannedRun]) -> None:
    cursor.executemany(
        "INSERT INTO runs VALUES (?, ?, ?, ?, ?, 'planned', NULL)",
        [(run.run, run.point, run.repetition, run.seed, run.position) for run in runs],
    )


def _insert_attempt(cursor: sqlite3.Cursor, row: AttemptRow) -> None:
    values = [json.dumps(value) if name in _JSON and value is not None else value for name, value in vars(row).items()]
    places = ", ".join("?" * len(_COLUMNS))
    cursor.execute(f"INSERT OR REPLACE INTO attempts ({', '.join(_COLUMNS)}) VALUES ({places})", values)


def _attempt(row: Sequence[Any]) -> AttemptRow:
    values = dict(zip(_COLUMNS, row, strict=True))
    return AttemptRow(
        **{name: json.loads(value) if name in _JSON and value is not None else value for name, value in values.items()}
    )

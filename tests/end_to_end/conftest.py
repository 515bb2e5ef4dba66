"""Runs `qemunet` as a user does, and looks from outside at what a run leaves on the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
QEMUNET = [sys.executable, "-m", "qemunet.cli.main"]
DEADLINE_S = 240


MARK = "QEMUNET_TEST_RUN"
"""Variable in the environment of all that a test starts; whatever still has it was left behind by that test."""


@dataclass(frozen=True)
class Footprint:
    """What is on the machine and could be a run's, seen from outside."""

    processes: frozenset[int]
    mounts: frozenset[str]
    links: frozenset[str]
    unix_paths: frozenset[str]


def footprint(mark: str) -> Footprint:
    return Footprint(
        frozenset(marked_processes(mark)),
        frozenset(Path("/proc/self/mountinfo").read_text().splitlines()),
        frozenset(os.listdir("/sys/class/net")),
        frozenset(line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if "qemunet" in line),
    )


def marked_processes(mark: str) -> Iterator[int]:
    word = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and word in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
        except OSError:
            continue  # it has ended


def namespaces(processes: Iterable[int] | None = None) -> set[str]:
    """Namespaces of some processes, or of all on the machine."""
    found = set()
    for entry in Path("/proc").iterdir() if processes is None else [Path(f"/proc/{pid}") for pid in processes]:
        for kind in ("net", "pid", "mnt", "uts", "user"):
            try:
                found.add(os.readlink(entry / "ns" / kind))
            except OSError:
                continue
    return found


class Bench:
    """A place to run qemunet in, with its own runs directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runs = directory / "runs"
        self.mark = str(directory)
        self.before = footprint(self.mark)

    def command(self, *words: str | Path) -> list[str]:
        return [*QEMUNET, *map(str, words)]

    def qemunet(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            cwd=self.directory,
            check=False,
            env={**os.environ, MARK: self.mark},
        )

    def run(
        self, topology: str | Path, experiment: str | Path, *words: str
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        """Run with --json; the record is what standard output holds, and nothing else."""
        done = self.qemunet("run", topology, experiment, "--json", "--runs-dir", self.runs, *words)
        try:
            record = json.loads(done.stdout)
        except ValueError:
            pytest.fail(f"standard output is not run.json:\n{done.stdout}\n{done.stderr}")
        return done, record

    def start(self, topology: Path, experiment: Path, *words: str) -> subprocess.Popen[str]:
        return self.start_words("run", topology, experiment, "--runs-dir", self.runs, *words)

    def start_words(self, *words: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.directory,
            start_new_session=True,
            env={**os.environ, MARK: self.mark},
        )

    def file(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        return path

    def assert_nothing_left(self) -> None:
        """Wait until the machine looks as before the run; processes of others may come and go meanwhile."""

        def left() -> Footprint:
            now = footprint(self.mark)
            return Footprint(
                now.processes - self.before.processes,
                now.mounts - self.before.mounts,
                now.links - self.before.links,
                now.unix_paths - self.before.unix_paths,
            )

        wait_for(lambda: not any(vars(left()).values()), lambda: f"left behind: {left()}", deadline_s=20)


def wait_for(condition: Callable[[], bool], describe: Callable[[], str], *, deadline_s: float = DEADLINE_S) -> None:
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            pytest.fail(describe())
        time.sleep(0.02)  # between two looks at a condition, not instead of one


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.assert_nothing_left()

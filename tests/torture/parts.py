"""The parts of the torture: each is some runs of ``qemunet run`` whose records must be clean."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qemunet.guest.files import atomic_write
from qemunet.progress import PlainProgress
from tests.qemu.debian_guest import debian_guest
from tests.torture.cases import make_corpus
from tests.torture.footprint import changes, footprint

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

Say = Callable[[str], None]


@dataclass(frozen=True)
class Amount:
    """How much is done.

    Attributes:
        commands: In all.
        output_bytes: Of bulk outputs, in all.
        seed: Of everything.
    """

    commands: int
    output_bytes: int
    seed: int


@dataclass(frozen=True)
class Part:
    """Runs of one topology under the torture experiment.

    Attributes:
        topology: Its file.
        guests: How many guests it has.
        most_commands: A run has no more; at the end of each all its guests reboot.
        parameters: Others than the experiment's own.
        prepared: What is made before the first run, as parameters of the topology.
        untouched: The runs must not change the computer.
    """

    topology: str
    guests: int
    most_commands: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    prepared: Callable[[], Mapping[str, str]] = dict
    untouched: bool = False


_CORPUS_BYTES = 24 << 20


def _debians() -> Mapping[str, str]:
    debian = debian_guest(PlainProgress())
    corpus = debian.disk.parent / "corpus"
    if not corpus.exists():
        atomic_write(corpus, make_corpus(1, _CORPUS_BYTES))
    return {
        "arch": debian.arch,
        "kernel": str(debian.kernel),
        "initrd": str(debian.initrd),
        "disk": str(debian.disk),
        "append": debian.append,
        "password": debian.password,
        "corpus": str(corpus),
        "corpus_in_guest": "/dev/vdb",
    }


PARTS: Mapping[str, Part] = {
    "containers": Part("containers.txt", 10, 5000, {"noise": "no", "late_s": "1", "hang_s": "180"}, untouched=True),
    "machines": Part("machines.txt", 4, 1000),
    "foreign": Part("foreign.txt", 2, 500, {"second": "no", "late_s": "6"}, prepared=_debians),
}


def torture(name: str, amount: Amount, runs: Path, say: Say, guests: int | None = None) -> list[dict[str, Any]]:
    """Do a part; returns the records of its runs, in order, and ends at the first that is not clean.

    Args:
        name: Of the part.
        amount: How much is done.
        runs: Where run directories are made; that of a clean run is removed.
        say: Told what is to be said after each run.
        guests: How many there are; the part's own number if None.
    """
    part = PARTS[name]
    count = -(-amount.commands // part.most_commands)
    parameters = {"guests": str(guests or part.guests), **part.parameters, **part.prepared()}
    parameters |= {"commands": str(amount.commands // count), "bytes": str(amount.output_bytes // count)}
    records = []
    for index in range(count):
        record = run(part.topology, "torture.py", parameters, amount.seed + index, runs, untouched=part.untouched)
        records.append(record)
        metrics = record["metrics"]
        shown = {key: value for key, value in metrics.items() if key != "kinds"}
        say(f"{name} {index + 1} of {count}: {shown}")
        if not clean(record):
            break
        discard(record)
    return records


def clean(record: Mapping[str, Any]) -> bool:
    """Whether a run was as it should be; how well the computer kept time is not the question."""
    return record["verdict"] == "passed" and not record["touched"]


def run(
    topology: str, experiment: str, parameters: Mapping[str, str], seed: int, runs: Path, *, untouched: bool = False
) -> dict[str, Any]:
    """Run an experiment on a terminal of its own; returns its record, with what it ``touched`` of the computer."""
    words = [f"{HERE}/topologies/{topology}", f"{HERE}/{experiment}", "--json", f"--seed={seed}", f"--runs-dir={runs}"]
    words += [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]
    master, terminal = pty.openpty()
    try:
        before = footprint(terminal) if untouched else {}
        done = subprocess.run(
            ["setsid", "-c", sys.executable, "-m", "qemunet.cli.main", "run", *words],
            stdin=terminal,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
        record: dict[str, Any] = json.loads(done.stdout)
        record["touched"] = changes(before, footprint(terminal)) if untouched else []
    finally:
        os.close(master)
        os.close(terminal)
    return record


def discard(record: Mapping[str, Any]) -> None:
    """Remove the directory of a run that was as it should be."""
    shutil.rmtree(record["directory"])

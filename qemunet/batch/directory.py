"""The batch directory: its files beside the index, what must hold before a batch begins or goes on."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from qemunet import __version__
from qemunet.batch.index import LOCK, Index, create_index, now
from qemunet.batch.model import Sweep
from qemunet.batch.schedule import plan_runs
from qemunet.errors import HostError, InputError
from qemunet.experiment import load_experiment, split_parameters
from qemunet.plan import make_plan
from qemunet.results.places import INDEX, plain_runs
from qemunet.results.record import to_json, write_whole
from qemunet.topology import declared_parameters, read_topology, source_directory

SWEEP, BATCH = "sweep.yaml", "batch.json"

PLANS, PLANS_S = 100, 10.0
"""Of many different topologies so many are planned before a batch begins, and more for so many seconds."""


def refuse_foreign(directory: Path) -> None:
    """A directory that is there must be a batch, or the beginning of one.

    Runs of an experiment with the sweep's name may have made it: first_look.py and first_look.yaml go together.
    """
    ours = {SWEEP, BATCH, LOCK, *(f"{INDEX}{suffix}" for suffix in ("", "-wal", "-shm", "-journal"))}
    ours |= {run.name for run in plain_runs(directory)}
    others = sorted(entry.name for entry in directory.iterdir() if entry.name not in ours and entry.name[0] != ".")
    if others and not (directory / INDEX).exists():
        raise InputError(
            f"{directory} is there and is no batch: it has {', '.join(others[:3])}",
            hint="choose another place with --runs-dir, or another name for the sweep file",
        )


def refuse_changed(directory: Path, index: Index, path: Path, sweep: Sweep, *, say: Callable[[str], None]) -> None:
    """A batch that goes on must be the one that was begun.

    Raises:
        InputError: the sweep file says something else by now; the message names what.
    """
    meta = index.meta
    changes = []
    if sha256(path.read_bytes()).hexdigest() != meta["sweep_sha256"]:
        changes = _changes(_load(directory / SWEEP), _load(path))
    for name, now_is in (("topology", sweep.topology), ("experiment", str(sweep.experiment))):
        if meta[name] != now_is and not any(change.startswith(f"{name}:") for change in changes):
            changes.append(f"{name}: was {meta[name]}, is {now_is}")
    if changes:
        raise InputError(
            f"{path} is not what {directory} was begun with: {'; '.join(changes)}",
            hint="put it back, or begin another batch: another --runs-dir, or another name for the sweep file",
        )
    try:
        before = json.loads((directory / BATCH).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError):
        return
    for name, source in _sources(path, sweep).items():
        if name != "sweep" and before.get(name) != _digest(source):
            say(f"warning: {source} has changed since the batch began; earlier runs used what it was")


def check_inputs(sweep: Sweep, points: Mapping[int, Mapping[str, str]]) -> None:
    """Whether runs could begin: the experiment loads, parameters are declared, topologies can be planned.

    Of very many different topologies that the points make, the first ones are planned: ``PLANS``, and more for ``PLANS_S``.

    Raises:
        InputError: as ``qemunet run`` would raise it, with the point in the hint.
    """
    experiment = load_experiment(sweep.experiment)
    declared = declared_parameters(sweep.topology)
    planned: set[tuple[tuple[str, str], ...]] = set()
    end_s = time.monotonic() + PLANS_S
    for point, parameters in points.items():
        try:
            overrides, _ = split_parameters(parameters, declared, experiment.parameters, sweep.places)
            key = tuple(sorted(overrides.items()))
            if key not in planned and (len(planned) < PLANS or time.monotonic() < end_s):
                planned.add(key)
                topology = read_topology(sweep.topology, parameters=overrides)
                make_plan(topology, seed=1, source_directory=source_directory(sweep.topology))
        except InputError as error:
            if parameters:
                values = ", ".join(f"{name}={text}" for name, text in parameters.items())
                error.hint = f"seen with point {point} ({values}); {error.hint or 'correct it, or exclude the point'}"
            raise


def begin(directory: Path, path: Path, sweep: Sweep, points: Mapping[int, Mapping[str, str]]) -> Index:
    """Write the files of a new batch; the index, which says that it is there, comes last.

    Raises:
        HostError: they cannot be written.
    """
    source = path.read_bytes()
    try:
        write_whole(directory / SWEEP, source.decode("utf-8"))
        write_whole(directory / BATCH, to_json(_description(path, sweep)))
    except OSError as error:
        raise HostError(
            f"{directory} cannot be written: {error.strerror}", hint="make room, or name another place with --runs-dir"
        ) from error
    meta = {
        "sweep_sha256": sha256(source).hexdigest(),
        "name": directory.name,
        "seed": str(sweep.seed),
        "created": now(),
        "parameters": json.dumps(list(sweep.names)),
        "topology": sweep.topology,
        "experiment": str(sweep.experiment),
        "repeat": json.dumps(asdict(sweep.repeat)),
    }
    return create_index(directory, meta, points, plan_runs(sweep, points))


def _description(path: Path, sweep: Sweep) -> dict[str, Any]:
    """What batch.json holds: where the batch came from."""
    sources = _sources(path, sweep)
    return {
        "schema": 1,
        "qemunet": __version__,
        "sources": {name: str(source) for name, source in sources.items()},
        "sha256": {name: _digest(source) for name, source in sources.items()},
        "host": {"name": platform.node(), "kernel": platform.release(), "machine": platform.machine()},
        "python": platform.python_version(),
        "created": now(),
    }


def _sources(path: Path, sweep: Sweep) -> dict[str, str | Path]:
    return {"sweep": path.resolve(), "topology": sweep.topology, "experiment": sweep.experiment}


def _digest(source: str | Path) -> str | None:
    """SHA-256 of a file; None for what is none, such as a topology of topohub."""
    try:
        return sha256(Path(source).read_bytes()).hexdigest()
    except OSError:
        return None


def _load(path: Path) -> dict[str, Any]:
    import yaml

    # Text for every scalar, so that 1.0 and 1 differ as they do in the file.
    loaded = yaml.load(path.read_bytes(), yaml.BaseLoader)
    return loaded if isinstance(loaded, dict) else {}


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], place: str = "") -> list[str]:
    """What two sweep files say differently; comments and layout do not count, the order of names does."""
    changes = []
    for name in dict.fromkeys([*before, *after]):
        where = f"{place}{name}"
        old, new = before.get(name), after.get(name)
        if name not in after:
            changes.append(f"{where}: was {_short(old)}, is gone")
        elif name not in before:
            changes.append(f"{where}: is new, {_short(new)}")
        elif isinstance(old, dict) and isinstance(new, dict):
            changes += _changes(old, new, f"{where}.")
        elif old != new:
            changes.append(f"{where}: was {_short(old)}, is {_short(new)}")
    if not changes and list(before) != list(after) and place == "parameters.":
        changes.append(f"{place.removesuffix('.')}: their order was {', '.join(before)}, is {', '.join(after)}")
    return changes


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""What a path holds: a run, a batch, or several of them to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from qemunet.errors import InputError
from qemunet.results.places import INDEX, runs_and_batches

_MOST_NAMED = 8


def kind_of(path: Path) -> Literal["run", "batch"]:
    """Return what a directory is.

    Raises:
        InputError: it is neither; the message names what is below it.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such directory", hint="name the directory of a run or a batch")
    if not path.is_dir():
        if path.name in ("run.json", INDEX):
            raise InputError(f"{path} is a file", hint=f"name its directory: {path.parent}")
        raise InputError(f"{path} is a file", hint="name the directory of a run or a batch")
    if (path / INDEX).is_file():
        return "batch"
    if (path / "run.json").is_file():
        return "run"
    found = list(runs_and_batches(path))
    if not found:
        raise InputError(
            f"{path} holds neither a run (run.json) nor a batch ({INDEX})",
            hint="runs are in runs/EXPERIMENT/NUMBER; qemunet run says where it writes",
        )
    count = f"{len(found)} runs and batches" if len(found) > 1 else "a run or a batch"
    named = "\n".join(f"  {each} ({'batch' if (each / INDEX).is_file() else 'run'})" for each in found[-_MOST_NAMED:])
    more = f"\n  … and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    raise InputError(
        f"{path} is neither a run nor a batch, it holds {count}:\n{named}{more}",
        hint=f"a report is of one of them: qemunet report {found[-1]}",
    )

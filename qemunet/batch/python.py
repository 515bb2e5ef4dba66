"""``qemunet.batch(...)``: a batch from a Python program or a notebook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from qemunet.errors import HostError, InputError, QemunetError

if TYPE_CHECKING:
    import pandas as pd

_ENDS_WITH_RESULTS = {0, 1, 4, 5}
_ERROR = ("qemunet: ", "qemunet batch: error: ")
"""What the lines begin with by which a process says why it ends."""
_MOST_SAID = 1000
_ERRORS: Mapping[int, type[QemunetError]] = {2: InputError}


def batch(
    sweep: str | os.PathLike[str] | Mapping[str, Any],
    *,
    jobs: int | Literal["auto"] | None = None,
    runs_dir: str | os.PathLike[str] = "runs",
    resume: bool = False,
    dask: str | None = None,
    cold: bool = False,
    name: str = "batch",
) -> pd.DataFrame:
    """Run a batch to its end, as ``qemunet batch`` does, and return its results.

    The batch is a process of its own, so an event loop that runs here, as in a notebook, is not touched. Its progress
    goes to standard error. An interrupt ends it in order; it can be resumed.

    Args:
        sweep: The sweep file, or what would stand in it; its paths are then relative to the working directory.
        jobs: How many runs at a time; ``auto``: as many as fit; None: what the sweep says, else 1.
        runs_dir: Where the batch directory goes.
        resume: Go on with a batch that was stopped.
        dask: Address of a Dask scheduler whose workers execute the runs.
        cold: Start each run anew, and not from a warm template.
        name: Of the batch directory, where ``sweep`` is no file.

    Returns:
        One row a run, with its counted result: run, point, repetition, a column for each parameter and each metric,
        status, verdict, seed, directory, attempts. A metric that has the name of a column before it is ``metric.NAME``.

    Raises:
        InputError: the sweep cannot be used, or its batch is there already.
        HostError: runs cannot be started here.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise InputError(f"{name!r} is no name of a batch directory", hint="say by runs_dir where it goes")
    with tempfile.TemporaryDirectory(prefix="qemunet-sweep-") as directory:
        file = _written(sweep, Path(directory) / f"{name}.yaml") if isinstance(sweep, Mapping) else Path(sweep)
        words = ["batch", str(file), "--json", "--runs-dir", str(runs_dir)]
        words += [] if jobs is None else ["--jobs", str(jobs)]
        words += [] if dask is None else ["--dask", dask]
        words += ["--resume"] * resume + ["--cold"] * cold
        results = _run(words)
    from qemunet.results.frames import frame_of

    return frame_of(results)


def _written(sweep: Mapping[str, Any], file: Path) -> Path:
    import yaml

    text = dict(sweep)
    for key in ("topology", "experiment"):
        # A source such as topohub:GROUP/NAME is no path.
        if Path(str(text.get(key, ""))).is_file():
            text[key] = os.path.abspath(text[key])
    try:
        file.write_text(yaml.safe_dump(_plain(text), sort_keys=False), encoding="utf-8")
    except yaml.YAMLError as error:
        raise InputError(
            f"the sweep cannot be written as YAML: {error}", hint="use numbers, texts and lists"
        ) from error
    return file


def _plain(value: Any) -> Any:
    """What YAML has: of numpy's scalars the numbers, of paths the text, of tuples and arrays lists."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple, range)):
        return [_plain(inner) for inner in value]
    return value


def _run(words: list[str]) -> list[dict[str, Any]]:
    """Run ``qemunet WORDS`` and return what it printed; its standard error goes to ours, line by line."""
    said: list[str] = []
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "qemunet.cli.main", *words],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        assert process.stderr is not None
        with process.stderr:
            try:
                for line in process.stderr:
                    # The error comes last; it may be many lines, a mistake each.
                    if line.startswith(_ERROR):
                        said = []
                    said = [*said[-_MOST_SAID:], line.rstrip("\n")]
                    print(line, end="", file=sys.stderr)
                process.wait()
            except BaseException:
                process.send_signal(signal.SIGINT)
                for line in process.stderr:
                    print(line, end="", file=sys.stderr)
                process.wait()
                raise
        printed.seek(0)
        text = printed.read()
    if process.returncode not in _ENDS_WITH_RESULTS or not text:
        _fail(process.returncode, said)
    results: list[dict[str, Any]] = json.loads(text)
    return results


def _fail(status: int, said: list[str]) -> NoReturn:
    """Raise what the process has said when it ended."""
    if status == 130:
        raise KeyboardInterrupt
    begin = max((number for number, line in enumerate(said) if line.startswith(_ERROR)), default=len(said))
    lines = [line for line in said[begin:] if line]
    hint = next((line.partition("hint: ")[2] for line in lines if "  hint: " in line), None)
    message = "\n".join(line for line in lines if "  hint: " not in line).removeprefix("qemunet batch: error: ")
    message = message.removeprefix("qemunet: ")
    message = message.partition(": ")[2] or message or f"the batch ended with status {status}"
    raise _ERRORS.get(status, HostError)(message, hint=hint)

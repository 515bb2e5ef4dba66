"""``qemunet run TOPOLOGY EXPERIMENT``: the main job."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from qemunet.cli.main import EXIT_BY_LAYER, add_topology_arguments, show_error
from qemunet.errors import QemunetError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_topology_arguments(parser)
    parser.add_argument("experiment", metavar="EXPERIMENT", type=Path, help="experiment script (*.py)")
    parser.add_argument(
        "--runs-dir", type=Path, default=Path("runs"), metavar="DIR", help="where runs go (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=None, metavar="N", help="of every random stream (option seed, else 1)"
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=None, metavar="S", help="end the run after S seconds as failed"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the network running after the experiment until Ctrl-C"
    )
    parser.add_argument("--json", action="store_true", help="print run.json's content and nothing else")
    # What a batch tells its runs: which one it is, and the descriptor of a pipe that ends when the batch is gone.
    for name in ("--batch-run", "--batch-attempt", "--batch-pipe"):
        parser.add_argument(name, type=int, default=None, help=argparse.SUPPRESS)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def execute(arguments: argparse.Namespace) -> int:
    """Run; standard output gets the result, whatever the experiment prints itself goes to standard error."""
    with standard_output_kept() as results:
        return _execute(arguments, results)


@contextmanager
def standard_output_kept() -> Iterator[TextIO]:
    """Standard output for the result alone; until the end, descriptor 1 is another name of standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with open(kept, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as results:
            yield results
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _execute(arguments: argparse.Namespace, results: TextIO) -> int:
    from qemunet.progress import open_progress
    from qemunet.results.record import to_json
    from qemunet.run import RunRequest, run_experiment

    if arguments.batch_pipe is not None:
        from qemunet.signals import end_with_pipe

        end_with_pipe(arguments.batch_pipe)
    of_batch = arguments.batch_run is not None
    request = RunRequest(
        topology=arguments.topology,
        experiment=arguments.experiment,
        parameters=dict(arguments.parameters),
        runs=arguments.runs_dir,
        seed=arguments.seed,
        timeout_s=arguments.timeout,
        keep=arguments.keep,
        batch={"run": arguments.batch_run, "attempt": arguments.batch_attempt or 1} if of_batch else None,
    )
    progress = open_progress()
    try:
        outcome = run_experiment(request, progress=progress)
    except QemunetError as error:
        # The run never began: there is no directory, but a program that reads standard output gets the same shape.
        if arguments.json and not arguments.debug:
            problem = {"layer": error.layer, "type": type(error).__name__, "message": error.message, "hint": error.hint}
            record = {"status": "error", "verdict": None, "directory": None, "error": problem}
            print(to_json(record), end="", file=results)
            progress.close()
            show_error(error)
            return EXIT_BY_LAYER[error.layer]
        raise
    finally:
        progress.close()
    if arguments.debug and outcome.error is not None:
        import traceback

        traceback.print_exception(outcome.error, file=sys.stderr)
    problem = outcome.record["error"]
    if problem is not None:
        print(f"qemunet: {problem['layer']}: {problem['message']}", file=sys.stderr)
        if problem["hint"]:
            print(f"  hint: {problem['hint']}", file=sys.stderr)
    if arguments.json:
        print(to_json(outcome.record), end="", file=results)
    else:
        show_result(outcome.record, results)
    return outcome.exit_status


def show_result(record: Mapping[str, Any], results: TextIO) -> None:
    """The short result for a person: status, metrics, verdict, directory."""
    print(f"{record['status']}: {record['experiment']} on {record['topology']}", file=results)
    rows = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in record["metrics"].items()}
    if record["fidelity"]:
        rows["fidelity"] = record["fidelity"]["summary"]
    rows["run directory"] = os.path.relpath(record["directory"])
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"  {name:<{width}}  {value}", file=results)

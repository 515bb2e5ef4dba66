"""``qemunet run TOPOLOGY EXPERIMENT``: the main job."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def execute(arguments: argparse.Namespace) -> int:
    """Run; standard output gets the result."""
    from qemunet.progress import open_progress
    from qemunet.run import RunRequest, run_experiment

    request = RunRequest(
        topology=arguments.topology,
        experiment=arguments.experiment,
        parameters=dict(arguments.parameters),
        runs=arguments.runs_dir,
        seed=arguments.seed,
        timeout_s=arguments.timeout,
        keep=arguments.keep,
    )
    progress = open_progress()
    try:
        outcome = run_experiment(request, progress=progress)
    except QemunetError as error:
        # The run never began: there is no directory, but a program that reads standard output gets the same shape.
        if arguments.json and not arguments.debug:
            problem = {"layer": error.layer, "type": type(error).__name__, "message": error.message, "hint": error.hint}
            print(json.dumps({"status": "error", "verdict": None, "directory": None, "error": problem}, indent=2))
            progress.close()
            show_error(error)
            return EXIT_BY_LAYER[error.layer]
        raise
    finally:
        progress.close()
    if arguments.debug and outcome.error is not None:
        import traceback

        traceback.print_exception(outcome.error, file=sys.stderr)
    if arguments.json:
        print(json.dumps(outcome.record, indent=2))
    else:
        show_result(outcome.record)
    if outcome.signal is not None:
        return 128 + outcome.signal
    return outcome.exit_status


def show_result(record: Mapping[str, Any]) -> None:
    """The short result for a person: status, metrics, verdict, directory; what failed goes to standard error."""
    directory = os.path.relpath(record["directory"])
    error = record["error"]
    if error is not None:
        sys.stdout.flush()
        print(f"qemunet: {error['layer']}: {error['message']}", file=sys.stderr)
        if error["hint"]:
            print(f"  hint: {error['hint']}", file=sys.stderr)
    print(f"{record['status']}: {record['experiment']} on {record['topology']}")
    metrics = record["metrics"]
    width = max((len(name) for name in metrics), default=0)
    for name, value in metrics.items():
        print(
            f"  {name:<{max(width, 13)}}  {value:.6g}"
            if isinstance(value, float)
            else f"  {name:<{max(width, 13)}}  {value}"
        )
    fidelity = record.get("fidelity")
    if fidelity:
        print(f"  {'fidelity':<{max(width, 13)}}  {fidelity['summary']}")
    print(f"  {'run directory':<{max(width, 13)}}  {directory}")

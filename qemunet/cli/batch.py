"""``qemunet batch SWEEP.yaml``: the runs of a sweep, those that are missing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from qemunet.cli.run import standard_output_kept

if TYPE_CHECKING:
    from qemunet.batch.run import BatchOutcome, BatchRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("sweep", metavar="SWEEP.yaml", type=Path, help="sweep file")
    parser.add_argument(
        "--jobs",
        type=_jobs,
        default=None,
        metavar="N",
        help="how many runs at a time, or `auto`: as many as fit (the sweep's, else 1)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with a batch that was stopped")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be run")
    parser.add_argument("--cold", action="store_true", help="start each run anew, and not from a warm template")
    parser.add_argument("--dask", metavar="ADDRESS", default=None, help="run on the workers of a Dask scheduler")
    parser.add_argument(
        "--runs-dir", type=Path, default=Path("runs"), metavar="DIR", help="where batch directories go (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the counted runs as JSON and nothing else")


def _jobs(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of runs from 1 nor auto")
    return int(text)


def execute(arguments: argparse.Namespace) -> int:
    """Run the batch; what experiments print while they load goes to standard error."""
    from qemunet.batch.run import BatchRequest

    request = BatchRequest(
        sweep=arguments.sweep,
        runs=arguments.runs_dir,
        jobs=arguments.jobs,
        dask=arguments.dask,
        resume=arguments.resume,
        cold=arguments.cold,
    )
    with standard_output_kept() as results:
        if arguments.dry_run:
            return _dry_run(request, results, as_json=arguments.json)
        return _run(request, results, as_json=arguments.json)


def _run(request: BatchRequest, results: TextIO, *, as_json: bool) -> int:
    from qemunet.batch.run import run_batch
    from qemunet.progress import open_progress

    progress = open_progress()
    try:
        outcome = run_batch(request, progress=progress)
    finally:
        progress.close()
    if as_json:
        from qemunet.results.record import to_json
        from qemunet.results.records import read_results

        print(to_json(read_results(outcome.directory)), end="", file=results)
    else:
        _show(outcome, results)
    return outcome.exit_status


def _show(outcome: BatchOutcome, results: TextIO) -> None:
    """The short result for a person."""
    statuses = outcome.statuses
    done = sum(statuses.values())
    rows: dict[str, Any] = {"points": outcome.points, "done": f"{done} of {outcome.planned} runs"}
    rows |= {status: statuses.get(status, 0) for status in ("passed", "failed", "unfaithful", "error")}
    rows |= {status: statuses[status] for status in ("lost", "interrupted") if statuses.get(status)}
    rows["batch directory"] = os.path.relpath(outcome.directory)
    _print_rows(rows, results)


def _dry_run(request: BatchRequest, results: TextIO, *, as_json: bool) -> int:
    """Say what would be run, and how long that may take; nothing is written."""
    from qemunet.batch.run import preview
    from qemunet.results.record import to_json

    seen = preview(request)
    if as_json:
        print(to_json(vars(seen)), end="", file=results)
        return 0
    width = len(str(len(seen.points)))
    for point in seen.points:
        values = " ".join(f"{name}={text}" for name, text in point["parameters"].items())
        print(f"  {point['point']:>{width}}  {values}", file=results)
    runs = f"{seen.runs}" if seen.most_runs == seen.runs else f"{seen.runs} to {seen.most_runs}"
    rows: dict[str, Any] = {"points": len(seen.points), "runs": runs}
    if seen.done or seen.attempts:
        rows["done"] = f"{seen.done}, in {seen.attempts} attempts"
    rows["time"] = seen.estimate or "unknown: no run has ended yet"
    _print_rows(rows, results)
    return 0


def _print_rows(rows: Mapping[str, Any], results: TextIO) -> None:
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"  {name:<{width}}  {value}", file=results)

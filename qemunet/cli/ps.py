"""``qemunet ps``: the runs that are running on this machine."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def execute(arguments: argparse.Namespace) -> int:
    """List; standard output gets one line a run."""
    from qemunet.host.leftovers import running_runs

    runs = running_runs()
    if arguments.json:
        print(json.dumps([asdict(run) for run in runs], indent=2))
        return 0
    print(f"{'PID':>8} {'FOR':>9} {'PROCESSES':>9} {'MEMORY':>11}  RUN DIRECTORY")
    for run in runs:
        print(
            f"{run.controller.pid:>8} {run.running_s:>7.0f} s {len(run.processes):>9}"
            f" {run.resident_bytes / 2**20:>7.0f} MiB  {run.label}{'  (orphaned)' if run.orphaned else ''}"
        )
    return 0

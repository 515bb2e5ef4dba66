"""``qemunet clean [--dry-run]``: remove what crashed runs and builds left behind; nothing that is in use is touched."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument(
        "--runs-dir", type=Path, default=Path("runs"), metavar="DIR", help="where runs are (%(default)s)"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Remove leftovers and mark cut runs as interrupted."""
    from qemunet.guest.files import cache_directory
    from qemunet.host.leftovers import leftovers
    from qemunet.results.record import cut_runs, mark_interrupted

    count = 0
    for leftover in leftovers(cache=cache_directory()):
        count += 1
        print(f"{'would remove' if arguments.dry_run else 'removed'} {leftover.what}")
        if not arguments.dry_run:
            leftover.remove()
    for directory in cut_runs(arguments.runs_dir):
        count += 1
        print(f"{'would mark' if arguments.dry_run else 'marked'} as interrupted: {directory}")
        if not arguments.dry_run:
            mark_interrupted(directory)
    if not count:
        print("nothing to clean")
    return 0

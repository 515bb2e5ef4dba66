"""``qemunet doctor``: what this machine has, lacks, and the exact command that brings what is missing."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Look at everything; the exit status is 3 if something required is missing."""
    from qemunet.guest.files import cache_directory
    from qemunet.host.doctor import check_requirements

    requirements = check_requirements(cache=cache_directory())
    missing = [entry for entry in requirements if entry.importance == "required" and not entry.present]
    if arguments.json:
        print(json.dumps([asdict(entry) for entry in requirements], indent=2))
        return 3 if missing else 0
    for entry in requirements:
        mark = "ok" if entry.present else {"required": "MISSING", "optional": "absent"}.get(entry.importance, "note")
        print(f"{mark:<8} {entry.name:<24} {entry.detail}")
        if not entry.present:
            print(f"{'':<8} {'':<24} needed for {entry.needed_for}")
            if entry.remedy is not None:
                print(f"{'':<8} {'':<24} -> {entry.remedy}")
    print(f"{len(missing)} required things are missing" if missing else "everything that is required is here")
    return 3 if missing else 0

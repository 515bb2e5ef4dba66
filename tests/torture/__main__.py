"""The whole torture, or parts of it: ``make torture``, ``make torture COMMANDS=300 BYTES=20MB PARTS=containers``."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.torture.footprint import RUNS_PREFIX
from tests.torture.parts import PARTS, Amount, clean, torture

_UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
# Containers do so many times the commands of machines.
_CONTAINERS = 5


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]+)(|kB|MB|GB)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write one such as 20MB")
    return int(found[1]) * _UNITS[found[2]]


def _summary(name: str, records: Sequence[dict[str, Any]]) -> None:
    metrics = [record["metrics"] for record in records]
    total = Counter[str]()
    kinds = Counter[str]()
    for one in metrics:
        total.update({key: one.get(key) or 0 for key in _ADDED})
        kinds.update(one.get("kinds", {}))
    longest = max((one.get("longest_output_bytes", 0) for one in metrics), default=0)
    noops = [one["noop_ms"] for one in metrics if one.get("noop_ms")]
    print(f"\n{name}: {'clean' if all(map(clean, records)) else 'NOT CLEAN'}")
    for key in _ADDED:
        print(f"  {key:<22} {total[key]:>14,}")
    print(f"  {'longest_output_bytes':<22} {longest:>14,}")
    print(f"  {'bytes_per_s':<22} {round(total['output_bytes'] / max(total['seconds'], 1)):>14,}")
    print(f"  {'noop_ms (median)':<22} {sorted(noops)[len(noops) // 2] if noops else '-':>14}")
    print("  " + ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())))
    for record in records:
        if not clean(record):
            error = record["error"] or {}
            print(f"  seed {record['seed']}: {record['status']}: {error.get('message')}\n    {record['directory']}")
            for line in record["touched"]:
                print(f"    the computer was changed: {line}")


_ADDED = ("commands", "output_bytes", "mismatches", "errors", "hangs", "kernel_messages", "seconds")


def main() -> int:
    """Run what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.torture", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument(
        "--commands", type=int, default=10_000, help=f"(%(default)s; containers {_CONTAINERS} times it)"
    )
    parser.add_argument("--bytes", type=_size, default=2 * 10**9, help="of bulk output, such as 20MB (2GB)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    given = parser.parse_args()
    if unknown := [part for part in given.parts if part not in PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    runs = Path(tempfile.mkdtemp(prefix=RUNS_PREFIX))
    failed = False
    start_s = time.monotonic()
    for name in given.parts or PARTS:
        times = _CONTAINERS if name == "containers" else 1
        amount = Amount(given.commands * times, given.bytes, given.seed)
        records = torture(name, amount, runs, lambda text: print(text, file=sys.stderr))
        _summary(name, records)
        failed = failed or not all(map(clean, records))
    print(f"\n{time.monotonic() - start_s:.0f} s in all")
    if not failed:
        (runs / "torture").rmdir()
        runs.rmdir()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

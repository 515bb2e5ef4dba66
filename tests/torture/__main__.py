"""The whole torture, or parts of it: ``make torture``, ``make torture COMMANDS=300 BYTES=20MB PARTS=containers``."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.torture.footprint import RUNS_PREFIX
from tests.torture.killing import kill_guests
from tests.torture.parts import PARTS, Amount, clean, discard, run, torture

_UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
# What the parts do of the commands and the bytes.
_SHARES = {"containers": (5, 1), "machines": (1, 1), "foreign": (0.1, 0.05)}


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


def _torture(name: str, given: argparse.Namespace, runs: Path) -> bool:
    commands, output_bytes = _SHARES[name]
    amount = Amount(round(given.commands * commands), round(given.bytes * output_bytes), given.seed)
    records = torture(name, amount, runs, _say)
    _summary(name, records)
    return all(map(clean, records))


def _kills(kind: str, kills: int, given: argparse.Namespace, runs: Path) -> bool:
    killed = kill_guests(kind, kills, given.seed, runs, _say)
    print(f"\nkills of {kind}: {'NOT CLEAN' if killed.wrong else 'clean'}")
    print(f"  {killed.hits.total()} guests killed; how far they had come: {dict(killed.hits)}")
    print(f"  the longest time from a Task's start to its error: {killed.seconds:.1f} s")
    for wrong, directory in zip(killed.wrong, killed.directories, strict=True):
        print(f"  {wrong}\n    {directory}")
    return not killed.wrong


def _many(kind: str, given: argparse.Namespace, runs: Path) -> bool:
    record = run("many.txt", "many.py", {"kind": kind}, given.seed, runs)
    print(f"\n32 guests ({kind}): {'clean' if clean(record) else 'NOT CLEAN'}")
    print(f"  {record['metrics']}")
    if clean(record):
        discard(record)
        return True
    print(f"  {(record['error'] or {}).get('message')}\n    {record['directory']}")
    return False


def main() -> int:
    """Run what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.torture", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(_PARTS)} (all)")
    parser.add_argument(
        "--commands", type=int, default=10_000, help="(%(default)s; containers 5 times, foreign a tenth)"
    )
    parser.add_argument("--bytes", type=_size, default=2 * 10**9, help="of bulk output, such as 20MB (2GB)")
    parser.add_argument("--kills", type=int, default=160, help="of containers (%(default)s)")
    parser.add_argument("--machine-kills", type=int, default=40, help="of machines (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    given = parser.parse_args()
    if unknown := [part for part in given.parts if part not in _PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(_PARTS)}")
    runs = Path(tempfile.mkdtemp(prefix=RUNS_PREFIX))
    start_s = time.monotonic()
    well = [_PARTS[name](given, runs) for name in given.parts or _PARTS]
    print(f"\n{time.monotonic() - start_s:.0f} s in all")
    if all(well):
        shutil.rmtree(runs)
    return 0 if all(well) else 1


def _say(text: str) -> None:
    print(text, file=sys.stderr)


_PARTS: Mapping[str, Callable[[argparse.Namespace, Path], bool]] = {
    **{name: partial(_torture, name) for name in PARTS},
    "kills": lambda given, runs: all(
        [_kills("containers", given.kills, given, runs), _kills("machines", given.machine_kills, given, runs)]
    ),
    "many": lambda given, runs: all([_many("container", given, runs), _many("qemu", given, runs)]),
}


if __name__ == "__main__":
    sys.exit(main())

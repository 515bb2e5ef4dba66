"""``qemunet results PATH``: what runs and batches came to."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from qemunet.errors import HostError, InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("path", metavar="PATH", type=Path, help="a run, a batch, or a directory with several of both")
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--csv", action="store_const", dest="format", const="csv", help="as CSV")
    formats.add_argument("--parquet", action="store_const", dest="format", const="parquet", help="as Parquet")
    formats.add_argument("--json", action="store_const", dest="format", const="json", help="as JSON")
    parser.add_argument("--points", action="store_true", help="one row a point, with means and intervals")
    parser.add_argument("--where", metavar="EXPR", help="only rows for which it holds: N > 4 and status == 'passed'")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to a file (standard output)")
    parser.add_argument(
        "--confidence", type=_confidence, default=0.95, metavar="C", help="of the intervals (%(default)s)"
    )
    parser.add_argument(
        "--interval", choices=("t", "bootstrap"), default="t", help="Student's, or bootstrap (%(default)s)"
    )


def _confidence(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def execute(arguments: argparse.Namespace) -> int:
    """Print, or write, the results; how many there are, and of what kind, is always said."""
    from qemunet.results.record import to_json
    from qemunet.results.records import choose, counted, read_sources, row_of

    sources = read_sources(arguments.path)
    records = counted(sources)
    if arguments.points:
        from qemunet.results.frames import point_rows

        rows = point_rows(sources, confidence=arguments.confidence, method=arguments.interval)
    else:
        rows = [row_of(record) for record in records]
    places = choose(rows, arguments.where)
    rows = [rows[place] for place in places]
    if arguments.format == "json":
        data = to_json(rows if arguments.points else [records[place] for place in places]).encode()
    else:
        from qemunet.results import export
        from qemunet.results.frames import table

        encode = {"csv": export.to_csv, "parquet": export.to_parquet, None: export.to_text}[arguments.format]
        data = encode(table(rows))
    missing = sum(len(source.records) for source in sources) - len(records)
    counts = Counter({"passed": 0, "failed": 0, "unfaithful": 0})
    counts.update(str(record["status"]) for record in records)
    chosen = "" if arguments.where is None else f"{len(rows)} rows of "
    said = [
        f"{chosen}{len(records)} runs",
        *(f"{count} {status}" for status, count in counts.items()),
        f"{missing} missing",
    ]
    if arguments.format is None and arguments.output is None:
        data += f"{', '.join(said)}\n".encode()
    else:
        print(", ".join(said), file=sys.stderr)
    _write(data, arguments.output)
    return 0


def _write(data: bytes, path: Path | None) -> None:
    if path is None:
        if sys.stdout.isatty() and data[:4] == b"PAR1":
            raise InputError("Parquet is nothing for a terminal", hint="name a file with -o FILE")
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        raise HostError(f"{path} cannot be written: {error.strerror}", hint="name another place with -o") from error

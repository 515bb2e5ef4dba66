"""``qemunet report PATH -o report.html``: a run or a batch as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("path", metavar="PATH", type=Path, help="directory of a run or a batch")
    parser.add_argument(
        "-o", dest="target", metavar="FILE", type=Path, default=Path("report.html"), help="page to write (%(default)s)"
    )
    parser.add_argument(
        "--figures", metavar="DIR", type=Path, default=None, help="also write every figure there as an SVG file"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Write; standard output names what was written."""
    from qemunet.report import write_report

    for path in write_report(arguments.path, arguments.target, figures=arguments.figures):
        print(path)
    return 0

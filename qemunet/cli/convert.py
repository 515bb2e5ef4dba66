"""``qemunet convert IN OUT``: a topology in another format."""

from __future__ import annotations

import argparse
import sys

from qemunet.cli.main import add_topology_arguments

_STANDARD_OUTPUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from qemunet.topology.write import FORMATS

    add_topology_arguments(parser)
    parser.add_argument(
        "target", metavar="OUT", help="file to write (.txt, .yaml, .graphml, .json), or - for standard output"
    )
    parser.add_argument("--format", choices=FORMATS, help="in place of what the suffix of OUT says")


def execute(arguments: argparse.Namespace) -> int:
    """Read, write; standard output gets the text where OUT is ``-``, standard error the warnings."""
    from qemunet.topology import read_topology, write_topology

    topology = read_topology(arguments.topology, parameters=dict(arguments.parameters))
    for warning in topology.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if arguments.target == _STANDARD_OUTPUT:
        print(write_topology(topology, format=arguments.format or "text"), end="")
    else:
        write_topology(topology, arguments.target, format=arguments.format)
    return 0

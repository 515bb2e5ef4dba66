"""``qemunet draw TOPOLOGY -o FILE``: a picture of the network."""

from __future__ import annotations

import argparse
import sys

from qemunet.cli.main import add_topology_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_topology_arguments(parser)
    parser.add_argument("-o", dest="target", metavar="FILE", required=True, help="picture to write: .svg or .png")


def execute(arguments: argparse.Namespace) -> int:
    """Read and draw; standard error gets the warnings."""
    from qemunet.drawing import draw_topology
    from qemunet.topology import read_topology

    topology = read_topology(arguments.topology, parameters=dict(arguments.parameters))
    for warning in topology.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    draw_topology(topology, arguments.target)
    return 0

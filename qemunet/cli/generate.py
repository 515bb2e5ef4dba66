"""``qemunet generate SHAPE NUMBER...``: a topology of a common shape, in the text format."""

from __future__ import annotations

import argparse
from pathlib import Path

from qemunet.cli.main import parameter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from qemunet.topology.generate import SHAPES

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    lines = [f"  {name} {' '.join(shape.numbers)}" for name, shape in SHAPES.items()]
    parser.epilog = "shapes and their numbers:\n" + "\n".join(lines)
    parser.add_argument("shape", metavar="SHAPE", help=", ".join(SHAPES))
    parser.add_argument("numbers", metavar="NUMBER", type=int, nargs="*", help="how many nodes, rows, ... (see below)")
    parser.add_argument(
        "-p",
        dest="parameters",
        metavar="NAME=VALUE",
        type=parameter,
        action="append",
        default=[],
        help="default of a parameter in what is written, such as kind=qemu; may be repeated",
    )
    parser.add_argument("-o", dest="target", metavar="FILE", help="file to write, in the format of its suffix")


def execute(arguments: argparse.Namespace) -> int:
    """Generate; without ``-o`` the text goes to standard output."""
    from qemunet.errors import TopologyError
    from qemunet.topology import parse_topology, write_topology
    from qemunet.topology.generate import generate

    text = generate(arguments.shape, arguments.numbers, parameters=dict(arguments.parameters))
    topology = parse_topology(text, name=f"{arguments.shape}.txt")  # a wrong default is a mistake now
    if arguments.target is None:
        print(text, end="")
    elif Path(arguments.target).suffix.lower() == ".txt":
        try:
            Path(arguments.target).write_text(text, encoding="utf-8")
        except OSError as error:
            raise TopologyError([f"{arguments.target}: cannot be written: {error.strerror}"]) from None
    else:
        write_topology(topology, arguments.target)
    return 0

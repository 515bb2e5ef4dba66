"""The command ``qemunet``: parses the words and calls the verb's module.

A verb's module is imported only when the verb is used, so that ``qemunet check`` does not pay for the others.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
from collections.abc import Sequence

from qemunet import __version__
from qemunet.cli.streams import give_up_output, open_standard_streams
from qemunet.errors import HostError, QemunetError

VERBS = {
    "run": "run an experiment on a topology",
    "batch": "run an experiment over a sweep of parameters, again and again",
    "check": "parse, check and plan a topology; no privileges needed",
    "draw": "draw a picture of a topology",
    "results": "tell what runs and batches came to",
    "report": "write a run or a batch as one HTML file",
    "convert": "write a topology in another format",
    "generate": "write a topology of a common shape",
    "image": "list, build or remove guest images",
    "doctor": "tell what this machine has, lacks, and how to get it",
    "ps": "list the runs that are running on this machine",
    "clean": "remove what crashed runs and builds left behind",
}

EXIT_BY_LAYER = {"input": 2, "host": 3, "simulation": 4, "guest": 4, "task": 1, "error": 4}
"""Exit status of a QemunetError by its layer."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status of the table in the README."""
    open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="qemunet", description="Real virtual machines joined by ns-3 models in real time."
    )
    parser.add_argument("--version", action="version", version=f"qemunet {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    # Only the verb that is used fills in its arguments; the others stand in the list with their one line of help.
    used = next((word for word in words if not word.startswith("-")), None)
    for verb, text in VERBS.items():
        verb_parser = verbs.add_parser(
            verb, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
        )
        if verb == used:
            importlib.import_module(f"qemunet.cli.{verb}").add_arguments(verb_parser)
            verb_parser.add_argument("--debug", action="store_true", help="show tracebacks")
    namespace = parser.parse_args(words)
    module = importlib.import_module(f"qemunet.cli.{namespace.verb}")
    try:
        status: int = module.execute(namespace)
        sys.stdout.flush()
    except QemunetError as error:
        if namespace.debug:
            raise
        show_error(error)
        return EXIT_BY_LAYER[error.layer]
    except KeyboardInterrupt:
        if namespace.debug:
            raise
        print("qemunet: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read standard output has gone (`qemunet ... | head`); nothing is left to say.
        give_up_output()
        return 141
    except Exception as error:
        if namespace.debug:
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            give_up_output()
            where = error.filename or "standard output"
            show_error(HostError(f"{where} cannot be written: {error.strerror}", hint="make room, then do it again"))
            return EXIT_BY_LAYER["host"]
        print(f"qemunet: internal error: {type(error).__name__}: {error}", file=sys.stderr)
        print("  hint: this is a defect of qemunet; run the same again with --debug and report it", file=sys.stderr)
        return 4
    return status


def show_error(error: QemunetError) -> None:
    """Print an error and its remedy to standard error."""
    problems = getattr(error, "problems", ())
    if len(problems) > 1:
        print(f"qemunet: {error.layer}: {len(problems)} mistakes", file=sys.stderr)
        print("\n".join(problems), file=sys.stderr)
    else:
        print(f"qemunet: {error.layer}: {error.message or type(error).__name__}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {error.hint}", file=sys.stderr)


def parameter(text: str) -> tuple[str, str]:
    """Argument type of ``-p NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def add_topology_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every verb that takes a TOPOLOGY."""
    parser.add_argument("topology", metavar="TOPOLOGY", help="topology file, or topohub:GROUP/NAME")
    parser.add_argument(
        "-p",
        dest="parameters",
        metavar="NAME=VALUE",
        type=parameter,
        action="append",
        default=[],
        help="set a declared parameter; may be repeated",
    )


if __name__ == "__main__":
    sys.exit(main())

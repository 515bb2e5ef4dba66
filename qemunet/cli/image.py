"""``qemunet image list|build|rm``: guest images in the user's cache."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="list the recipes and what is built of them")
    for action, text in (("build", "build an image if it is missing"), ("rm", "remove what was built of an image")):
        action_parser = actions.add_parser(action, help=text)
        action_parser.add_argument("name", metavar="NAME", help="image, as in `image=` of a node")
        action_parser.add_argument(
            "--arch", action="append", default=[], help="only this architecture; may be repeated"
        )


def execute(arguments: argparse.Namespace) -> int:
    """List, build or remove."""
    from qemunet.guest import images
    from qemunet.progress import open_progress

    if arguments.action == "list":
        print(f"{'IMAGE':<12} {'ARCH':<10} {'BUILT':<6} {'SIZE':>10}  PATH")
        for entry in images.list_images():
            size = f"{entry.size_bytes / 2**20:.1f} MiB" if entry.built else "-"
            print(
                f"{entry.name:<12} {entry.arch:<10} {'yes' if entry.built else 'no':<6} {size:>10}  {entry.directory or '-'}"
            )
        return 0
    architectures = arguments.arch or images.architectures(arguments.name)
    if arguments.action == "rm":
        for arch in architectures:
            for directory in images.remove_image(arguments.name, arch):
                print(f"removed {directory}")
        return 0
    progress = open_progress()
    try:
        for arch in architectures:
            files = images.image_files(arguments.name, arch, progress=progress)
            print(files.kernel.parent)
    finally:
        progress.close()
    return 0

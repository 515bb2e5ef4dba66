"""Reports of runs and batches: one HTML file that needs nothing else, and figures for papers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qemunet.errors import HostError, InputError
from qemunet.report.source import kind_of

__all__ = ["write_report"]


def write_report(path: Path, target: Path, *, figures: Path | None = None) -> list[Path]:
    """Write the report of a run or a batch.

    Args:
        path: Its directory.
        target: The HTML file; links in it are relative to where it is.
        figures: A directory for the figures as SVG files, made where there is none; None writes none.

    Returns:
        What was written.

    Raises:
        InputError: the path is neither a run nor a batch, or cannot be read.
        HostError: a file cannot be written.
    """
    try:
        if kind_of(path) == "run":
            from qemunet.report.run_data import read_run_data
            from qemunet.report.run_page import run_page

            page, pictures = run_page(read_run_data(path))
        else:
            from qemunet.report.batch_data import read_batch_data
            from qemunet.report.batch_page import batch_page

            page, pictures = batch_page(read_batch_data(path), target)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return [_written(target, page), *(_figures(figures, pictures) if figures is not None else ())]


def _figures(directory: Path, pictures: Mapping[str, str]) -> list[Path]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "name another place with --figures"
        raise HostError(f"{directory} cannot be made: {error.strerror or error}", hint=hint) from error
    return [_written(directory / name, svg) for name, svg in pictures.items()]


def _written(path: Path, text: str) -> Path:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        hint = "make room, or name another place with -o or --figures"
        raise HostError(f"{path} cannot be written: {error.strerror or error}", hint=hint) from error
    return path

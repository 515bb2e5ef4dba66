"""The files that a run reads: its topology, its experiment, and what stands beside them and is named in them."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

MOST_BYTES = 64 << 20
"""A larger file is not sent along: images and disks have to be where the run is."""

_WORDS = re.compile(r"[A-Za-z0-9_./+-]+")
_TEXTS = {".txt", ".yaml", ".yml", ".json", ".graphml", ".py"}


def input_files(topology: str, experiment: Path) -> list[Path]:
    """The experiment, the topology if it is a file, and all files that these name, or such a file again.

    A file is named by its path relative to the one that names it, or as a module that is imported. What is named by an
    absolute path belongs to the computer.
    """
    found: dict[Path, None] = {}
    waiting = [path for path in (experiment, Path(topology)) if path.is_file()]
    while waiting:
        path = Path(os.path.abspath(waiting.pop()))
        if path in found:
            continue
        found[path] = None
        if path.suffix in _TEXTS:
            waiting += _named_in(path)
    return sorted(found)


def _named_in(path: Path) -> Iterable[Path]:
    words = set(_WORDS.findall(path.read_text("utf-8", "replace")))
    for word in sorted(words):
        named = [word]
        if path.suffix == ".py":
            module = word.replace(".", "/")
            named += [f"{module}.py", f"{module}/__init__.py"]
        for name in named:
            # A word may be anything: what is no usable path names nothing.
            with suppress(OSError, ValueError):
                file = path.parent / name
                if not name.startswith("/") and file.is_file() and file.stat().st_size <= MOST_BYTES:
                    yield file


def digests(files: Iterable[Path]) -> dict[str, str]:
    """Absolute path -> SHA-256 of each file."""
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def are_here(wanted: Mapping[str, str]) -> bool:
    """Whether all files are on this computer, with the same content."""
    for path, digest in wanted.items():
        try:
            if sha256(Path(path).read_bytes()).hexdigest() != digest:
                return False
        except OSError:
            return False
    return True


def pack(files: Iterable[Path]) -> bytes:
    """The files in an archive, by their absolute paths."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for path in files:
            archive.add(path, arcname=str(path).lstrip("/"))
    return data.getvalue()


def unpack(data: bytes, root: Path) -> None:
    """Unpack them below ``root``, where their paths relative to each other are the same."""
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(root, filter="data")

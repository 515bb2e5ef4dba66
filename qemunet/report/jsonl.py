"""Files of a run as far as they were written: a run may have been cut at any instant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines, up to where one is not whole; nothing where there is no file."""
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    return
                if isinstance(value, dict):
                    yield value
    except OSError:
        return


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one where there is no such file or no object in it."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}

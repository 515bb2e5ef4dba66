"""Metrics as experiments return them."""

from __future__ import annotations

import json
from typing import Any


def plain(value: Any) -> Any:
    """A metric as run.json has it: of numpy's scalars and arrays the numbers and lists.

    Raises:
        TypeError, ValueError: it cannot be written as JSON.
    """
    return json.loads(json.dumps(value, default=_listed))


def _listed(value: Any) -> Any:
    if not hasattr(value, "tolist"):
        raise TypeError(f"Object of type {type(value).__module__}.{type(value).__qualname__} is not JSON serializable")
    return value.tolist()

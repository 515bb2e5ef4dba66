"""qemunet: real virtual machines joined by ns-3 models in real time.

What an experiment needs is here; each part lives in its own folder.
"""

from __future__ import annotations

import importlib
from typing import Any

from qemunet.tasks import Command, CompletedCommand, Daemon, Task

__version__ = "0.1.0"

__all__ = ["Command", "CompletedCommand", "Daemon", "Task", "__version__"]


def __getattr__(name: str) -> Any:
    """``batch`` is loaded when it is first used."""
    if name == "batch":
        return importlib.import_module("qemunet.batch")
    raise AttributeError(f"module 'qemunet' has no attribute {name!r}")

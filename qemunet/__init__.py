"""qemunet: real virtual machines joined by ns-3 models in real time.

What an experiment needs is here; each part lives in its own folder.
"""

from __future__ import annotations

from qemunet.tasks import Command, CompletedCommand, Daemon, Task

__version__ = "0.1.0"

__all__ = ["Command", "CompletedCommand", "Daemon", "Task", "__version__"]

"""Tasks: what an experiment runs on its guests, and the engine that runs it over two small Protocols."""

from __future__ import annotations

from qemunet.tasks.task import Command, CompletedCommand, Daemon, Results, Task

__all__ = ["Command", "CompletedCommand", "Daemon", "Results", "Task"]

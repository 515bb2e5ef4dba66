"""Pictures of topologies."""

from __future__ import annotations

from qemunet.drawing.picture import draw_topology

__all__ = ["draw_topology"]

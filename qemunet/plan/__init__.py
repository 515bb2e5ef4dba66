"""Plans: a topology turned into exactly what will be built.

``qemunet.plan.model`` is all that the parts which build something import; so making a plan, which needs the topology's
code, is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qemunet.plan.make import make_plan
    from qemunet.plan.model import Plan
    from qemunet.plan.serialize import plan_from_json, plan_to_json

__all__ = ["Plan", "make_plan", "plan_from_json", "plan_to_json"]

_HOMES = {"Plan": "model", "make_plan": "make", "plan_from_json": "serialize", "plan_to_json": "serialize"}


def __getattr__(name: str) -> object:
    """Load what is asked for from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

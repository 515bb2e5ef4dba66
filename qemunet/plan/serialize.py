"""A Plan as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from qemunet.errors import PlanError
from qemunet.plan.model import Plan

T = TypeVar("T")

SCHEMA = 1
"""Version of ``plan.json``; it rises when a reader of the old one would misread the new one."""


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as what ``json.dumps`` writes: mappings, lists, strings and numbers."""
    return {"schema": SCHEMA, **asdict(plan, dict_factory=_plain)}


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """Return the plan that ``plan_to_json`` wrote.

    Raises:
        PlanError: this is no plan of this schema.
    """
    content = dict(data)
    schema = content.pop("schema", None)
    if schema != SCHEMA:
        raise PlanError([f"plan.json: schema is {schema!r}, this version reads {SCHEMA}"])
    return _read_dataclass(Plan, content, "plan.json")


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in items}


def _read(kind: Any, value: Any, where: str) -> object:
    """Return ``value`` as an object of type ``kind``; ``where`` names it in messages."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, Mapping):
        return _read_dataclass(kind, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_read(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is Mapping and isinstance(value, Mapping):
        return {_read(str, key, where): _read(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is Literal and value in arguments:
        return value
    if origin in (Union, UnionType):
        if value is None and type(None) in arguments:
            return None
        inner = [argument for argument in arguments if argument is not type(None)]
        return _read(inner[0], value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise PlanError([f"{where}: {value!r} is no {getattr(kind, '__name__', kind)}"])


def _read_dataclass(kind: type[T], value: Mapping[str, Any], where: str) -> T:
    hints = get_type_hints(kind)
    members = fields(kind)  # type: ignore[arg-type]  # always a dataclass here
    known = {f.name for f in members}
    required = {f.name for f in members if f.default is MISSING and f.default_factory is MISSING}
    wrong = [f"{where}.{name} is missing" for name in sorted(required - value.keys())]
    wrong += [f"{where}.{name} is unknown" for name in sorted(value.keys() - known)]
    if wrong:
        raise PlanError(wrong)
    return kind(**{name: _read(hints[name], item, f"{where}.{name}") for name, item in value.items()})

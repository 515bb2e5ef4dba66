"""ns-3's types and their attributes, from a table, so that checking a topology needs no ns-3.

The table ``ns3-attributes.json`` is written by ``scripts/ns3_attributes.py`` and compared by a test with the ns-3 that
is installed. It is read only when something is asked of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qemunet.topology.problems import did_you_mean, shown

PREFIX = "ns3::"

#: What an object is made of, and cannot be exchanged by an attribute once it is there.
_STRUCTURE = frozenset(
    f"ns3::Ptr< ns3::{name} >"
    for name in (
        *(
            "Channel",
            "Node",
            "NetDevice",
            "MobilityModel",
            "WifiMac",
            "WifiPhy",
            "WifiRemoteStationManager",
            "Txop",
            "QosTxop",
        ),
        *("HtConfiguration", "VhtConfiguration", "HeConfiguration", "EhtConfiguration", "InterferenceHelper"),
        *("WifiPhyStateHelper", "GcrManager"),
    )
)
_CANNOT_BE_WRITTEN = frozenset(("Callback", "ObjectPtrContainer"))
_SHOWN = 12


@dataclass(frozen=True)
class Attribute:
    """An attribute.

    Attributes:
        kind: Of value: Boolean, Uinteger, Time, Pointer, ...
        detail: What ns-3 says of the values: type and bounds, names of an enumeration, the class pointed to.
        can_set: It can be set once its object is there.
        can_default: A default for it counts.
    """

    kind: str
    detail: str
    can_set: bool
    can_default: bool


@dataclass(frozen=True)
class Type:
    """A TypeId.

    Attributes:
        parent: Name of its parent; the root's is its own.
        module: ns-3's module that has it; empty: qemunet's own.
        made: Objects of it can be made.
        attributes: Its own, without those of its parents.
    """

    name: str
    parent: str
    module: str
    made: bool
    attributes: Mapping[str, Attribute]


@cache
def types() -> Mapping[str, Type]:
    """All types by name."""
    rows = json.loads(Path(__file__).with_name("ns3-attributes.json").read_text(encoding="utf-8"))
    return {
        name: Type(
            name,
            row["parent"],
            row["module"],
            row["made"],
            {
                attribute: Attribute(kind, detail, bool(flags & 2), bool(flags & 4))
                for attribute, (kind, detail, flags) in row["attributes"].items()
            },
        )
        for name, row in rows.items()
    }


def ancestry(name: str) -> list[str]:
    """A type and its parents, the root last."""
    line = [name]
    while (parent := types()[line[-1]].parent) != line[-1]:
        line.append(parent)
    return line


@cache
def attributes_of(name: str) -> Mapping[str, Attribute]:
    """Attributes of a type, those of its parents included."""
    found: dict[str, Attribute] = {}
    for one in ancestry(name):
        for attribute, row in types()[one].attributes.items():
            found.setdefault(attribute, row)
    return found


@cache
def models(base: str) -> tuple[str, ...]:
    """Types derived from ``base`` of which objects can be made."""
    return tuple(name for name, row in types().items() if row.made and base in ancestry(name))


def module_of(name: str) -> str:
    """ns-3's module that has a type; empty for one of qemunet's own."""
    return types()[name].module


def resolve(text: str, base: str) -> str:
    """Return the full name of a model, which may be written without ``ns3::`` and without the end that all share.

    Args:
        text: Such as ``RandomWalk2d``, ``RandomWalk2dMobilityModel`` or ``ns3::RandomWalk2dMobilityModel``.
        base: The type that it must be derived from, such as ``ns3::MobilityModel``.

    Raises:
        ValueError: there is no such model; names the nearest.
    """
    ending = _ending(base)
    known = models(base)
    for candidate in (text, PREFIX + text, PREFIX + text + ending):
        if candidate in known:
            return candidate
    near = did_you_mean(short(PREFIX + text.removeprefix(PREFIX), base), (short(name, base) for name in known))
    raise ValueError(f"is no {base}{near or '; there are ' + ', '.join(short(name, base) for name in known)}")


def short(name: str, base: str) -> str:
    """The shortest that ``resolve`` takes for a model."""
    return name.removeprefix(PREFIX).removesuffix(_ending(base)) or name


def _ending(base: str) -> str:
    """What the names of all models of a base end in."""
    return {"ns3::WifiRemoteStationManager": "WifiManager"}.get(base, base.removeprefix(PREFIX))


def find_attribute(type_name: str, name: str, *, default: bool = False) -> Attribute:
    """Return an attribute of a type.

    Args:
        type_name: Of a type that exists.
        name: Of the attribute.
        default: A default is to be set, not the attribute of an object.

    Raises:
        ValueError: there is none, or it cannot be set; names those that can.
    """
    attributes = attributes_of(type_name)
    usable = {
        key: row
        for key, row in attributes.items()
        if (row.can_default if default else row.can_set)
        and row.kind not in _CANNOT_BE_WRITTEN
        and row.detail not in _STRUCTURE
    }
    if name in usable:
        return usable[name]
    if name in attributes:
        problem = f"attribute {name} of {type_name} cannot be set"
    else:
        problem = f"{type_name} has no attribute {shown(name)}"
    near = did_you_mean(name, usable) if name not in attributes else ""
    return _refuse(f"{problem}{near}{listed(usable)}")


def _refuse(message: str) -> Attribute:
    raise ValueError(message)


def listed(names: Mapping[str, object], *, who: str = "it has") -> str:
    """Say which names there are, as the end of a message."""
    if not names:
        return f"; {who} none that can be set"
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return f"; {who} {', '.join(every[:_SHOWN])}{more}"


def split_default(text: str) -> tuple[str, str]:
    """Split ``ns3::WifiMac::Ssid`` into a type and the name of one of its attributes.

    Raises:
        ValueError: there is no such type; names the nearest.
    """
    type_name, colons, attribute = text.rpartition("::")
    if not colons or type_name == "ns3" or not attribute:
        raise ValueError("an ns-3 default is ns3::TYPE::ATTRIBUTE, such as ns3::WifiMac::Ssid")
    if type_name not in types():
        near = did_you_mean(type_name.removeprefix(PREFIX), (name.removeprefix(PREFIX) for name in types()))
        raise ValueError(f"ns-3 has no type {shown(type_name)}{near}")
    return type_name, attribute

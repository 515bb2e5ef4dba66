"""Values of ns-3 attributes: checked by their kind, as far as that says what ns-3 would take."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from qemunet.topology.ns3_types import Attribute, find_attribute, models, types
from qemunet.topology.problems import did_you_mean, shown

_NUMBER = r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?"
_BOUNDS = re.compile(rf"(\S+?)\s?(?:({_NUMBER})(?:ns)?:({_NUMBER})(?:ns)?)?")
_TIME_NS = {
    "fs": 1e-6,
    "ps": 1e-3,
    "ns": 1.0,
    "us": 1e3,
    "ms": 1e6,
    "s": 1e9,
    "min": 6e10,
    "h": 3.6e12,
    "d": 8.64e13,
    "y": 3.1536e16,
}
_RATE_UNITS = tuple(
    prefix + unit for prefix in ("", "k", "K", "Ki", "M", "Mi", "G", "Gi") for unit in ("bps", "b/s", "Bps", "B/s")
)
_QUANTITY = re.compile(rf"({_NUMBER})([A-Za-z/]*)")


def check_value(attribute: Attribute, text: str) -> None:
    """Check a value.

    Raises:
        ValueError: ns-3 would not take it; says what it takes.
    """
    if attribute.kind in _CHECKS:
        _CHECKS[attribute.kind](text, attribute.detail)


def check_attribute(type_name: str, name: str, text: str, *, default: bool = False) -> None:
    """Check that a type has an attribute that takes this value.

    Raises:
        ValueError: it has not, or it does not.
    """
    check_value(find_attribute(type_name, name, default=default), text)


def check_object(text: str, base: str) -> None:
    """Check ``TYPE[NAME=VALUE|...]``, by which ns-3 writes an object to be made.

    Args:
        text: As written.
        base: What the type must be derived from.

    Raises:
        ValueError: no such type, attribute or value.
    """
    name, bracket, rest = text.partition("[")
    if name not in types():
        near = did_you_mean(name, models(base) if base in types() else types())
        raise ValueError(f"ns-3 has no type {shown(name)}{near}; write TYPE or TYPE[NAME=VALUE|...]")
    if base in types() and name not in models(base):
        raise ValueError(f"{name} is no {base}{did_you_mean(name, models(base))}")
    if not bracket:
        return
    if not rest.endswith("]"):
        raise ValueError("a ] is missing at its end; write TYPE or TYPE[NAME=VALUE|...]")
    for pair in _split_outside(rest[:-1]):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{shown(pair)} is not NAME=VALUE; write TYPE or TYPE[NAME=VALUE|...]")
        if "[" in value:
            raise ValueError(f"ns-3 reads no [ within [ ]; write option {name}::{key}={value} in its place")
        try:
            check_attribute(name, key, value, default=True)
        except ValueError as error:
            raise ValueError(f"in {name}[{key}=...]: {error}") from None


def _split_outside(text: str) -> list[str]:
    """Split at each ``|`` outside square brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part]


def _boolean(text: str, detail: str) -> None:
    if text not in ("true", "false", "1", "0", "t", "f"):
        raise ValueError("must be true or false")


def _number(text: str, detail: str, *, whole: bool = False) -> None:
    what = "a whole number" if whole else "a number"
    if not re.fullmatch(r"[+-]?[0-9]{1,30}" if whole else _NUMBER, text):
        raise ValueError(f"must be {what}")
    _within(float(text), text, detail, "")


def _within(value: float, text: str, detail: str, unit: str) -> None:
    bounds = _BOUNDS.fullmatch(detail)
    if bounds is None or bounds[2] is None:
        return
    low, high = float(bounds[2]), float(bounds[3])
    # ns-3 writes bounds with six digits: do not refuse what only their rounding does.
    slack = 1e-5
    if value < low - abs(low) * slack or value > high + abs(high) * slack:
        raise ValueError(f"{text} is out of range; it is {bounds[2]}{unit} to {bounds[3]}{unit}")


def _integer(text: str, detail: str) -> None:
    _number(text, detail, whole=True)


def _time(text: str, detail: str) -> None:
    match = _QUANTITY.fullmatch(text)
    # ns-3 takes a number without unit for seconds.
    unit = match[2] or "s" if match else ""
    if match is None or unit not in _TIME_NS:
        raise ValueError(f"must be a time: a number and a unit of {', '.join(_TIME_NS)}, such as 20ms")
    _within(float(match[1]) * _TIME_NS[unit], text, detail, "ns")


def _rate(text: str, detail: str) -> None:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in ("", *_RATE_UNITS) or match[1].startswith("-"):
        bits = [unit for unit in _RATE_UNITS if "B" not in unit]
        near = did_you_mean(match[2], bits) if match and match[2] else ""
        raise ValueError(f"must be a rate such as 10Mbps{near}")


def _enumeration(text: str, detail: str) -> None:
    names = detail.split("|")
    if text not in names:
        raise ValueError(f"must be one of {', '.join(names)}{did_you_mean(text, names)}")


def _queue(text: str, detail: str) -> None:
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?(p|B|kB|KB|KiB|MB|MiB)", text):
        raise ValueError("must be a queue's size in packets or bytes, such as 100p or 64KiB")


def _numbers(count: int, separator: str, example: str) -> Callable[[str, str], None]:
    def check(text: str, detail: str) -> None:
        parts = text.split(separator)
        if len(parts) != count or not all(re.fullmatch(_NUMBER, part) for part in parts):
            raise ValueError(f"must be {count} numbers joined by {separator}, such as {example}")

    return check


def _mac(text: str, detail: str) -> None:
    if not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", text):
        raise ValueError("must be a hardware address such as 02:00:00:00:00:01")


def _ipv4(text: str, detail: str) -> None:
    try:
        IPv4Address(text)
    except ValueError:
        raise ValueError("must be an IPv4 address such as 10.0.0.1") from None


def _ipv6(text: str, detail: str) -> None:
    try:
        IPv6Address(text)
    except ValueError:
        raise ValueError("must be an IPv6 address such as fd00::1") from None


def _pointer(text: str, detail: str) -> None:
    match = re.fullmatch(r"ns3::Ptr<\s*(.+?)\s*>", detail)
    check_object(text, match[1] if match else "")


def _factory(text: str, detail: str) -> None:
    check_object(text, "")


def _type(text: str, detail: str) -> None:
    if text not in types():
        raise ValueError(f"ns-3 has no type {shown(text)}{did_you_mean(text, types())}")


_CHECKS: dict[str, Callable[[str, str], None]] = {
    "Boolean": _boolean,
    "Uinteger": _integer,
    "Integer": _integer,
    "Double": _number,
    "Time": _time,
    "DataRate": _rate,
    "Enum": _enumeration,
    "QueueSize": _queue,
    "Vector3D": _numbers(3, ":", "0:0:0"),
    "Vector2D": _numbers(2, ":", "0:0"),
    "Rectangle": _numbers(4, "|", "0|100|0|100"),
    "Box": _numbers(6, "|", "0|100|0|100|0|10"),
    "Mac48Address": _mac,
    "Ipv4Address": _ipv4,
    "Ipv6Address": _ipv6,
    "Pointer": _pointer,
    "ObjectFactory": _factory,
    "TypeId": _type,
}

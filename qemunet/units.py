"""Quantities as files write them, and the integers they stand for.

A value carries its unit: time ``ns us ms s``, rate ``bps kbps Mbps Gbps``, size ``B KiB MiB GiB``; a share is a
percentage or a number between 0 and 1. Every function raises ValueError with what would be right, and every
``format_*`` writes what its ``parse_*`` reads back exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

_TIMES = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_RATES = {"bps": 1, "kbps": 1_000, "Mbps": 1_000_000, "Gbps": 1_000_000_000}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

# ns-3 keeps times in 64 signed bits.
_LARGEST = (1 << 63) - 1

# Digits are bounded so that a hostile number costs no more than a sane one.
_NUMBER = r"[0-9]{1,30}(?:\.[0-9]{1,30})?|\.[0-9]{1,30}"
_SHARE = re.compile(rf"((?:{_NUMBER})(?:[eE][-+]?[0-9]{{1,2}})?)(%?)")  # programs write small numbers as 1e-05
_QUANTITY = re.compile(rf"({_NUMBER})([A-Za-zµ%/]*)")


def parse_time_ns(text: str) -> int:
    """Return the nanoseconds that ``text`` (``20ms``, ``1.5us``, or ``0``) says."""
    return 0 if text == "0" else _quantity(text, _TIMES, "time", "20ms", "1 ns")


def parse_rate_bps(text: str) -> int:
    """Return the bits per second that ``text`` (``10Mbps``) says; at least 1."""
    rate_bps = _quantity(text, _RATES, "rate", "10Mbps", "1 bps")
    if rate_bps == 0:
        raise ValueError("a rate of 0 lets nothing pass; the least is 1bps")
    return rate_bps


def parse_size_bytes(text: str) -> int:
    """Return the bytes that ``text`` (``128MiB``) says."""
    return _quantity(text, _SIZES, "size", "128MiB", "1 B")


def parse_share(text: str) -> float:
    """Return the share that ``text`` (``0.1%`` or ``0.001``) says, 0 to 1."""
    match = _SHARE.fullmatch(text)
    if match is None:
        raise ValueError("not a share; write a percentage such as 0.1% or a number from 0 to 1")
    share = Fraction(match[1]) / (100 if match[2] else 1)
    if share > 1:
        remedy = "" if match[2] else f"; for {match[1]} percent write {match[1]}%" if share <= 100 else ""
        raise ValueError(f"out of range; a share is 0 to 1 or 0% to 100%{remedy}")
    return float(share)


def format_time_ns(time_ns: int) -> str:
    """Write nanoseconds in the largest unit that needs no decimals."""
    return _format(time_ns, _TIMES)


def format_rate_bps(rate_bps: int) -> str:
    """Write bits per second in the largest unit that needs no decimals."""
    return _format(rate_bps, _RATES)


def format_size_bytes(size_bytes: int) -> str:
    """Write bytes in the largest unit that needs no decimals."""
    return _format(size_bytes, _SIZES)


def format_share(share: float) -> str:
    """Write a share as a percentage where that is exact, else as a number."""
    if not 0 <= share <= 1:
        raise ValueError(f"{share} is not a share; a share is 0 to 1")
    percent = format((Decimal(repr(share)) * 100).normalize(), "f") + "%"
    return percent if len(percent) <= 20 and parse_share(percent) == share else format(Decimal(repr(share)), "f")


def _quantity(text: str, units: Mapping[str, int], what: str, example: str, finest: str) -> int:
    match = _QUANTITY.fullmatch(text)
    known = ", ".join(units)
    if match is None:
        raise ValueError(f"not a {what}; write a number and a unit of {known}, such as {example}")
    number, unit = match.groups()
    if unit not in units:
        near = next((known_unit for known_unit in units if known_unit.lower() == unit.lower()), None)
        if not unit:
            raise ValueError(f"has no unit; a {what} ends in {known}, such as {example}")
        remedy = f"did you mean {number}{near}?" if near else f"a {what} ends in {known}, such as {example}"
        raise ValueError(f"unknown unit {unit!r}; {remedy}")
    value = Fraction(number) * units[unit]
    if value.denominator != 1:
        raise ValueError(f"finer than {finest}, the finest {what} there is")
    if value > _LARGEST:
        raise ValueError(f"too large; the largest {what} is {_format(_LARGEST, units)}")
    return int(value)


def _format(value: int, units: Mapping[str, int]) -> str:
    if value < 0:
        raise ValueError(f"{value} is negative")
    if value == 0:
        return "0" + next(iter(units))
    unit, factor = next((unit, factor) for unit, factor in reversed(list(units.items())) if value % factor == 0)
    return f"{value // factor}{unit}"

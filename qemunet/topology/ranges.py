"""Ranges in names: ``n[1-3]`` is n1 n2 n3, ``r[1-2]c[01-10]`` multiplies and keeps the zeros."""

from __future__ import annotations

import re
from itertools import product
from math import prod

_RANGE = re.compile(r"\[([0-9]{1,9})-([0-9]{1,9})\]")
_LONGEST = 200
_COUNTED = 10**12


class RangeTooLargeError(ValueError):
    """A range of more names than there may be."""


def expand_ranges(text: str, *, most: int) -> list[str]:
    """Return the names that ``text`` stands for, the last range varying fastest; itself if it has no range.

    A range whose first number is above its last is empty, and so is then the whole.

    Raises:
        ValueError: brackets that are not a range.
        RangeTooLargeError: more than ``most`` names.
    """
    if "[" not in text and "]" not in text:
        return [text]
    if len(text) > _LONGEST:
        raise ValueError(f"too long for a name with ranges ({len(text)} characters)")
    fixed = _RANGE.split(text)
    around, firsts, lasts = fixed[0::3], fixed[1::3], fixed[2::3]
    if any("[" in piece or "]" in piece for piece in around):
        raise ValueError("not a range; write one as n[1-3], with whole numbers")
    spans = [range(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]
    if not all(spans):
        return []
    count = prod(map(len, spans))
    if count > most:
        seen = str(count) if count < _COUNTED else "too many"
        raise RangeTooLargeError(f"stands for {seen} names; there may be {most}")
    widths = [_width(first, last) for first, last in zip(firsts, lasts, strict=True)]
    names = []
    for numbers in product(*spans):
        digits = [str(number).zfill(width) for number, width in zip(numbers, widths, strict=True)]
        names.append(around[0] + "".join(d + piece for d, piece in zip(digits, around[1:], strict=True)))
    return names


def _width(first: str, last: str) -> int:
    padded = any(len(bound) > 1 and bound.startswith("0") for bound in (first, last))
    return max(len(first), len(last)) if padded else 1


def range_lengths(text: str) -> list[int]:
    """Return how many numbers each range in a name has, where ``expand_ranges`` takes it."""
    return [int(last) - int(first) + 1 for first, last in _RANGE.findall(text)]

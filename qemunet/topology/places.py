"""Where nodes stand and how they move: values of keys, and places for those that have none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from qemunet.topology import ns3_types

Vector = tuple[float, float, float]
Area = tuple[float, float, float, float]
"""Left, lower, right, upper, in metres."""

MOBILITY = "ns3::MobilityModel"
DEFAULT_MOBILITY = "ns3::ConstantPositionMobilityModel"
CONSTANT_VELOCITY = "ns3::ConstantVelocityMobilityModel"
RANDOM_WAYPOINT = "ns3::RandomWaypointMobilityModel"

USUAL_AREA: Area = (0.0, 0.0, 100.0, 100.0)
"""In which random models move, made larger where their node begins outside."""

#: Those that a program has to steer, that need others, or that choose where they begin.
_PROGRAMMED = frozenset(
    f"ns3::{name}MobilityModel"
    for name in (
        *("ConstantAcceleration", "GeocentricConstantPosition", "Hierarchical", "RandomWalk2dOutdoor"),
        *("SteadyStateRandomWaypoint", "Waypoint"),
    )
)

_COORDINATE = r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?"
_SPACING_M = 10.0


def position_m(text: str) -> Vector:
    """A position, ``x,y`` or ``x,y,z`` in metres."""
    return _vector(text, "a position is x,y or x,y,z in metres, such as 50,0")


def velocity_mps(text: str) -> Vector:
    """A velocity, ``x,y`` or ``x,y,z`` in metres a second."""
    return _vector(text, "a velocity is x,y or x,y,z in metres a second, such as 1.5,0")


def steps_m(text: str) -> list[Vector]:
    """Steps between nodes of a range: one, or one for each range of the name, joined by ``/``."""
    rule = "a step is x,y or x,y,z in metres, such as 50,0; one for each of several ranges: 50,0/0,50"
    return [_vector(part, rule) for part in text.split("/")]


def area_m(text: str) -> Area:
    """A rectangle, ``left,lower,right,upper`` in metres."""
    parts = text.split(",")
    if len(parts) != 4 or not all(re.fullmatch(_COORDINATE, part) for part in parts):
        raise ValueError("an area is left,lower,right,upper in metres, such as 0,0,100,100")
    left, lower, right, upper = (float(part) for part in parts)
    if left >= right or lower >= upper:
        raise ValueError("an area is left,lower,right,upper: right is more than left, upper more than lower")
    return left, lower, right, upper


def mobility(text: str) -> str:
    """The type of a mobility model, with or without ns-3's ends of its name."""
    name = ns3_types.resolve(text, MOBILITY)
    if name in _PROGRAMMED:
        others = (ns3_types.short(other, MOBILITY) for other in ns3_types.models(MOBILITY) if other not in _PROGRAMMED)
        raise ValueError(f"{name} needs a program (extend); use one of {', '.join(others)}")
    return name


def _vector(text: str, rule: str) -> Vector:
    parts = text.split(",")
    if len(parts) not in (2, 3) or not all(re.fullmatch(_COORDINATE, part) for part in parts):
        raise ValueError(rule)
    x, y, z = (float(part) for part in (*parts, "0")[:3])
    return x, y, z


def format_position(position: Vector) -> str:
    """Write a position as ``position_m`` reads it."""
    numbers = [_format(number) for number in position]
    return ",".join(numbers if position[2] else numbers[:2])


def _format(number: float) -> str:
    text = f"{number:.9f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def place_range(first: str, steps: str, lengths: list[int], index: int) -> str:
    """Return the position of one name of a statement.

    Args:
        first: Position of the first.
        steps: As ``steps_m`` reads it.
        lengths: Of the ranges in the name.
        index: Of the name, the last range varying fastest.

    Raises:
        ValueError: there are neither one step nor as many as ranges.
    """
    vectors = steps_m(steps)
    if len(vectors) == 1:
        offsets = [index]
    elif len(vectors) == len(lengths):
        offsets = []
        for length in reversed(lengths):
            index, offset = divmod(index, length)
            offsets.insert(0, offset)
    else:
        raise ValueError(f"has {len(vectors)} steps for {len(lengths)} ranges; write one step, or one for each range")
    x, y, z = position_m(first)
    for offset, (dx, dy, dz) in zip(offsets, vectors, strict=True):
        x, y, z = x + offset * dx, y + offset * dy, z + offset * dz
    return format_position((x, y, z))


def free_places(taken: Iterable[Vector]) -> Iterator[Vector]:
    """Yield places 10 m apart where nobody stands yet, in squares that grow from the origin."""
    occupied = {(x, y) for x, y, _ in taken}
    for size in count():
        ring = [(size, row) for row in range(size + 1)] + [(column, size) for column in reversed(range(size))]
        for column, row in ring:
            place = (column * _SPACING_M, row * _SPACING_M)
            if place not in occupied:
                yield (*place, 0.0)


def area_of(attributes: Mapping[str, str], position: Vector) -> Area:
    """The area that a node's model moves in."""
    if "area" in attributes:
        return area_m(attributes["area"])
    left, lower, right, upper = USUAL_AREA
    x, y, _ = position
    return min(left, x), min(lower, y), max(right, x), max(upper, y)


def bounds_m(text: str) -> Area | None:
    """Read the attribute Bounds of a mobility model, ``left|right|lower|upper`` and more; None where it is wrong."""
    try:
        left, right, lower, upper = (float(part) for part in text.split("|")[:4])
    except ValueError:
        return None
    return left, lower, right, upper


def is_inside(area: Area, position: Vector) -> bool:
    """Whether a position is in an area."""
    left, lower, right, upper = area
    return left <= position[0] <= right and lower <= position[1] <= upper

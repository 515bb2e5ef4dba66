"""Where words stand in a picture, so that they cover as little as may be. All measures are inches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import cos, hypot, radians, sin

LABEL_POINTS = 7.0
"""Size of what stands at a link."""
NAME_POINTS = 9.5
"""Size of a node's name."""

Point = tuple[float, float]

# Of DejaVu Sans, in shares of the font's size.
_WIDTH, _HEIGHT = 0.60, 1.15
_POINTS_PER_INCH = 72


@dataclass(frozen=True)
class Box:
    """A rectangle of words, turned by an angle in degrees around its middle."""

    middle: Point
    width: float
    height: float
    degrees: float = 0.0

    @property
    def reach(self) -> float:
        """How far it may stretch to a side, with some room."""
        return hypot(self.width, self.height) / 2 + 0.15

    def covers(self, point: Point, room: float = 0.0) -> bool:
        """Return whether a point is inside, or nearer than ``room``."""
        dx, dy = point[0] - self.middle[0], point[1] - self.middle[1]
        turn = radians(-self.degrees)
        x, y = dx * cos(turn) - dy * sin(turn), dx * sin(turn) + dy * cos(turn)
        return abs(x) <= self.width / 2 + room and abs(y) <= self.height / 2 + room

    def samples(self) -> list[Point]:
        """Return points all over it."""
        turn = radians(self.degrees)
        across = max(2, int(self.width / 0.1))
        points = []
        for i in range(across + 1):
            for j in (-0.5, 0.0, 0.5):
                x, y = self.width * (i / across - 0.5), self.height * j
                points.append(
                    (
                        self.middle[0] + x * cos(turn) - y * sin(turn),
                        self.middle[1] + x * sin(turn) + y * cos(turn),
                    )
                )
        return points


def size_of(text: str, points: float) -> tuple[float, float]:
    """Return the width and height of words at a font size in points."""
    lines = text.split("\n")
    inches = points / _POINTS_PER_INCH
    return max(map(len, lines)) * inches * _WIDTH, len(lines) * inches * _HEIGHT


class Placer:
    """Places boxes one after the other where they cover least of what stands there already."""

    def __init__(self, nodes: Sequence[tuple[Point, float]], lines: Iterable[tuple[Point, Point]]) -> None:
        """Take what is drawn: nodes with their radius, and lines."""
        self._cells: dict[tuple[int, int], list[tuple[Point, float]]] = {}
        for middle, radius in nodes:
            for index in range(9):
                angle = index * 0.7854
                share = 0.0 if index == 8 else 0.8
                point = (middle[0] + radius * share * cos(angle), middle[1] + radius * share * sin(angle))
                self._add(point, 6.0)
        for first, second in lines:
            steps = max(1, int(hypot(second[0] - first[0], second[1] - first[1]) / 0.08))
            for step in range(steps + 1):
                share = step / steps
                self._add((first[0] + (second[0] - first[0]) * share, first[1] + (second[1] - first[1]) * share), 1.0)

    def place(self, candidates: Sequence[tuple[Box, float]]) -> Box:
        """Return the candidate (a box and what choosing it costs) that covers least, and note it as taken."""
        best, lowest = candidates[0][0], float("inf")
        for box, cost in candidates:
            total = cost + self._covered(box)
            if total < lowest - 1e-9:
                best, lowest = box, total
        for point in best.samples():
            self._add(point, 4.0)
        return best

    def _add(self, point: Point, weight: float) -> None:
        self._cells.setdefault((int(point[0] // 0.5), int(point[1] // 0.5)), []).append((point, weight))

    def _covered(self, box: Box) -> float:
        reach = hypot(box.width, box.height) / 2
        x0, x1 = (int((box.middle[0] + side * reach) // 0.5) for side in (-1, 1))
        y0, y1 = (int((box.middle[1] + side * reach) // 0.5) for side in (-1, 1))
        return sum(
            weight
            for column in range(x0, x1 + 1)
            for row in range(y0, y1 + 1)
            for point, weight in self._cells.get((column, row), ())
            if box.covers(point, 0.02)
        )

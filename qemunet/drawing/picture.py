"""A topology as SVG or PNG: nodes by type, links with rate and delay, lans as buses."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import atan2, degrees, hypot, sqrt
from pathlib import Path
from typing import Any, TextIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from qemunet.drawing.labels import LABEL_POINTS, NAME_POINTS, Box, Placer, Point, size_of
from qemunet.drawing.layout import place_all, vertex_of
from qemunet.drawing.legend import draw_legend, legend_of
from qemunet.drawing.style import INK, PALE, PAPER, NodeStyle, link_label, link_style, node_style
from qemunet.errors import InputError
from qemunet.topology import Lan, Link, Topology

SUFFIXES = (".svg", ".png", ".pdf")
"""Formats of pictures."""

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "svg.fonttype": "none",  # words stay words, that can be searched
    "svg.hashsalt": "qemunet",  # the same topology gives the same file
}
_MOST_LABELS = 160  # links that are labelled one by one where all say the same
_MARGIN = 0.75
_DPI = 150


def draw_topology(topology: Topology, target: str | Path | TextIO) -> None:
    """Draw a topology.

    Args:
        topology: The network.
        target: The file to write; its suffix says the format. An open one gets SVG.

    Raises:
        InputError: no such format, or the file cannot be written.
    """
    if not isinstance(target, (str, Path)):
        _save(topology, target, ".svg")
        return
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES:
        seen = f"{path.suffix!r} is no suffix of a picture" if path.suffix else "the file has no suffix"
        raise InputError(f"{path}: {seen}; write .svg or .png")
    try:
        _save(topology, path, path.suffix.lower())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _save(topology: Topology, target: Path | TextIO, suffix: str) -> None:
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        # matplotlib tells of its own files where a label has characters that the font has not.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        figure = _Picture(topology).figure
        metadata = {"Date": None} if suffix == ".svg" else None
        figure.savefig(target, format=suffix[1:], dpi=_DPI, facecolor=PAPER, metadata=metadata)


class _Picture:
    """Builds the figure: a plane in inches with everything at its place."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._points = place_all(topology)
        crowd = max(1, len(topology.nodes))
        self._shrink = min(1.0, max(0.5, 1.12 - 0.0022 * crowd))
        self._name_size = NAME_POINTS * self._shrink
        self._label_size = LABEL_POINTS * max(0.75, self._shrink)
        xs = [x for x, _ in self._points.values()] or [0.0]
        ys = [y for _, y in self._points.values()] or [0.0]
        self._common = dict(self._common_labels())
        self._legend = legend_of(topology, self._common)
        legend_height = 0.42
        x0, x1 = min(xs) - _MARGIN, max(xs) + _MARGIN
        y0, y1 = min(ys) - _MARGIN - legend_height, max(ys) + _MARGIN + 0.25
        lacking = max(0.0, sum(entry.width for entry in self._legend) + 0.4 - (x1 - x0), 3.2 - (x1 - x0))
        x0, x1 = x0 - lacking / 2, x1 + lacking / 2
        self._middle = (x0 + x1) / 2
        self.figure = Figure()
        self._axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._words: list[Box] = []
        self._lines = list(self._link_lines())
        self._draw_links()
        self._draw_lans()
        self._draw_nodes()
        self._draw_words()
        for box in self._words:  # some may reach beyond what they belong to
            x0, x1 = min(x0, box.middle[0] - box.reach), max(x1, box.middle[0] + box.reach)
        self.figure.set_size_inches(x1 - x0, y1 - y0)
        self._axes.set_xlim(x0, x1)
        self._axes.set_ylim(y0, y1)
        self._draw_title(x0, y1)
        draw_legend(self._axes, self._legend, (x0 + x1) / 2, y0 + 0.24)

    def _style(self, node: str) -> NodeStyle:
        return node_style(self._topology.nodes[node].type)

    def _link_lines(self) -> Iterator[tuple[Link, list[Point]]]:
        """Yield links of two ends with their lines; those that share both ends are bent apart."""
        links = [link for link in self._topology.links.values() if not isinstance(link, Lan)]
        pairs = Counter(_pair(link) for link in links)
        seen: Counter[tuple[str, str]] = Counter()
        for link in links:
            pair = _pair(link)
            count, index = pairs[pair], seen[pair]
            seen[pair] += 1
            first, second = self._points[pair[0]], self._points[pair[1]]
            bend = (index - (count - 1) / 2) * min(0.34, 1.2 / count)
            points = _bent(first, second, bend)
            yield link, points if link.ends[0].node == pair[0] else points[::-1]

    def _draw_links(self) -> None:
        for link, points in self._lines:
            style = link_style(link.type)
            self._axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                color=style.colour,
                linewidth=style.width * max(0.7, self._shrink),
                linestyle=style.pattern,
                solid_capstyle="round",
                zorder=1,
            )

    def _lans(self) -> list[Lan]:
        return [link for link in self._topology.links.values() if isinstance(link, Lan)]

    def _lan_words(self, lan: Lan) -> str:
        label = link_label(lan)
        return f"{lan.name}: {label}" if label else lan.name

    def _lan_box(self, lan: Lan) -> Box:
        width, height = size_of(self._lan_words(lan), self._label_size)
        return Box(self._points[vertex_of(lan.name)], width + 0.22, height + 0.12)

    def _draw_lans(self) -> None:
        for lan in self._lans():
            style = link_style(lan.type)
            x, y = self._points[vertex_of(lan.name)]
            for end in lan.ends:
                node = self._points[end.node]
                self._axes.plot(
                    [x, node[0]],
                    [y, node[1]],
                    color=style.colour,
                    linewidth=1.1,
                    linestyle=style.pattern if style.pattern != "-" else (0.0, (5.0, 1.5)),
                    zorder=1,
                )
            box = self._lan_box(lan)
            self._axes.add_patch(
                FancyBboxPatch(
                    (x - box.width / 2, y - box.height / 2),
                    box.width,
                    box.height,
                    boxstyle=f"round,pad=0,rounding_size={box.height / 2}",
                    facecolor=PAPER,
                    edgecolor=style.colour,
                    linewidth=1.6,
                    zorder=3,
                )
            )
            self._text(
                (x, y),
                self._lan_words(lan),
                ha="center",
                va="center_baseline",
                fontsize=self._label_size,
                color=style.colour,
                zorder=5,
            )

    def _draw_nodes(self) -> None:
        for node in self._topology.nodes.values():
            style = self._style(node.name)
            x, y = self._points[node.name]
            self._axes.plot(
                [x],
                [y],
                marker=style.marker,
                markersize=style.size * self._shrink,
                markerfacecolor=style.fill,
                markeredgecolor=style.edge,
                markeredgewidth=1.6 * self._shrink,
                linestyle="none",
                zorder=4,
            )

    def _draw_words(self) -> None:
        nodes = [(self._points[name], self._style(name).size * self._shrink / 144) for name in self._topology.nodes]
        lines = [pair for _, points in self._lines for pair in pairwise(points)]
        spokes = [
            (self._points[vertex_of(lan.name)], self._points[end.node]) for lan in self._lans() for end in lan.ends
        ]
        placer = Placer(nodes, [*lines, *spokes])
        for lan in self._lans():
            placer.place([(self._lan_box(lan), 0.0)])
        # Names first, for a node without one says nothing; the short ones are the easier to place, so they come last.
        for name in sorted(self._topology.nodes, key=lambda name: -len(self._name(name))):
            box = placer.place(self._name_boxes(name))
            self._write(self._name(name), box, self._name_size, INK, 6)
        for link, points in self._lines:
            text = link_label(link)
            if text and link.type not in self._common:
                box = placer.place(list(self._label_boxes(text, points)))
                self._write(text, box, self._label_size, link_style(link.type).colour, 5)

    def _write(self, text: str, box: Box, size: float, colour: str, zorder: int) -> None:
        self._words.append(box)
        self._text(
            box.middle,
            text,
            ha="center",
            va="center_baseline" if not box.degrees else "center",
            rotation=box.degrees,
            rotation_mode="anchor" if box.degrees else None,
            fontsize=size,
            color=colour,
            zorder=zorder,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6, "alpha": 0.82},
        )

    def _text(self, at: Point, text: str, **look: Any) -> None:
        self._axes.text(*at, text, parse_math=False, **look)

    def _name(self, node: str) -> str:
        label = self._topology.nodes[node].attributes.get("label") or node
        label = label if len(label) <= 28 else label[:27] + "…"
        if len(label) <= 14 or " " not in label:
            return label
        middle = min((match.start() for match in re.finditer(" ", label)), key=lambda at: abs(at - len(label) / 2))
        return f"{label[:middle]}\n{label[middle + 1 :]}"

    def _name_boxes(self, node: str) -> list[tuple[Box, float]]:
        x, y = self._points[node]
        width, height = size_of(self._name(node), self._name_size)
        radius = self._style(node).size * self._shrink / 144 + 0.05
        down, side, corner = radius + height / 2, radius + width / 2 + 0.02, 0.72 * radius
        inwards = 1 if x < self._middle else -1  # words go outwards rather than into the network
        return [
            (Box((x, y - down), width, height), 0.0),
            (Box((x, y + down), width, height), 0.5),
            (Box((x - inwards * side, y), width, height), 1.0),
            (Box((x + inwards * side, y), width, height), 1.1),
            *(
                (Box((x + sx * (corner + width / 2), y + sy * (corner + height / 2)), width, height), 1.5)
                for sx in (-inwards, inwards)
                for sy in (-1, 1)
            ),
        ]

    def _label_boxes(self, text: str, points: list[Point]) -> Iterator[tuple[Box, float]]:
        """Yield boxes along a line, from its middle outwards, beside it and on it."""
        width, height = size_of(text, self._label_size)
        for share in (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74):
            index = min(int(share * (len(points) - 1)), len(points) - 2)
            (ax, ay), (bx, by) = points[index], points[index + 1]
            part = share * (len(points) - 1) - index
            x, y = ax + (bx - ax) * part, ay + (by - ay) * part
            length = hypot(bx - ax, by - ay) or 1.0
            angle = degrees(atan2(by - ay, bx - ax))
            angle = angle - 180 if angle > 90 else angle + 180 if angle <= -90 else angle
            away = height / 2 + 0.035
            normal = (-(by - ay) / length * away, (bx - ax) / length * away)
            cost = abs(share - 0.5) * 8
            for side in (1, -1) if normal[1] >= 0 else (-1, 1):
                middle = (x + side * normal[0], y + side * normal[1])
                yield Box(middle, width, height, angle), cost + (0.0 if side == 1 else 0.2)

    def _common_labels(self) -> Iterator[tuple[str, str]]:
        """Yield the types of which so many links say the same that once is enough, and what they say."""
        labels: dict[str, list[str]] = {}
        for link in self._topology.links.values():
            labels.setdefault(link.type, []).append(link_label(link))
        for type_name, of_type in labels.items():
            if len(of_type) > _MOST_LABELS and len(set(of_type)) == 1:
                yield type_name, of_type[0]

    def _draw_title(self, x0: float, y1: float) -> None:
        nodes, links = len(self._topology.nodes), len(self._topology.links)
        name = Path(self._topology.name).name if ":" not in self._topology.name else self._topology.name
        self._text((x0 + 0.2, y1 - 0.2), name, ha="left", va="center", fontsize=11, color=INK, weight="bold")
        words = f"{nodes} node{'s' * (nodes != 1)}, {links} link{'s' * (links != 1)}"
        self._text((x0 + 0.2, y1 - 0.4), words, ha="left", va="center", fontsize=7.5, color=PALE)


def _pair(link: Link) -> tuple[str, str]:
    first, second = sorted(end.node for end in link.ends)
    return first, second


def _bent(first: Point, second: Point, bend: float) -> list[Point]:
    """Return a line, or a curve that is ``bend`` inches away from it in its middle."""
    if not bend:
        return [first, second]
    dx, dy = second[0] - first[0], second[1] - first[1]
    length = sqrt(dx * dx + dy * dy) or 1.0
    nx, ny = -dy / length * bend * 2, dx / length * bend * 2
    points = []
    for step in range(17):
        t = step / 16
        off = 2 * t * (1 - t)
        points.append((first[0] + dx * t + nx * off, first[1] + dy * t + ny * off))
    return points

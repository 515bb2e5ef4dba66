"""What nodes and links look like, by their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from qemunet.topology import Link
from qemunet.topology.keys import split_directions

Pattern = Literal["-"] | tuple[float, tuple[float, ...]]

INK = "#1f2933"
PALE = "#6b7785"
PAPER = "#ffffff"


@dataclass(frozen=True)
class NodeStyle:
    """A marker of matplotlib's, its size in points, its fill and its edge."""

    marker: str
    size: float
    fill: str
    edge: str


@dataclass(frozen=True)
class LinkStyle:
    """A colour, a width in points and a pattern of matplotlib's."""

    colour: str
    width: float
    pattern: Pattern


NODES: Mapping[str, NodeStyle] = {
    "qemu": NodeStyle("s", 21, "#cfe3fb", "#1b5fab"),
    "container": NodeStyle("h", 25, "#d3f0e0", "#157a4c"),
    "host": NodeStyle("^", 23, "#fff0c2", "#a87900"),
    "router": NodeStyle("o", 22, "#fbdccb", "#b84a12"),
    "olsr": NodeStyle("8", 23, "#ecdcfa", "#6d33a8"),
    "bridge": NodeStyle("D", 17, "#e4e8ed", "#4a5563"),
}
LINKS: Mapping[str, LinkStyle] = {
    "wire": LinkStyle("#4a5563", 1.7, "-"),
    "csma": LinkStyle("#1b5fab", 2.2, "-"),
    "p2p": LinkStyle("#b84a12", 1.7, "-"),
    "wifi": LinkStyle("#6d33a8", 1.7, (0.0, (2.0, 2.0))),
}
_OTHER_MARKERS = ("p", "P", "v", "*", "X", "<", ">")
_OTHER_COLOURS = (
    ("#f8d3e2", "#a8265f"),
    ("#d3eef2", "#0f7482"),
    ("#e7f0c3", "#5e7410"),
    ("#f1e0d6", "#7c4a2d"),
)


def node_style(type_name: str) -> NodeStyle:
    """Return the look of a type of node; one from elsewhere has a look of its own too, always the same."""
    if type_name in NODES:
        return NODES[type_name]
    number = _number(type_name)
    fill, edge = _OTHER_COLOURS[number % len(_OTHER_COLOURS)]
    return NodeStyle(_OTHER_MARKERS[number % len(_OTHER_MARKERS)], 23, fill, edge)


def link_style(type_name: str) -> LinkStyle:
    """Return the look of a type of link; one from elsewhere has a look of its own too, always the same."""
    if type_name in LINKS:
        return LINKS[type_name]
    return LinkStyle(_OTHER_COLOURS[_number(type_name) % len(_OTHER_COLOURS)][1], 1.7, "-")


def link_label(link: Link) -> str:
    """Return what stands at a link: its rate and delay, a Wi-Fi's standard."""
    values = (link.attributes.get(key, "") for key in ("standard", "rate", "delay"))
    return " · ".join(_short(value) for value in values if value and value not in ("0", "0ms"))


def _short(value: str) -> str:
    """Return a value with distributions cut to their kind and mean, in each direction where they differ."""
    parts = [_short_direction(part) for part in split_directions(value)]
    return parts[0] if len(set(parts)) == 1 else "/".join(parts)


def _short_direction(value: str) -> str:
    name, bracket, rest = value.partition("(")
    if not bracket:
        return value
    mean = next((word.strip(" )") for word in rest.split(",") if word.strip().startswith("mean=")), "")
    return f"{name}({mean.removeprefix('mean=') or '…'})"


def _number(text: str) -> int:
    return int(sha256(text.encode()).hexdigest()[:8], 16)

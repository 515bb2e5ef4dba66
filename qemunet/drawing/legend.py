"""What stands below a picture: a sample of every type in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from qemunet.drawing.labels import size_of
from qemunet.drawing.style import PALE, LinkStyle, NodeStyle, link_style, node_style
from qemunet.topology import Topology

_POINTS = 8
_SAMPLE_INCHES = 0.62
_SAMPLE_SHARE = 0.45  # of a node's size


@dataclass(frozen=True)
class Entry:
    """A sample and what it is."""

    text: str
    style: NodeStyle | LinkStyle

    @property
    def width(self) -> float:
        """Inches that it takes."""
        return _SAMPLE_INCHES + size_of(self.text, _POINTS)[0]


def legend_of(topology: Topology, common: Mapping[str, str]) -> list[Entry]:
    """Return a sample of each type of node and link.

    Args:
        topology: The network.
        common: What all links of a type say, where that is said once.
    """
    nodes = dict.fromkeys(node.type for node in topology.nodes.values())
    links = dict.fromkeys(link.type for link in topology.links.values())
    return [
        *(Entry(type_name, node_style(type_name)) for type_name in nodes),
        *(Entry(f"{type_name} {common.get(type_name, '')}".rstrip(), link_style(type_name)) for type_name in links),
    ]


def draw_legend(axes: Axes, entries: Sequence[Entry], middle: float, y: float) -> None:
    """Draw samples in a row around a middle."""
    x = middle - sum(entry.width for entry in entries) / 2
    for entry in entries:
        style = entry.style
        if isinstance(style, NodeStyle):
            axes.plot(
                [x + 0.26],
                [y],
                linestyle="none",
                marker=style.marker,
                markersize=style.size * _SAMPLE_SHARE,
                markerfacecolor=style.fill,
                markeredgecolor=style.edge,
                markeredgewidth=1.1,
            )
        else:
            axes.plot([x + 0.12, x + 0.36], [y, y], color=style.colour, linewidth=style.width, linestyle=style.pattern)
        axes.text(
            x + 0.44, y, entry.text, ha="left", va="center_baseline", fontsize=_POINTS, color=PALE, parse_math=False
        )
        x += entry.width

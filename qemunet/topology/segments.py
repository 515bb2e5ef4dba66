"""Segments: links and lans that bridges join are one segment with one subnet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from qemunet.topology.links import WrittenLink
from qemunet.topology.model import Node
from qemunet.topology.problems import Place
from qemunet.topology.statements import WrittenEnd

Warnings = list[tuple[Place, str]]


@dataclass(slots=True)
class Segment:
    """A segment.

    Attributes:
        links: In order of the source.
        takers: Ends that take an address though none is written: all but those of bridging nodes.
    """

    links: list[WrittenLink] = field(default_factory=list)
    takers: list[WrittenEnd] = field(default_factory=list)

    @property
    def ends(self) -> list[WrittenEnd]:
        """All its ends, in order of the source."""
        return [end for link in self.links for end in link.ends]


def settle_bridges(nodes: dict[str, Node], links: Sequence[WrittenLink]) -> None:
    """Make every ``bridge=auto`` yes where the node has more than one interface, else no."""
    if all(node.attributes.get("bridge") != "auto" for node in nodes.values()):
        return
    interfaces = Counter(end.node for link in links for end in link.ends)
    for name, node in nodes.items():
        if node.attributes.get("bridge") == "auto":
            bridge = "yes" if interfaces[name] > 1 else "no"
            nodes[name] = replace(node, attributes={**node.attributes, "bridge": bridge})


def find_segments(links: Sequence[WrittenLink], nodes: Mapping[str, Node], warnings: Warnings) -> list[Segment]:
    """Return the segments in order of appearance; loops of bridges go to ``warnings``."""
    joined: dict[int | str, int | str] = {}

    def root(of: int | str) -> int | str:
        while (above := joined.setdefault(of, of)) != of:
            joined[of] = joined[above]  # halve the path
            of = joined[of]
        return of

    for index, link in enumerate(links):
        for end in link.ends:
            if nodes[end.node].bridges:
                mine, theirs = root(index), root(end.node)
                if mine == theirs:
                    message = f"{end.node} closes a loop of bridging nodes; frames will circulate for ever"
                    warnings.append((end.place, message))
                joined[mine] = theirs
    segments: dict[int | str, Segment] = {}
    for index, link in enumerate(links):
        segment = segments.setdefault(root(index), Segment())
        segment.links.append(link)
        segment.takers += (end for end in link.ends if not nodes[end.node].bridges)
    return list(segments.values())

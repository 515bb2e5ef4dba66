"""What a topology is once it is read: frozen data, with ranges, defaults, names and addresses filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qemunet.topology.problems import Place
from qemunet.topology.registry import NODE_TYPES

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True)
class Node:
    """A node.

    Attributes:
        name: Unique in the topology; a guest's hostname.
        type: Name of a node type: ``qemu``, ``container``, ``host``, ``router``, ``olsr``, ``bridge`` or another package's.
        attributes: Its keys as text, those of ``default`` statements included.
        place: Where it is written.
        places: Where each of its keys is written.
    """

    name: str
    type: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    place: Place = field(default=Place("", 0, 0), compare=False, repr=False)
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)

    @property
    def bridges(self) -> bool:
        """Whether it joins all its interfaces into one segment."""
        return self.attributes.get("bridge") == "yes" or self.role == "bridge"

    @property
    def role(self) -> str:
        """What its type makes of it: ``guest``, ``host``, ``router`` or ``bridge``."""
        return NODE_TYPES[self.type].role

    @property
    def is_guest(self) -> bool:
        """Whether something runs behind it that frames pass to and from through doors."""
        return self.role == "guest"

    def place_of(self, key: str) -> Place:
        """Where a key is written, or the node where it is not."""
        return self.places.get(key, self.place)


@dataclass(frozen=True)
class End:
    """An end of a link or lan: an interface of a node.

    Attributes:
        node: Name of the node.
        interface: Name of the interface, unique in the node.
        mac: ``02:..``, a hash of node and interface.
        addresses: All, with prefix length: those written, then those given.
        written: How many of them are written in the source.
    """

    node: str
    interface: str
    mac: str
    addresses: tuple[str, ...] = ()
    written: int = field(default=0, compare=False)
    place: Place = field(default=Place("", 0, 0), compare=False, repr=False)


@dataclass(frozen=True)
class Link:
    """A link between two ends.

    Attributes:
        name: Unique among links and lans.
        type: Name of a link type: ``wire``, ``csma``, ``p2p`` or another package's.
        ends: In order of the source; two (a Lan: any number from one).
        attributes: Its keys as text, those of ``default`` statements included.
        segment: Number of its segment; links and lans of one segment share subnets.
        place: Where it is written.
        places: Where each of its keys is written.
    """

    name: str
    type: str
    ends: tuple[End, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)
    segment: int = 0
    place: Place = field(default=Place("", 0, 0), compare=False, repr=False)
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)

    def place_of(self, key: str) -> Place:
        """Where a key is written, or the link where it is not."""
        return self.places.get(key, self.place)


@dataclass(frozen=True)
class Lan(Link):
    """A network of any number of ends."""


@dataclass(frozen=True)
class Topology:
    """A network.

    Attributes:
        name: What it was read as: a file's name. Two topologies are equal when they are the same network, whatever
            the name, the parameters and the words of their sources.
        nodes: By name, in order of the source.
        links: Links and lans by name, in order of the source.
        options: As text.
        parameters: All that the source declares, with the values used, as text.
        text: The source as given.
        warnings: What is allowed but seldom meant, as ``file:line:column: message``.
        option_places: Where each option is written.
    """

    name: str = field(compare=False)
    nodes: Mapping[str, Node]
    links: Mapping[str, Link]
    options: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict, compare=False)
    text: str = field(default="", compare=False, repr=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)
    option_places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)

    def attach_of(self, node: str) -> str:
        """How a node's guest is joined to the simulation: its own ``attach``, else the option, else native."""
        return self.nodes[node].attributes.get("attach") or self.options.get("attach", "native")

    def graph(self) -> networkx.MultiGraph[str]:
        """Return the nodes and links as a graph of networkx.

        A link is an edge with its name as key; a lan is an edge between any two of its ends. Nodes and edges carry
        ``type`` and the attributes as text, edges also ``interfaces`` (interface by node).
        """
        from itertools import combinations

        import networkx

        graph: networkx.MultiGraph[str] = networkx.MultiGraph()
        for node in self.nodes.values():
            graph.add_node(node.name, **{**node.attributes, "type": node.type})
        for link in self.links.values():
            for first, second in combinations(link.ends, 2):
                interfaces = {first.node: first.interface, second.node: second.interface}
                attributes = {**link.attributes, "type": link.type, "interfaces": interfaces}
                graph.add_edge(first.node, second.node, key=link.name, **attributes)
        return graph

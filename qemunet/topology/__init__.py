"""Topologies: what users write, read into frozen data."""

from __future__ import annotations

from qemunet.topology.model import End, Lan, Link, Node, Topology
from qemunet.topology.problems import Place
from qemunet.topology.sources import declared_parameters, parse_topology, read_topology, source_directory
from qemunet.topology.write import write_topology

__all__ = [
    "End",
    "Lan",
    "Link",
    "Node",
    "Place",
    "Topology",
    "declared_parameters",
    "parse_topology",
    "read_topology",
    "source_directory",
    "write_topology",
]

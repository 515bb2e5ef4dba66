"""The running network: the one room that joins host, simulation, guests and Tasks."""

from __future__ import annotations

from qemunet.testbed.bed import Guest, Testbed
from qemunet.testbed.links import Link, links_record
from qemunet.testbed.opening import open_testbed

__all__ = ["Guest", "Link", "Testbed", "links_record", "open_testbed"]

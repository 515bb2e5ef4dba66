"""The YAML format, written."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from qemunet.errors import TopologyError
from qemunet.topology.formats.expanded import rows
from qemunet.topology.model import Topology
from qemunet.topology.read import LINK_KEYWORDS

_WIDE = 1 << 20  # no line is folded
_RESERVED = {*LINK_KEYWORDS, "ends"}


def write(topology: Topology) -> str:
    """Return the topology in YAML.

    Raises:
        TopologyError: the format cannot say it.
    """
    document: dict[str, object] = {}
    if topology.options:
        document["options"] = {key: _literal(text) for key, text in topology.options.items()}
    document["nodes"] = {
        node.name: {"type": node.type, **_literals(node.attributes)} for node in topology.nodes.values()
    }
    links: list[dict[str, object]] = []
    problems = []
    for row in rows(topology):
        link = row.link
        problems += [
            f"{link.place_of(key)}: link {link.name}: key {key} has another meaning in YAML"
            for key in link.attributes
            if key in _RESERVED
        ]
        name = {"name": row.name} if row.name else {}
        if row.is_lan:
            head: dict[str, object] = {"lan": link.name, "type": link.type, "ends": list(row.ends)}
        else:
            head = {"link": list(row.ends), "type": link.type, **name}
        links.append({**head, **_literals(link.attributes)})
    if problems:
        raise TopologyError(problems)
    if links:
        document["links"] = links
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(
        document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=_WIDE, default_flow_style=None
    )
    return text


def _literals(attributes: Mapping[str, str]) -> dict[str, str]:
    return {key: _literal(text) for key, text in attributes.items()}


def _literal(text: str) -> str:
    """Return a text as it is written where no parameter is meant in it."""
    return text.replace("${", "$${")

"""The text format, written."""

from __future__ import annotations

import re
from collections.abc import Mapping

from qemunet.topology.formats.expanded import rows
from qemunet.topology.model import Topology

_BARE = re.compile(r"[^\s\\'\"()#]*(?:#[^\s\\'\"()#]*)*")
_CALL = re.compile(r"[^\s\\'\"()#]*(?:\((?:[^\\'\"()#]|\([^\\'\"()#]*\))*\)[^\s\\'\"()#]*)+")


def write(topology: Topology) -> str:
    """Return the topology in the text format, one statement a line.

    Raises:
        TopologyError: the format cannot say it.
    """
    lines = [_line("option", [], {key: text}) for key, text in topology.options.items()]
    width = max((len(name) for name in topology.nodes), default=0)
    nodes = [
        _line("node   ", [quoted(node.name).ljust(width), node.type], node.attributes)
        for node in topology.nodes.values()
    ]
    links = []
    for row in rows(topology):
        names = {"name": row.name} if row.name else {}
        if row.is_lan:
            links.append(_line("lan    ", [row.link.name, row.link.type, *row.ends], row.link.attributes))
        else:
            links.append(_line("link   ", [*row.ends, row.link.type], {**names, **row.link.attributes}))
    blocks = ["\n".join(block) + "\n" for block in (lines, nodes, links) if block]
    return "\n".join(blocks)


def _line(keyword: str, words: list[str], pairs: Mapping[str, str]) -> str:
    return " ".join([keyword, *words, *(quoted(f"{key}={text}") for key, text in pairs.items())])


def quoted(text: str) -> str:
    """Return a word as it is written, quoted where it must be; no parameter is meant in it."""
    text = text.replace("${", "$${")
    if not text.startswith("#") and (_BARE.fullmatch(text) or _CALL.fullmatch(text)):
        return text
    key, equals, _ = text.partition("=")
    start = key + equals if equals and _BARE.fullmatch(key) else ""
    rest = text[len(start) :]
    if "'" not in rest:
        return f"{start}'{rest}'"
    escaped = re.sub(r'([$`"\\])', r"\\\1", rest)
    return f'{start}"{escaped}"'

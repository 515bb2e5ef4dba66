"""Writing a topology, in any of the formats."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from qemunet.errors import TopologyError
from qemunet.topology.model import Topology
from qemunet.topology.problems import did_you_mean, shown

_MODULES = {"text": "text_writer", "yaml": "yaml_writer", "graphml": "graphml_writer", "json": "json_writer"}
_FORMATS = {".txt": "text", ".yaml": "yaml", ".yml": "yaml", ".graphml": "graphml", ".json": "json"}

FORMATS = tuple(_MODULES)
"""Formats that can be written."""


def write_topology(topology: Topology, target: str | Path | None = None, *, format: str | None = None) -> str:
    """Write a topology as it is when nothing is left to be filled in: ranges, defaults, names and addresses are.

    Reading it gives the same topology.

    Args:
        topology: The network.
        target: Path of a file to write; without, the text is only returned.
        format: ``text``, ``yaml``, ``graphml`` or ``json`` (node-link); without, the suffix of ``target`` says it
            (``.txt``, ``.yaml``, ``.yml``, ``.graphml``, ``.json``), and text is returned where there is no target.

    Returns:
        What was written.

    Raises:
        TopologyError: no such format, a topology that the format cannot say, or a file that cannot be written.
    """
    if format is None:
        format = "text" if target is None else _format_of(Path(target))
    if format not in _MODULES:
        hint = did_you_mean(format, _MODULES) or f"; formats are {', '.join(_MODULES)}"
        raise TopologyError([f"{shown(format)} is no format that can be written{hint}"])
    text: str = import_module(f"qemunet.topology.formats.{_MODULES[format]}").write(topology)
    if target is not None:
        try:
            Path(target).write_text(text, encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise TopologyError([f"{target}: cannot be written: {reason}"]) from None
    return text


def _format_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        known = ", ".join(_FORMATS)
        hint = did_you_mean(suffix, _FORMATS) or f"; its suffix is one of {known}"
        what = f"{shown(suffix)} is no suffix of a format that can be written" if suffix else "the file has no suffix"
        raise TopologyError([f"{path}: {what}{hint}"])
    return _FORMATS[suffix]

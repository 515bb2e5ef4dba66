"""What a topology is read from: a file in any of the formats, or one of topohub's networks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from qemunet.errors import TopologyError
from qemunet.topology.lexer import LARGEST_TEXT
from qemunet.topology.model import Topology
from qemunet.topology.read import parse_text, text_parameters

HUB = "topohub:"
"""What a source begins with that is a network of topohub's."""

_MODULES = {
    ".yaml": "yaml_source",
    ".yml": "yaml_source",
    ".graphml": "graphml_source",
    ".json": "json_source",
}


class _Format(Protocol):
    def parse(self, text: str, *, name: str, parameters: Mapping[str, str]) -> Topology: ...

    def declared(self, text: str, *, name: str) -> Mapping[str, str]: ...


class _Text:
    """The text format: the reader of whatever has no other suffix."""

    parse = staticmethod(parse_text)
    declared = staticmethod(text_parameters)


def parse_topology(text: str, *, name: str = "topology.txt", parameters: Mapping[str, str] | None = None) -> Topology:
    """Read a topology that is text.

    Args:
        text: The source.
        name: What messages call it. Its suffix tells the format: ``.yaml`` (or ``.yml``), ``.graphml``, ``.json``; any
            other is the text format.
        parameters: Values for parameters that the source declares.

    Raises:
        TopologyError: every mistake there is.
    """
    if Path(name).suffix.lower() == ".py":
        raise TopologyError([f"{name}:1:1: a program is not parsed; read_topology runs it"])
    return _format(name).parse(text, name=name, parameters=dict(parameters or {}))


def read_topology(source: str | Path, *, parameters: Mapping[str, str] | None = None) -> Topology:
    """Read a topology from a file, or from topohub.

    Args:
        source: Path of a file: text, YAML, GraphML, node-link JSON or Python, told by its suffix; or a network such as
            ``topohub:topozoo/Abilene``.
        parameters: Values for parameters that the source declares.

    Raises:
        TopologyError: the source cannot be read, or every mistake in it.
    """
    name = str(source)
    given = dict(parameters or {})
    if name.startswith(HUB):
        from qemunet.topology.formats import hub

        return hub.read(name, parameters=given)
    if Path(source).suffix.lower() == ".py":
        from qemunet.topology.formats import python_source

        return python_source.read(Path(source), _text_of(source), parameters=given)
    return parse_topology(_text_of(source), name=name, parameters=given)


def declared_parameters(source: str | Path) -> Mapping[str, str]:
    """Return the parameters that a source declares, with their defaults; other mistakes in it are ignored.

    Raises:
        TopologyError: the source cannot be read.
    """
    name = str(source)
    if name.startswith(HUB):
        from qemunet.topology.formats import hub

        return hub.declared()
    text = _text_of(source)
    if Path(source).suffix.lower() == ".py":
        from qemunet.topology.formats import python_source

        return python_source.declared(Path(source), text)
    return _format(name).declared(text, name=name)


def source_directory(source: str | Path) -> Path:
    """Return what paths in a source are relative to: the directory of its file."""
    return Path.cwd() if str(source).startswith(HUB) else Path(source).resolve().parent


def _format(name: str) -> _Format:
    module = _MODULES.get(Path(name).suffix.lower())
    return cast(_Format, import_module(f"qemunet.topology.formats.{module}") if module else _Text)


def _text_of(source: str | Path) -> str:
    try:
        with Path(source).open("rb") as file:
            content = file.read(4 * LARGEST_TEXT + 1)  # more than any text of so many characters
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TopologyError(
            [f"{source}: cannot be read: {reason}"],
            hint="Give the path of a topology file, such as topologies/pair.txt, or topohub:topozoo/Abilene.",
        ) from None
    if len(content) > 4 * LARGEST_TEXT:
        raise TopologyError([f"{source}:1:1: the text is too large; at most {LARGEST_TEXT} characters are read"])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8")) + 1
        raise TopologyError([f"{source}:{line}:{column}: byte 0x{content[error.start]:02x} is not UTF-8"]) from None

"""``ns`` for an experiment's ``extend``: the whole of ns-3, of which only the headers that are used get parsed."""

from __future__ import annotations

import re
from typing import Any

from qemunet.simulation.native import ns3_directory

#: Needs the libraries of a desktop; no model is in it.
_SKIPPED = "visualizer"

#: A class, enumeration or alias as ns-3's headers define it; a forward declaration ends in ``;``.
_TYPE = re.compile(r"^(?:(?:class|struct|enum(?: class)?) (\w+)\b[^;]*$|using (\w+) =)", re.MULTILINE)
#: A function: ns-3 writes its name at the start of a line.
_FUNCTION = re.compile(r"^(?:\w[^;(\n]* )?(\w+)\(", re.MULTILINE)

_ALWAYS = ("simulator.h", "node.h", "node-list.h", "net-device.h", "channel.h", "nstime.h", "object.h")


class Namespace:
    """C++'s ``ns3``, as ``from ns import ns`` gives it, but a header is parsed when a name of it is first used.

    That takes 1 s and then a tenth of a second or so for each header, against 10 s for everything.
    ``ns.cppyy`` is cppyy itself.
    """

    def __init__(self) -> None:
        import cppyy
        import libcppyy

        self.cppyy = cppyy
        self._headers: tuple[dict[str, list[str]], dict[str, list[str]]] | None = None
        libcppyy.AddSmartPtrType("Ptr")
        directory = ns3_directory()
        cppyy.add_include_path(str(directory / "include"))
        # Libraries before headers, else symbols are not found.
        for library in sorted((directory / "lib64").glob("libns3.*-*.so")):
            if _SKIPPED not in library.name:
                cppyy.load_library(str(library))
        for header in _ALWAYS:
            cppyy.include(f"ns3/{header}")
        # A node belongs to ns-3's NodeList: Python must not delete one that was made as ns.Node().
        self._nodes: list[Any] = []

        def keep(node: Any) -> None:
            # A function, which becomes a method of the node; `append` itself would be called without it.
            self._nodes.append(node)

        cppyy.gbl.ns3.Node.__del__ = keep

    def __getattr__(self, name: str) -> Any:
        """Called when a name is used for the first time: from then on it is an attribute."""
        if name.startswith("__"):
            raise AttributeError(name)
        scope = self.cppyy.gbl.ns3
        types, functions = self._index()
        # Also where C++ knows the name already: it may be declared only, not defined.
        for header in types.get(name, ()):
            self.cppyy.include(f"ns3/{header}")
        found = getattr(scope, name, None)
        for header in functions.get(name, ()):
            if found is not None:
                break
            self.cppyy.include(f"ns3/{header}")
            found = getattr(scope, name, None)
        if found is None:
            raise AttributeError(f"ns-3 has no {name}")
        setattr(self, name, found)
        return found

    def _index(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Name -> headers that define a type of this name, and name -> headers with such a function."""
        if self._headers is None:
            types: dict[str, list[str]] = {}
            functions: dict[str, list[str]] = {}
            for header in sorted((ns3_directory() / "include" / "ns3").glob("*.h")):
                if header.name.endswith("-module.h"):
                    continue
                text = header.read_text("utf-8", "replace")
                for name in {match[match.lastindex or 0] for match in _TYPE.finditer(text)}:
                    types.setdefault(name, []).append(header.name)
                for name in {match[1] for match in _FUNCTION.finditer(text)}:
                    functions.setdefault(name, []).append(header.name)
            self._headers = types, functions
        return self._headers

"""Writes the table of ns-3's types and attributes that topologies are checked by.

    .venv/bin/python scripts/ns3_attributes.py        (make attributes does it)

rewrites ``qemunet/topology/ns3-attributes.json`` from the ns3 package and the native library that are installed. It
is needed after a change of the ns3 version, or of attributes in qemunet/native; a test in tests/ns3 compares the two.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qemunet.simulation.native import native_library, ns3_directory

TABLE = Path(__file__).parent.parent / "qemunet" / "topology" / "ns3-attributes.json"

#: The visualizer needs the libraries of a desktop; no model is in it.
_SKIPPED = ("visualizer",)
_OBSOLETE = 2


def _in_order(libraries: dict[str, Path]) -> Iterator[str]:
    """The modules, each after those that it needs."""
    needs = {}
    for module, path in libraries.items():
        dynamic = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
        needs[module] = {other for other, library in libraries.items() if f"[{library.name}]" in dynamic} - {module}
    done: dict[str, None] = {}

    def visit(module: str) -> None:
        if module not in done:
            for other in sorted(needs[module]):
                visit(other)
            done[module] = None

    for module in sorted(libraries):
        visit(module)
    yield from done


def _describe(type_id: Any) -> dict[str, list[Any]]:
    """Attributes by name: kind of value, what is known of it, flags (1 get, 2 set, 4 at construction)."""
    found = {}
    for index in range(type_id.GetAttributeN()):
        attribute = type_id.GetAttribute(index)
        if int(attribute.supportLevel) == _OBSOLETE:
            continue
        kind = str(attribute.checker.GetValueTypeName()).removeprefix("ns3::")
        detail = str(attribute.checker.GetUnderlyingTypeInformation())
        kind = kind.split("<")[0].removesuffix("Value")
        flags = int(attribute.flags) & (7 if attribute.accessor.HasSetter() else 5)
        found[str(attribute.name)] = [kind, detail, flags]
    return dict(sorted(found.items()))


def table() -> dict[str, Any]:
    """The whole table, as the file has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cppyy
    directory = ns3_directory()
    cppyy.add_include_path(str(directory / "include"))
    libraries = {path.stem.split("-", 1)[1]: path for path in (directory / "lib64").glob("libns3.*-*.so")}
    for module in _SKIPPED:
        libraries.pop(module, None)
    cppyy.load_library(str(libraries["core"]))
    for header in ("type-id.h", "attribute.h"):
        cppyy.include(f"ns3/{header}")
    type_id = cppyy.gbl.ns3.TypeId
    # A module's types are those that are there after it and were not before.
    modules: dict[str, str] = {}
    for module in (*_in_order(libraries), ""):
        path = libraries[module] if module else native_library()
        cppyy.load_library(str(path))
        for number in range(type_id.GetRegisteredN()):
            modules.setdefault(str(type_id.GetRegistered(number).GetName()), module)
    types = {}
    for number in range(type_id.GetRegisteredN()):
        one = type_id.GetRegistered(number)
        types[str(one.GetName())] = {
            "parent": str(one.GetParent().GetName()),
            "module": modules[str(one.GetName())],
            "made": bool(one.HasConstructor()),
            "attributes": _describe(one),
        }
    return dict(sorted(types.items()))


def text() -> str:
    """The file: one type a line, so that a change of one is a change of its line."""
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in table().items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        print(text(), end="")
    else:
        TABLE.write_text(text(), encoding="utf-8")
        print(f"{TABLE}: {len(json.loads(TABLE.read_text(encoding='utf-8')))} types")

"""Holds the import table of the house: one direction, heavy libraries only where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "qemunet"

LEAVES = {"errors", "units", "progress", "process", "metrics", "native"}

MAY_IMPORT = {
    **{leaf: set() for leaf in LEAVES},
    "topology": LEAVES,
    "plan": LEAVES | {"topology"},
    "host": LEAVES | {"plan.model"},
    "simulation": LEAVES | {"plan.model"},
    "guest": LEAVES | {"plan.model", "tasks.protocols", "tasks.task"},
    "tasks": LEAVES,
    "results": LEAVES | {"topology.problems"},
    "experiment": LEAVES,
    "drawing": LEAVES | {"topology"},
    "testbed": LEAVES | {"topology", "plan", "host", "simulation", "guest", "tasks", "results", "experiment"},
    "report": LEAVES | {"topology", "results", "drawing"},
    "signals": set(),
    "run": LEAVES | {"topology", "plan", "results", "experiment", "testbed", "signals"},
    "batch": LEAVES | {"host", "topology", "plan", "results", "experiment", "run", "signals"},
    "cli": LEAVES
    | {
        "topology",
        "plan",
        "host",
        "guest",
        "results",
        "experiment",
        "run",
        "drawing",
        "batch",
        "report",
        "signals",
        "cli",
    },
    "": {"tasks"},
}
"""For each room (module or folder of the package; "" is the package itself): the rooms and modules it may import."""

PICTURES = {"matplotlib", "numpy", "scipy"}
NUMBERS = {"numpy", "scipy", "pandas", "pyarrow"}

ONLY_USERS = {
    "pyroute2": {"host"},
    "cppyy": {"simulation"},
    "ns": {"simulation"},
    "pexpect": {"guest"},
    "qemu": {"guest"},
    "matplotlib": {"drawing", "report"},
} | {library: {"drawing", "results", "batch", "report"} for library in NUMBERS}


def imports_of(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            # `from qemunet import x` may name a module; `from qemunet.a import b` is held to a, or a.b where that is one.
            names += [
                f"{base}.{alias.name}" if (PACKAGE / _file(f"{base}.{alias.name}")).exists() else base
                for alias in node.names
            ]
    return names


def _file(module: str) -> str:
    parts = module.split(".")[1:]
    path = "/".join(parts)
    return path if (PACKAGE / path).is_dir() else f"{path}.py"


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_import_table(path: Path) -> None:
    room = room_of(path)
    assert room in MAY_IMPORT, f"{room}: a new room needs its row in the table"
    for name in imports_of(path):
        top = name.split(".")[0]
        users = ONLY_USERS.get(top, {room})
        assert room in users, f"{path} imports {name}, which only {', '.join(sorted(users))} may"
        if top != "qemunet" or name == "qemunet":
            continue
        target = name.removeprefix("qemunet.")
        own = room and (target == room or target.startswith(f"{room}."))
        allowed = any(target == entry or target.startswith(f"{entry}.") for entry in MAY_IMPORT[room])
        assert own or allowed, f"{path} imports {name}, which {room or 'the package'} may not"


def test_tasks_needs_trio_and_nothing_else() -> None:
    for path in (PACKAGE / "tasks").glob("*.py"):
        for name in imports_of(path):
            top = name.split(".")[0]
            assert top in {"qemunet", "trio"} or top in sys.stdlib_module_names, f"{path} imports {name}"


def test_importing_qemunet_loads_no_heavy_library() -> None:
    code = "import qemunet, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    assert loaded.isdisjoint({"ns", "cppyy", "pyroute2", "pexpect", "qemu", "networkx", "yaml", "rich", *PICTURES}), (
        loaded
    )


def test_check_loads_only_what_it_needs(tmp_path: Path) -> None:
    topology = tmp_path / "t.txt"
    topology.write_text("node a qemu\nnode b qemu\nlink a b\n")
    code = (
        "import sys; from qemunet.cli.main import main; status = main(['check', sys.argv[1]]);"
        "print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(topology)], check=True, capture_output=True, text=True)
    loaded = set(done.stderr.split())
    assert loaded.isdisjoint({"ns", "cppyy", "pyroute2", "pexpect", "qemu", "networkx", "yaml", "rich", *PICTURES}), (
        loaded
    )

"""Types of nodes and links that an installed package brings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, Bench

EXAMPLE = ROOT / "topologies" / "types"


def install(package: Path, target: Path) -> None:
    """Install a package for real, beside what is there."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--disable-pip-version-check", "--target", str(target), str(package)], check=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("source") / "types"
    shutil.copytree(EXAMPLE, copy)
    target = tmp_path_factory.mktemp("site")
    install(copy, target)
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{site}:{ROOT}")


TOPOLOGY = """\
node   a  container
node   e  echo  port=4000
node   r  router
node   f  echo
option routing=static
link   a  e  wire  delay=1ms
link   e  r  simple  delay=5ms
lan    l  simple  r f a  delay=2ms
"""

EXPERIMENT = """\
async def experiment(bed):
    a = bed.guests["a"]
    ask = "printf hello | socat -t 5 -T 5 - UDP:{}"
    assert await a.succeed(ask.format("10.0.0.2:4000")) == "hello"
    assert await a.succeed(ask.format("10.0.2.2:7")) == "hello"
    await a.succeed("ping -c 1 -W 5 10.0.1.2")
"""


@pytest.mark.usefixtures("installed")
@pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened")
def test_nodes_and_links_of_a_package(bench: Bench) -> None:
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), bench.file("e.py", EXPERIMENT))
    assert record["verdict"] == "passed", done.stderr


@pytest.mark.usefixtures("installed")
def test_mistakes_in_their_words(bench: Bench) -> None:
    text = "node a ecko\nnode b echo prot=4\nnode c echo port=0\nnode echo host\nnode d host\nlink d b simpel\n"
    done = bench.qemunet("check", bench.file("t.txt", text))
    assert done.returncode == 2
    for place, words in {
        "1:8": "did you mean 'echo'?",
        "2:13": "did you mean 'port'?",
        "3:13": "a port is a number from 1 to 65535",
        "4:6": "the names of types are reserved",
        "6:10": "did you mean 'simple'?",
    }.items():
        assert any(f"t.txt:{place}: " in line and words in line for line in done.stderr.splitlines()), done.stderr


def test_a_type_that_no_package_brings(bench: Bench) -> None:
    done = bench.qemunet("check", bench.file("t.txt", "node a echo\n"))
    assert done.returncode == 2
    assert "t.txt:1:8: 'echo' is no type of node" in done.stderr


BROKEN = {
    "missing": ("nowhere:X", "cannot be loaded: ModuleNotFoundError"),
    "raises": ("broken_types:RAISES", "cannot be loaded: AttributeError"),
    "wrong": ("broken_types:WRONG", "is str, not NodeType"),
    "idle": ("broken_types:IDLE", "has no build"),
    "guest": ("broken_types:GUEST", "has role guest"),
    "fails": ("broken_types:FAILS", None),
}

BROKEN_MODULE = """\
from qemunet.topology.registry import NodeType
WRONG = "echo"
IDLE = NodeType("x", role="host")
GUEST = NodeType("x", build="broken_types:make")
FAILS = NodeType("x", role="host", build="broken_types:make")
def make(ns, node, attributes):
    raise RuntimeError("not today")
"""


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "broken"
    source.mkdir()
    text = (EXAMPLE / "pyproject.toml").read_text().replace("example-types", "broken").replace("example_", "")
    head, _, tail = text.partition('[project.entry-points."qemunet.node_types"]')
    entries = "\n".join(f'{name} = "{value}"' for name, (value, _) in BROKEN.items())
    tail = tail.partition("[tool.scikit-build]")[2].replace("qemunet_types", "broken_types")
    (source / "pyproject.toml").write_text(
        f'{head}[project.entry-points."qemunet.node_types"]\n{entries}\n\n[tool.scikit-build]{tail}'
    )
    (source / "broken_types").mkdir()
    (source / "broken_types" / "__init__.py").write_text(BROKEN_MODULE)
    install(source, tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{ROOT}")


@pytest.mark.usefixtures("broken")
def test_broken_types_are_named(bench: Bench) -> None:
    names = [name for name, (_, why) in BROKEN.items() if why]
    topology = bench.file("t.txt", "\n".join(f"node n{number} {name}" for number, name in enumerate(names)))
    done = bench.qemunet("check", topology)
    assert done.returncode == 2
    for number, name in enumerate(names, 1):
        line = next(line for line in done.stderr.splitlines() if f"t.txt:{number}:9: " in line)
        assert f"type {name} of package qemunet-broken" in line
        assert BROKEN[name][1] in line  # type: ignore[operator]
    # Who does not use them does not hear of them.
    assert bench.qemunet("check", bench.file("u.txt", "node a container\n")).returncode == 0


@pytest.mark.usefixtures("broken")
def test_a_function_that_fails(bench: Bench) -> None:
    experiment = bench.file("e.py", "async def experiment(bed):\n    pass\n")
    done, record = bench.run(bench.file("t.txt", "node a fails\n"), experiment)
    assert (done.returncode, record["error"]["layer"]) == (4, "simulation")
    assert "node a: type fails (broken_types:make) failed: RuntimeError: not today" in record["error"]["message"]

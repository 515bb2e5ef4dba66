"""``qemunet convert``, ``generate``, ``draw`` and ``check`` as a user types them."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from qemunet.cli.main import main
from qemunet.topology import parse_topology, read_topology

PAIR = "param kind = qemu\nnode a ${kind}\nnode b ${kind}\nlink a b rate=10Mbps delay=20ms\n"


def test_convert_through_every_format_and_back(tmp_path: Path) -> None:
    (tmp_path / "net.txt").write_text(PAIR)
    files = [tmp_path / f"net{suffix}" for suffix in (".txt", ".yaml", ".graphml", ".json", ".yml", ".2.txt")]
    assert main(["convert", str(files[0]), str(files[1]), "-p", "kind=container"]) == 0
    for source, target in pairwise(files[1:]):
        assert main(["convert", str(source), str(target)]) == 0
    assert read_topology(files[-1]) == parse_topology(PAIR, parameters={"kind": "container"})


def test_convert_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.txt").write_text(PAIR)
    assert main(["convert", str(tmp_path / "net.txt"), "-", "--format=yaml"]) == 0
    assert parse_topology(capsys.readouterr().out, name="net.yaml") == parse_topology(PAIR)
    assert main(["convert", "topohub:topozoo/Abilene", "-", "-p", "routing=none"]) == 0
    assert parse_topology(capsys.readouterr().out).options == {"routing": "none"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["convert", "net.txt", "net.svg"], "'.svg' is no suffix of a format that can be written"),
        (["convert", "net.txt", "net.graphlm"], "did you mean '.graphml'"),
        (["convert", "none.txt", "net.yaml"], "none.txt: cannot be read: No such file or directory"),
        (["convert", "net.txt", "net.yaml", "-p", "knid=qemu"], "did you mean 'kind'"),
        (["generate", "ringg", "3"], "did you mean 'ring'"),
        (["generate", "ring", "3", "-p", "kind=qmeu"], "did you mean 'qemu'"),
        (["generate", "ring", "3", "-o", "none/net.txt"], "cannot be written"),
        (["draw", "net.txt", "-o", "net.bmp"], "write .svg or .png"),
        (["draw", "net.txt", "-o", "net.svg", "-p", "kind=qmeu"], "did you mean 'qemu'"),
        (["check", "topohub:topozoo/Abilen"], "did you mean 'topozoo/Abilene'"),
        (["check", "topohub:topozoo/Abilene", "-p", "kidn=qemu"], "did you mean kind"),
    ],
)
def test_mistakes_are_input_errors(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.txt").write_text(PAIR)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err


def test_generate_prints_or_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "grid", "2", "3", "-p", "kind=qemu"]) == 0
    text = capsys.readouterr().out
    for name in ("net.txt", "net.yaml"):
        assert main(["generate", "grid", "2", "3", "-p", "kind=qemu", "-o", str(tmp_path / name)]) == 0
        assert read_topology(tmp_path / name) == parse_topology(text)
    assert (tmp_path / "net.txt").read_text() == text
    assert capsys.readouterr().out == ""


def test_check_and_draw_take_every_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.txt").write_text(PAIR)
    sources = ["topohub:topozoo/Abilene", str(tmp_path / "net.txt")]
    for suffix in ("yaml", "graphml", "json"):
        sources.append(str(tmp_path / f"net.{suffix}"))
        assert main(["convert", sources[1], sources[-1]]) == 0
    (tmp_path / "net.py").write_text(
        "from qemunet.topology import read_topology\n"
        f"def topology(**parameters):\n    return read_topology({sources[1]!r}, parameters=parameters)\n"
    )
    sources.append(str(tmp_path / "net.py"))
    for source in sources:
        capsys.readouterr()
        parameters = ["-p", "kind=container"] if source.endswith((".txt", ".py", "Abilene")) else []
        assert main(["check", source, *parameters]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{source}: ")
        assert ("container" in out) == bool(parameters)
        assert main(["draw", source, "-o", str(tmp_path / "net.svg"), *parameters]) == 0
        assert "<svg" in (tmp_path / "net.svg").read_text(encoding="utf-8")


def test_what_only_pictures_and_graphs_need_is_not_loaded_by_others(tmp_path: Path) -> None:
    (tmp_path / "net.txt").write_text(PAIR)
    code = (
        "import sys; from qemunet.cli.main import main\n"
        "import qemunet.run; main(['convert', sys.argv[1], '-']); main(['generate', 'ring', '3'])\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "net.txt")], check=True, capture_output=True, text=True
    )
    loaded = set(done.stderr.split())
    assert loaded.isdisjoint({"matplotlib", "networkx", "numpy", "scipy", "topohub", "yaml"}), loaded

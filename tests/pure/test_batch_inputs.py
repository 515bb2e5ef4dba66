"""Which files a run reads, and their way to another computer."""

from __future__ import annotations

from pathlib import Path

from qemunet.batch.inputs import are_here, digests, input_files, pack, unpack


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_the_sources_name_is_found_and_nothing_else(tmp_path: Path) -> None:
    topology = write(
        tmp_path / "topologies/t.txt", "link a b delay=empirical(delays/wan.txt)\nnode c qemu kernel=/bin/sh\n"
    )
    delays = write(tmp_path / "topologies/delays/wan.txt", "1ms\n")
    experiment = write(
        tmp_path / "experiments/e.py",
        "import helper, trio\nfrom tools.plots import draw\n# not named: other\nDATA = '../data/load.csv'\n",
    )
    helper = write(tmp_path / "experiments/helper.py", "import deeper\n")
    deeper = write(tmp_path / "experiments/deeper.py", "from helper import *\n")
    plots = write(tmp_path / "experiments/tools/plots.py", "")
    data = write(tmp_path / "data/load.csv", "1,2\n")
    write(tmp_path / "experiments/unused.py", "")
    found = input_files(str(topology), experiment)
    assert set(found) == {topology, delays, experiment, helper, deeper, plots, data}


def test_a_topology_that_is_no_file_is_none(tmp_path: Path) -> None:
    experiment = write(tmp_path / "e.py", "")
    assert input_files("topohub:topozoo/Abilene", experiment) == [experiment]


def test_inputs_that_differ_are_sent_and_keep_their_places(tmp_path: Path) -> None:
    topology = write(tmp_path / "a/t.txt", "node a\n")
    experiment = write(tmp_path / "b/e.py", "pass\n")
    files = input_files(str(topology), experiment)
    wanted = digests(files)
    assert are_here(wanted)
    packed = pack(files)
    topology.write_text("node b\n")
    assert not are_here(wanted)
    topology.unlink()
    assert not are_here(wanted)
    unpack(packed, tmp_path / "there")
    assert Path(f"{tmp_path / 'there'}{topology}").read_text() == "node a\n"
    assert Path(f"{tmp_path / 'there'}{experiment}").read_text() == "pass\n"

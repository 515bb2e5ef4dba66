"""Pictures: everything is in them, nothing stands on something else."""

from __future__ import annotations

import re
from dataclasses import replace
from math import hypot
from pathlib import Path
from xml.etree import ElementTree

import pytest

from qemunet.drawing import draw_topology
from qemunet.drawing.layout import place_all
from qemunet.drawing.style import link_label
from qemunet.errors import InputError
from qemunet.topology import Node, Topology, parse_topology, read_topology
from qemunet.topology.generate import generate

OFFICE = """\
node  c[1-4] container
node  s[1-3] qemu
node  gw     qemu  label='The gateway of $the office'
lan   office  csma  c[1-4] gw  rate=100Mbps
lan   servers csma  s[1-3] gw
link  gw s1  rate=10Mbps/1Mbps delay=20ms
link  gw s1  rate=5Mbps
link  gw s1
node  x container
node  y container
link  x y
node  alone container
"""


def words_of(svg: Path) -> list[str]:
    root = ElementTree.parse(svg).getroot()
    return [text for element in root.iter() if element.tag.endswith("text") for text in element.itertext() if text]


def with_positions(topology: Topology, positions: dict[str, str]) -> Topology:
    nodes = {
        name: replace(node, attributes={**node.attributes, "position": positions[name]})
        for name, node in topology.nodes.items()
    }
    return replace(topology, nodes=nodes)


def nearest(topology: Topology) -> float:
    points = list(place_all(topology).values())
    return min(hypot(a[0] - b[0], a[1] - b[1]) for i, a in enumerate(points) for b in points[:i])


def test_all_that_there_is_stands_in_the_picture(tmp_path: Path) -> None:
    draw_topology(parse_topology(OFFICE, name="dir/office.txt"), tmp_path / "net.svg")
    words = words_of(tmp_path / "net.svg")
    wanted = ["c1", "c4", "s3", "x", "y", "alone", "office: 100Mbps", "servers", "10Mbps/1Mbps · 20ms", "5Mbps"]
    for word in (*wanted, "office.txt", "11 nodes", "container", "qemu", "csma", "wire"):
        assert any(word in text for text in words), word
    assert "The gateway" in " ".join(words)
    assert "$the" in " ".join(words)


@pytest.mark.parametrize(
    ("delay", "words"),
    [
        ("normal(mean=12.6ms, p99=26.1ms, min=1ms)/5ms", "normal(12.6ms)/5ms"),
        ("5ms/normal(mean=3ms, std=1ms)", "5ms/normal(3ms)"),
        ("normal(mean=3ms,std=1ms)/normal(mean=4ms,std=1ms)", "normal(3ms)/normal(4ms)"),
        ("mixture(1:1ms, 1:uniform(1ms, 2ms))", "mixture(…)"),
        ("20ms/20ms", "20ms"),
    ],
)
def test_each_direction_of_a_delay_stands_at_its_link(delay: str, words: str) -> None:
    topology = parse_topology(f"node a host\nnode b host\nlink a b delay='{delay}'")
    assert link_label(topology.links["a-b"]) == words


@pytest.mark.filterwarnings("error")
def test_characters_that_the_font_has_not(tmp_path: Path) -> None:
    draw_topology(parse_topology("node a host label=日本"), tmp_path / "net.png")


def test_the_same_topology_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_topology(parse_topology(OFFICE), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_png(tmp_path: Path) -> None:
    draw_topology(parse_topology(OFFICE), tmp_path / "net.PNG")
    assert (tmp_path / "net.PNG").read_bytes().startswith(b"\x89PNG")


def test_types_differ_in_shape_and_colour(tmp_path: Path) -> None:
    types = ["qemu", "container", "host", "router", "olsr", "bridge", "of_a_plugin"]
    nodes = {type_name: Node(type_name, type_name) for type_name in types}
    draw_topology(Topology("t", nodes, {}), tmp_path / "net.svg")
    text = (tmp_path / "net.svg").read_text(encoding="utf-8")
    markers = re.findall(r'<path id="m[0-9a-f]+" d="([^"]+)"\s+style="([^"]+)"', text)
    assert len({fill for _, fill in markers}) >= len(types)
    assert len({shape for shape, _ in markers}) >= len(types)


@pytest.mark.parametrize("text", ["", "node a qemu", "node a qemu\nnode b qemu", "node a qemu\nlan l csma a"])
def test_small_networks(text: str, tmp_path: Path) -> None:
    draw_topology(parse_topology(text), tmp_path / "net.svg")
    assert ("node a" in text) == any(word == "a" for word in words_of(tmp_path / "net.svg"))


@pytest.mark.parametrize(
    ("shape", "numbers"),
    [("chain", [12]), ("ring", [9]), ("star", [40]), ("grid", [5, 7]), ("tree", [3, 3]), ("fat-tree", [4])],
)
def test_nothing_stands_on_something_else(shape: str, numbers: list[int]) -> None:
    topology = parse_topology(generate(shape, numbers))
    assert nearest(topology) > 0.45


def test_a_grid_is_unfolded_along_the_axes() -> None:
    topology = parse_topology(generate("grid", [4, 6]))
    points = place_all(topology)
    for link in topology.links.values():
        (ax, ay), (bx, by) = (points[end.node] for end in link.ends)
        assert 1.4 < hypot(ax - bx, ay - by) < 2.1
        assert min(abs(ax - bx), abs(ay - by)) < 0.3
    assert len({round(x) for x, _ in points.values()}) > len({round(y) for _, y in points.values()})


def test_a_chain_is_straight() -> None:
    points = place_all(parse_topology(generate("chain", [7])))
    assert [points[f"n{number}"][0] for number in range(1, 8)] == sorted(x for x, _ in points.values())
    assert {round(y, 6) for _, y in points.values()} == {0.0}


def test_given_positions_are_kept() -> None:
    topology = parse_topology("node a qemu\nnode b qemu\nnode c qemu\nchain a b c")
    points = place_all(with_positions(topology, {"a": "0,0", "b": "100,0,5", "c": "100,-50"}))
    (ax, ay), (bx, by), (cx, cy) = points["a"], points["b"], points["c"]
    assert (by - ay, cx - bx) == pytest.approx((0.0, 0.0))
    assert ay - cy == pytest.approx((bx - ax) / 2)
    laid = place_all(with_positions(topology, {"a": "0,0", "b": "0,0", "c": "0,0"}))
    assert laid == place_all(topology)


@pytest.mark.parametrize("network", ["topozoo/Abilene", "topozoo/Geant2012", "topozoo/Internode"])
def test_networks_of_topohub(network: str, tmp_path: Path) -> None:
    topology = read_topology(f"topohub:{network}")
    draw_topology(topology, tmp_path / "net.svg")
    words = words_of(tmp_path / "net.svg")
    for link in topology.links.values():
        assert link.attributes["delay"] in ("0ms", *words)
    assert nearest(topology) > 0.4


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    topology = parse_topology("node a qemu")
    with pytest.raises(InputError, match=r"'.gif' is no suffix of a picture; write .svg or .png"):
        draw_topology(topology, tmp_path / "net.gif")
    with pytest.raises(InputError, match="cannot be written: No such file"):
        draw_topology(topology, tmp_path / "none" / "net.svg")

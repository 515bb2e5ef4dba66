"""Mistakes in YAML, JSON and GraphML: all at once, each at its place, with the nearest known word."""

from __future__ import annotations

import pytest

from qemunet.errors import TopologyError
from qemunet.topology import parse_topology


def problems(text: str, suffix: str, **parameters: str) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        parse_topology(text, name=f"net.{suffix}", parameters=parameters)
    return caught.value.problems


def assert_found(found: tuple[str, ...], expected: list[tuple[str, str]]) -> None:
    assert len(found) == len(expected), found
    for line, (place, says) in zip(found, expected, strict=True):
        assert line.startswith(place + ": "), line
        assert says in line


def test_mistakes_in_yaml() -> None:
    text = """\
parameters: {rate: 10Mbps}
optons: {routing: none}
options: {rooting: none}
defaults:
  wire: {rte: 1Mbps}
  qemuu: {memory: 128MiB}
nodes:
  client: {type: qemu, memroy: 128MiB}
  server: {type: qemuu}
  r2: {type: qemu, memory: 128}
  r2: {type: qemu}
  r4: {Memory: 64MiB, type: qemu}
  r5: {}
  r6: qemu
links:
- {link: [client, r2], type: wire, rate: "${rte}"}
- {link: [client, r3]}
- {link: [client, r2], loss: 120%}
- {link: [client, r2], type: wirre}
- {lnk: [client, r2]}
- {link: [client, r2], lan: x}
- link: ["client:eth7@10.0.0.1/24", 'r2:eth7@10.0.0.1/24']
- lan: air
  type: csma
- {lan: air, ends: [client, r2]}
- {link: [client, {r2: x}]}
- {link: [client]}
- client r2
- !!map {link: &x [client, r2], rate: *x}
"""
    expected = [
        ("net.yaml:2:1", "did you mean 'options'?"),
        ("net.yaml:3:11", "did you mean 'routing'?"),
        ("net.yaml:5:10", "did you mean 'rate'?"),
        ("net.yaml:6:3", "did you mean 'qemu'?"),
        ("net.yaml:8:24", "did you mean 'memory'?"),
        ("net.yaml:9:18", "did you mean 'qemu'?"),
        ("net.yaml:10:20", "such as 128MiB"),
        ("net.yaml:11:3", "'r2' is given twice, first in line 10"),
        ("net.yaml:12:8", "'Memory' is no key of node; did you mean 'memory'?"),
        ("net.yaml:13:3", "node 'r5' has no type"),
        ("net.yaml:14:3", "node 'r6' has no type"),
        ("net.yaml:14:7", "a single value stands here; a node is a mapping"),
        ("net.yaml:16:43", "parameter 'rte' is not declared; did you mean 'rate'?"),
        ("net.yaml:17:19", "did you mean 'r4'?"),
        ("net.yaml:18:24", "0% to 100%"),
        ("net.yaml:19:30", "did you mean 'wire'?"),
        ("net.yaml:20:4", "did you mean 'link'?"),
        ("net.yaml:21:24", "lan beside link"),
        ("net.yaml:22:46", "address 10.0.0.1 is used twice"),
        ("net.yaml:23:3", "this lan has no ends"),
        ("net.yaml:25:4", "this lan has no type"),
        ("net.yaml:26:19", "an end is a mapping"),
        ("net.yaml:27:4", "a link has two ends, not 1"),
        ("net.yaml:28:3", "a single value stands here; an item of links is a mapping"),
        ("net.yaml:29:3", "has no tags"),
        ("net.yaml:29:16", "anchor &x"),
        ("net.yaml:29:39", "alias *x"),
    ]
    assert_found(problems(text, "yaml"), expected)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("nodes: {a: {type: qemu}", "2:1", "this is not YAML"),
        ("nodes:\n  a: b: c", "2:7", "mapping values are not allowed"),
        ("- a", "1:1", "a list; a topology is a mapping of parameters, options"),
        ("hello", "1:1", "a single value; a topology is a mapping"),
        ("nodes: {a: {type: qemu}}\n---\nnodes: {}", "2:1", "a second document"),
        ('nodes: {a: {type: qemu, append: "a\\nb"}}', "1:33", "U+000A cannot stand"),
        ("nodes: {a: {type: qemu, append: 'a\n\n  b'}}", "1:33", "U+000A cannot stand"),
        ("nodes: {a: {type: qemu}}\x07", "1:25", "U+0007 cannot stand"),
        ("nodes: {a: {type: qemu, [x]: y}}", "1:25", "a list or mapping cannot be a key"),
        ("nodes: {a: {type: [qemu]}}", "1:19", "type is a list; it is a single value"),
        ("nodes: {a: {type: qemu, image: [x]}}", "1:32", "image is a list; a key has one value"),
        ("nodes: [a]", "1:8", "a list stands here; nodes is a mapping"),
        ("nodes: {a: {type: qemu}}\nlinks: {a: b}", "2:8", "a mapping stands here; links is a list"),
        ("parameters: {1x: 3}", "1:14", "a parameter's name"),
        ("parameters: {x: [3]}", "1:17", "parameter x is a list"),
        ("nodes: {a=b: {type: qemu}}", "1:9", "a name begins with a letter"),
        ("options: {seed: [1]}", "1:17", "seed is a list"),
        ("[[[[[[[[[]]]]]]]]]", "1:9", "nested more than 8 deep"),
        ("nodes: {a: {type: qemu}, b: {type: qemu}}\nlinks: [{chain: []}]", "2:17", "a chain needs ends"),
    ],
)
def test_yaml_that_is_no_topology(text: str, place: str, says: str) -> None:
    assert_found(problems(text, "yaml"), [(f"net.yaml:{place}", says)])


def test_every_scalar_of_yaml_is_text() -> None:
    text = """\
nodes:
  no: {type: qemu, label: yes, append: 010}
  y: {type: qemu, label: 10:11:22:33:44:55, append: ~}
  null: {type: qemu, label: 1e3, append: 2001-01-01}
  on: {type: qemu, label: '', append: 0x1F}
"""
    topology = parse_topology(text, name="net.yaml")
    assert [(node.name, *node.attributes.values()) for node in topology.nodes.values()] == [
        ("no", "yes", "010"),
        ("y", "10:11:22:33:44:55", "~"),
        ("null", "1e3", "2001-01-01"),
        ("on", "", "0x1F"),
    ]


def test_yaml_has_all_statements() -> None:
    yaml = """\
parameters: {rate: 1Mbps, N: 3}
options: {ipv6: 'fd00::/48'}
defaults: {link: {mtu: 1400}, qemu: {memory: 64MiB}}
nodes:
  n[1-${N}]: {type: qemu}
  hub: {type: container, bridge: yes}
links:
- {link: [n1:wan@10.0.9.1, n2], rate: "${rate}", name: one}
- {lan: air, type: csma, ends: [n1, 'n2@10.1.0.9/24', n3], subnet: 10.1.0.0/24}
- {star: [hub, 'n[1-3]'], type: csma}
- {ring: ['n[1-3]']}
- {chain: "n[1-3]", delay: 1ms/2ms}
- mesh: [n1, n2]
"""
    text = """\
param rate = 1Mbps
param N = 3
option ipv6=fd00::/48
default link mtu=1400
default qemu memory=64MiB
node n[1-${N}] qemu
node hub container bridge=yes
link n1:wan@10.0.9.1 n2 rate=${rate} name=one
lan air csma n1 n2@10.1.0.9/24 n3 subnet=10.1.0.0/24
star hub n[1-3] csma
ring n[1-3]
chain n[1-3] delay=1ms/2ms
mesh n1 n2
"""
    assert parse_topology(yaml, name="net.yaml") == parse_topology(text)
    other = {"rate": "2Mbps", "N": "4"}
    assert parse_topology(yaml, name="net.yaml", parameters=other) == parse_topology(text, parameters=other)


def test_mistakes_in_json() -> None:
    text = """\
{"nodes": [
  {"id": "client", "type": "qemu", "memroy": "128MiB"},
  {"id": "server", "type": "qemuu"},
  {"id": "r2", "type": "qemu", "memory": 128, "memory": 1},
  {"id": "client", "type": "qemu"},
  {"name": "x"},
  {"id": "r3", "type": "qemu", "label": ["a"]},
  {"id": "air", "type": "csma"}, 7],
 "graph": {"rooting": "none"},
 "edges": [
  {"source": "client", "target": "r4"},
  {"source": "client", "target": "r2", "loss": 1.2},
  {"source": "client", "target": "r2", "type": "wirre"},
  {"source": "client"},
  {"source": "client", "target": "r2", "ends": "client r3"},
  {"source": "r2", "target": "air", "ends": "r2:eth0"},
  {"source": "r2", "target": "r3", "ends": "r2:eth0 r3"}
]}
"""
    expected = [
        ("net.json:2:46", "did you mean 'memory'?"),
        ("net.json:3:28", "did you mean 'qemu'?"),
        ("net.json:4:42", "such as 128MiB"),
        ("net.json:4:47", "'memory' is given twice"),
        ("net.json:5:10", "node 'client' is given twice"),
        ("net.json:6:3", "no id stands here"),
        ("net.json:7:32", "is a list or a mapping; a key has one value"),
        ("net.json:8:34", "a single value stands here; a node is an object"),
        ("net.json:9:23", "did you mean 'routing'?"),
        ("net.json:11:34", "did you mean 'r3'?"),
        ("net.json:12:48", "0 to 1"),
        ("net.json:13:48", "did you mean 'wire'?"),
        ("net.json:14:3", "no target stands here"),
        ("net.json:15:48", "are not those of this edge, client and r2"),
        ("net.json:16:45", "interface r2:eth0 is used twice"),
    ]
    assert_found(problems(text, "json"), expected)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("", "1:1", "the text ends where a value is expected"),
        ('{"nodes": [}', "1:12", "a value is expected here"),
        ('{"nodes": []', "1:13", "a comma or } is expected"),
        ('{"nodes" 3}', "1:10", "a colon is expected"),
        ("{nodes: 3}", "1:2", 'a key in " is expected'),
        ('{"nodes": [1 2]}', "1:14", "a comma or ] is expected"),
        ('{"nodes": []} x', "1:15", "something follows"),
        ('{"nodes": ["a\\x"]}', "1:14", "invalid \\escape"),
        ('{"nodes": ["a', "1:12", "unterminated string"),
        ("[" * 40, "1:33", "nested more than 32 deep"),
        ("[]", "1:1", "a list; a graph is an object"),
        ('{"vertices": []}', "1:1", "no nodes; a node-link graph is an object with nodes and edges (seen: 'vertices')"),
        ('{"nodes": 3}', "1:11", "nodes is a single value; it is a list"),
        ('{"nodes": [{"id": "a", "type": "qemu", "append": "\\u0000"}]}', "1:50", "U+0000 cannot stand"),
    ],
)
def test_json_that_is_no_topology(text: str, place: str, says: str) -> None:
    assert_found(problems(text, "json"), [(f"net.json:{place}", says)])


def test_mistakes_in_graphml() -> None:
    text = """\
<?xml version="1.0"?>
<graphml>
 <key id="t" for="node" attr.name="type" attr.type="string"/>
 <key id="m" for="node" attr.name="memroy" attr.type="string"/>
 <key id="l" for="edge" attr.name="loss" attr.type="double"/>
 <key id="u" for="edge" attr.name="type" attr.type="string"/>
 <graph edgedefault="undirected">
  <node id="client"><data key="t">qemu</data><data key="m">1MiB</data></node>
  <node id="server"><data key="t">qemuu</data></node>
  <node id="r2"><data key="t">qemu</data><data key="mm">1</data></node>
  <node id="client"><data key="t">qemu</data></node>
  <edge source="client" target="r3"/>
  <edge source="client" target="r2"><data key="l">1.2</data></edge>
  <edge source="client" target="r2"><data key="u">wirre</data></edge>
  <edge source="client"/>
  <node/>
  <hyperedge/>
 </graph>
</graphml>
"""
    expected = [
        ("net.graphml:8:46", "did you mean 'memory'?"),
        ("net.graphml:9:21", "did you mean 'qemu'?"),
        ("net.graphml:10:42", "did you mean 'm'?"),
        ("net.graphml:11:3", "node 'client' is given twice"),
        ("net.graphml:12:3", "did you mean 'r2'?"),
        ("net.graphml:13:37", "0 to 1"),
        ("net.graphml:14:37", "did you mean 'wire'?"),
        ("net.graphml:15:3", "no target"),
        ("net.graphml:16:3", "no id"),
        ("net.graphml:17:3", "hyperedges are not read"),
    ]
    assert_found(problems(text, "graphml"), expected)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("", "1:1", "this is not XML: no element found"),
        ("<graphml>", "1:10", "this is not XML"),
        ("<graphml><a></b></graphml>", "1:15", "mismatched tag"),
        ("<graphml/>", "1:1", "there is no graph in it"),
        ("<html/>", "1:1", "there is no graph in it"),
        ('<!DOCTYPE g [<!ENTITY a "b">]><graphml/>', "1:25", "declares no entities"),
        ("<graphml><graph/><graph/></graphml>", "1:18", "a second graph"),
        ("<graphml><graph><node id='a'><graph/></node></graph></graphml>", "1:30", "a second graph"),
        ("<graphml><node id='a'/></graphml>", "1:10", "outside of a graph"),
        ("<graphml><graph><node id='a'><edge/></node></graph></graphml>", "1:30", "inside of a node"),
        ("<a>" * 40, "1:97", "nested more than 32 deep"),
        ("<graphml>\ud800", "1:10", "U+D800 cannot stand"),
    ],
)
def test_graphml_that_is_no_topology(text: str, place: str, says: str) -> None:
    assert_found(problems(text, "graphml"), [(f"net.graphml:{place}", says)])


def test_graphml_of_drawing_programs() -> None:
    text = """\
<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:y="http://www.yworks.com/xml/graphml">
 <key for="node" id="d6" yfiles.type="nodegraphics"/>
 <key attr.name="delay" attr.type="string" for="edge" id="d9"><default>3ms</default></key>
 <graph edgedefault="directed" id="G">
  <node id="n0"><data key="d6"><y:ShapeNode><y:Geometry x="1"/><y:NodeLabel>New York</y:NodeLabel></y:ShapeNode></data></node>
  <node id="n1"/>
  <edge id="e0" source="n0" target="n1"/>
  <edge id="e1" source="n1" target="n0"><data key="d9">
      4ms
  </data></edge>
 </graph>
</graphml>
"""
    topology = parse_topology(text, name="net.graphml", parameters={"kind": "qemu"})
    assert [node.attributes for node in topology.nodes.values()] == [{"label": "New York"}, {}]
    assert [link.attributes for link in topology.links.values()] == [{"delay": "3ms/4ms"}]

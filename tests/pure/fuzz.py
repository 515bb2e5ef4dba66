"""Random and mutated inputs to the readers of topologies: each ends in a Topology or a TopologyError.

``make fuzz`` (``python -m tests.pure.fuzz --inputs=100000``) does at length what test_topology_fuzz.py does in brief.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from pathlib import Path

from qemunet.errors import PlanError, TopologyError
from qemunet.plan import make_plan
from qemunet.topology import Topology, parse_topology, write_topology

TEXT = """\
option ipv6=fd00::/48 seed=3
param N = 3
default link mtu=1400 queue=10
node n[01-${N}]x[1-2] qemu bridge=auto append='a "b' qemu_args="-device 'x y'" # c
node a qemu arch=aarch64 cpu=max,pauth=off nic=e1000 kernel=k initrd=i
lan air csma n[01-3]x1:eth7 a@10.0.0.7/24,fd00:9::1/64 subnet=10.0.0.0/24 rate=1Mbps
mesh n[01-${N}]x2 wire rate=1kbps/2kbps delay=uniform(1ms, (2) ms)/1ms loss=0.5/1% $${x}
link a n01x1 \\
    name=one delay=1ms subnet=none reorder=1%
"""
WIFI = """\
option ns3::WifiRemoteStationManager::RtsCtsThreshold=100 attach=tapbridge
default wifi standard=80211n-5GHz phy.TxPowerStart=16 manager=MinstrelHt
node a container position=0,0,1.5 mobility=RandomWalk2d mobility.Bounds=-5|5|-5|5 area=-5,-5,5,5
node s[1-2]x[1-2] container position=1,2 step=1,0/0,1 velocity=1,-0.5
lan air wifi a s[1-2]x[1-2] mode=infrastructure ap=a ssid=x range=100 propagation=OkumuraHata
link a s1x1 wifi rate=6Mbps standard=80211g mac.FrameRetryLimit=3 propagation.Exponent=2 mtu=1200
link a s1x2 csma device.ReceiveErrorModel=ns3::RateErrorModel[ErrorRate=0.1|ErrorUnit=ERROR_UNIT_PACKET]
link a s2x1 csma channel.DataRate=1Mbps device.Mtu=1400
"""
YAML = """\
# c
parameters: {N: 3, rate: '10Mbps', "kind": qemu}
options: {ipv6: fd00::/48, seed: 3}
defaults:
  link: {mtu: 1400, queue: 10}
nodes:
  n[01-${N}]x[1-2]: {type: "${kind}", bridge: auto, append: 'a "b'}
  a: {type: qemu, arch: aarch64, label: "\\x41 \\u00e9"}
links:
- {lan: air, type: csma, ends: ["n[01-3]x1:eth7", 'a@10.0.0.7/24,fd00:9::1/64'], subnet: 10.0.0.0/24}
- mesh: ["n[01-${N}]x2"]
  rate: 1kbps/2kbps
- link: [a, n01x1]
  name: one
  delay: >-
    1ms
"""
HOSTILE_XML = """\
<?xml version="1.0"?>
<!DOCTYPE g [<!ENTITY a "b"><!ENTITY c SYSTEM "file:///etc/passwd">]>
<graphml><key id="d" for="node" attr.name="type"><default>qemu</default></key><graph edgedefault="directed">
<node id="New York"><data key="d">&a;&c;<![CDATA[x]]></data><x><y/></x></node><edge source="a" target="b"/>
<hyperedge/><graph/></graph></graphml>
"""
FOREIGN_JSON = """\
{"directed": true, "multigraph": false, "graph": {"name": "x", "stats": {"a": [1, 2e3]}},
 "nodes": [{"id": 0, "name": "New \\u0059ork", "pos": [1.5, -2]}, {"id": "b", "label": null, "bridge": true}],
 "links": [{"source": 0, "target": "b", "delay": "1ms", "weight": 3}, {"source": "b", "target": 0, "delay": "2ms"}]}
"""
ALPHABETS = {
    "txt": "abnr019-_:@/[](){}$#'\"\\=.,% \t\n\r\0é٣\u2028\ud800",
    "yaml": "abnr019-_:@/[]{}$#'\"\\=.,%&*!|>?~ \t\n\r\0é\x85\u2028\ud800\ufeff\U0001f600",
    "json": "anr019-_:@/[]{}'\"\\,.eE+u \t\n\r\0é\ud800",
    "graphml": "abd01-_:@/<>&;!?[]'\"=. \t\n\r\0é\ufffe\ud800",
}
TOPOLOGIES = Path(__file__).parents[2] / "topologies"


def seeds() -> dict[str, list[str]]:
    """Inputs that are mutated, by suffix."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(TOPOLOGIES.glob("*.txt"))]
    small = parse_topology(
        "option routing=none\nnode n[1-3] container label='a b'\nchain n[1-3] delay=1ms\nlan l csma n[1-3] rate=1Mbps"
    )
    written = {suffix: write_topology(small, format=suffix) for suffix in ("yaml", "json", "graphml")}
    return {
        "txt": [*texts, TEXT, WIFI],
        "yaml": [YAML, written["yaml"]],
        "json": [FOREIGN_JSON, written["json"]],
        "graphml": [HOSTILE_XML, written["graphml"]],
    }


def survive(text: str, suffix: str = "txt", parameters: dict[str, str] | None = None) -> bool:
    """Read and plan a text; return whether it was right. Whatever but a mistake is raised as it is."""
    name = f"topology.{suffix}"
    try:
        topology = parse_topology(text, name=name, parameters=parameters)
        assert isinstance(topology, Topology)
        make_plan(topology, seed=1, source_directory=None)
    except (TopologyError, PlanError) as error:
        problems = error.problems
    else:
        return True
    assert problems
    assert all(line.startswith(f"{name}:") for line in problems)
    return False


def mutated(text: str, alphabet: str, randomness: random.Random) -> str:
    """Return a text with some of it changed, removed, repeated or moved."""
    characters = list(text)
    for _ in range(randomness.randint(1, 8)):
        at = randomness.randrange(len(characters) + 1)
        match randomness.randrange(4):
            case 0:
                characters[at:at] = randomness.choice(alphabet)
            case 1:
                del characters[at : at + randomness.randint(1, 5)]
            case 2:
                characters[at:at] = characters[: randomness.randint(0, 60)]
            case _:
                other = randomness.randrange(len(characters) + 1)
                characters[at:at] = characters[other : other + randomness.randint(1, 40)]
    return "".join(characters)


def random_text(alphabet: str, randomness: random.Random) -> str:
    """Return characters and bits of syntax in any order."""
    return "".join(randomness.choices(alphabet, k=randomness.randint(0, 200)))


def inputs(suffix: str, count: int, randomness: random.Random) -> list[str]:
    """Return that many inputs: one in five is random, the others are mutated."""
    of_suffix = seeds()[suffix]
    alphabet = ALPHABETS[suffix]
    return [
        random_text(alphabet, randomness)
        if number % 5 == 0
        else mutated(randomness.choice(of_suffix), alphabet, randomness)
        for number in range(count)
    ]


BOMBS = {
    "txt": {
        "doubling parameters": "param a0 = xxxxxxxxxx\n"
        + "".join(f"param a{i + 1} = ${{a{i}}}${{a{i}}}\n" for i in range(60)),
        "long parameter": "param a = " + "x" * 60_000 + "\n" + "node y qemu append=${a}\n" * 5_000,
        "long range": "node n[1-999999999] qemu",
        "multiplied ranges": "node n[1-99999][1-99999][1-99999] qemu",
        "mesh": "node n[1-2000] qemu\nmesh n[1-2000]\n",
        "long lan": "node a qemu\nnode b qemu\n" + "lan l csma a[1-999999] b\n" * 100,
        "brackets": "(" * 300_000,
        "backslashes": "'" + "a\\" * 100_000,
        "digits": "node a qemu cpus=" + "9" * 100_000,
        "long number": "node a qemu memory=1" + "0" * 50_000 + "MiB",
    },
    "yaml": {
        "laughs": "a0: &a0 [x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(60)),
        "brackets": "[" * 300_000,
        "braces": "nodes: " + "{a: " * 100_000,
        "dashes": "links:\n" + "- " * 300_000,
        "questions": "? " * 300_000,
        "doubling parameters": "parameters:\n  a0: xxxxxxxxxx\n"
        + "".join(f"  a{i + 1}: ${{a{i}}}${{a{i}}}\n" for i in range(60)),
        "deep indents": "\n".join(" " * i + "a:" for i in range(2_000)),
        "long scalar": "nodes: {a: {type: '" + "x" * 4_000_000,
        "quotes": "'" * 300_001,
        "documents": "--- a\n" * 100_000,
        "tags": "!" * 100_000 + " a",
    },
    "json": {
        "brackets": "[" * 300_000,
        "braces": '{"a":' * 100_000,
        "nodes": '{"nodes": ' + "[" * 31 + "]" * 31 + "}",
        "backslashes": '"' + "\\" * 1_000_001,
    },
    "graphml": {
        "laughs": '<!DOCTYPE g [<!ENTITY a0 "xxxxxxxxxx">'
        + "".join(f'<!ENTITY a{i + 1} "&a{i};&a{i};&a{i};&a{i};">' for i in range(30))
        + "]><graphml><graph><node id='&a30;'/></graph></graphml>",
        "outside": '<!DOCTYPE g [<!ENTITY a SYSTEM "file:///etc/passwd">]><graphml>&a;</graphml>',
        "elements": "<a>" * 300_000,
        "attributes": "<graphml " + " ".join(f'a{i}="x"' for i in range(100_000)),
        "long name": "<" + "a" * 3_000_000,
    },
}
"""Small texts that would make much of themselves, or deep ones; all of them are mistakes."""


def main() -> int:
    """Survive many inputs; return the exit status."""
    parser = argparse.ArgumentParser(description="Random and mutated inputs to every reader of topologies.")
    parser.add_argument("--inputs", type=int, default=100_000, help="to each reader")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for suffix in BOMBS:
        randomness = random.Random(f"{arguments.seed}{suffix}")
        right, slowest_s = 0, 0.0
        for _ in range(-(-arguments.inputs // 1000)):
            for text in inputs(suffix, min(1000, arguments.inputs), randomness):
                start_s = time.process_time()
                try:
                    right += survive(text, suffix)
                except BaseException:
                    Path(f"fuzz-failed.{suffix}").write_bytes(text.encode("utf-8", "surrogatepass"))
                    print(f"{suffix}: the input that failed is in fuzz-failed.{suffix}", file=sys.stderr)
                    raise
                slowest_s = max(slowest_s, time.process_time() - start_s)
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{suffix}: {arguments.inputs} inputs, {right} of them right; slowest {slowest_s:.2f} s, "
            f"largest memory {peak_mib} MiB",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

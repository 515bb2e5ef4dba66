"""Any text ends in a Topology or a TopologyError, quickly and in bounded memory."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qemunet.errors import PlanError, TopologyError
from qemunet.plan import make_plan
from qemunet.topology import Topology, parse_topology

SEEDS = [
    *(file.read_text(encoding="utf-8") for file in sorted((Path(__file__).parents[2] / "topologies").glob("*.txt"))),
    """\
option ipv6=fd00::/48 seed=3
param N = 3
default link mtu=1400/1500 queue=10
node n[01-${N}]x[1-2] qemu bridge=auto append='a "b' qemu_args="-device 'x y'" # c
node a qemu arch=aarch64 cpu=max,pauth=off nic=e1000 kernel=k initrd=i
lan air csma n[01-3]x1:eth7 a@10.0.0.7/24,fd00:9::1/64 subnet=10.0.0.0/24 rate=1Mbps
mesh n[01-${N}]x2 wire rate=1kbps/2kbps delay=uniform(1ms, (2) ms)/1ms loss=0.5/1% $${x}
link a n01x1 \\
    name=one delay=1ms subnet=none reorder=1%
""",
]
SEEDS.append("""\
option ns3::WifiRemoteStationManager::RtsCtsThreshold=100 attach=tapbridge
default wifi standard=80211n-5GHz phy.TxPowerStart=16 manager=MinstrelHt
node a container position=0,0,1.5 mobility=RandomWalk2d mobility.Bounds=-5|5|-5|5 area=-5,-5,5,5
node s[1-2]x[1-2] container position=1,2 step=1,0/0,1 velocity=1,-0.5
lan air wifi a s[1-2]x[1-2] mode=infrastructure ap=a ssid=x range=100 propagation=OkumuraHata
link a s1x1 wifi rate=6Mbps standard=80211g mac.FrameRetryLimit=3 propagation.Exponent=2 mtu=1200
link a s1x2 csma device.ReceiveErrorModel=ns3::RateErrorModel[ErrorRate=0.1|ErrorUnit=ERROR_UNIT_PACKET]
link a s2x1 csma channel.DataRate=1Mbps device.Mtu=1400
""")
ALPHABET = "abnr019-_:@/[](){}$#'\"\\=.,% \t\n\r\0é٣\u2028\ud800"


def survive(text: str) -> None:
    try:
        topology = parse_topology(text, parameters={"N": "4"} if "param N" in text else {})
        assert isinstance(topology, Topology)
        make_plan(topology, seed=1, source_directory=None)
    except (TopologyError, PlanError) as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(line.startswith("topology.txt:") for line in problems)


@given(st.text(alphabet=st.sampled_from(ALPHABET) | st.characters(), max_size=300))
@settings(max_examples=300, deadline=None)
def test_random_text(text: str) -> None:
    survive(text)


WORDS = [word for text in SEEDS for word in text.split(" ")] + ["\n", "n[1-3]", "${N}", "a:eth0@10.0.0.1/8", "csma"]


@given(st.lists(st.sampled_from(WORDS), max_size=60))
@settings(max_examples=300, deadline=None)
def test_random_words(words: list[str]) -> None:
    survive(" ".join(words))


def mutated(text: str, randomness: random.Random) -> str:
    characters = list(text)
    for _ in range(randomness.randint(1, 8)):
        at = randomness.randrange(len(characters) + 1)
        match randomness.randrange(4):
            case 0:
                characters[at:at] = randomness.choice(ALPHABET)
            case 1:
                del characters[at : at + randomness.randint(1, 5)]
            case 2:
                characters[at:at] = characters[: randomness.randint(0, 60)]
            case _:
                other = randomness.randrange(len(characters) + 1)
                characters[at:at] = characters[other : other + randomness.randint(1, 40)]
    return "".join(characters)


def test_mutated_text() -> None:
    randomness = random.Random(1)
    for _ in range(1500):
        survive(mutated(randomness.choice(SEEDS), randomness))


@pytest.mark.parametrize(
    "text",
    [
        "param a0 = xxxxxxxxxx\n" + "".join(f"param a{i + 1} = ${{a{i}}}${{a{i}}}\n" for i in range(60)),
        "param a = " + "x" * 60_000 + "\n" + "node y qemu append=${a}\n" * 5_000,
        "node n[1-999999999] qemu",
        "node n[1-99999][1-99999][1-99999] qemu",
        "node n[1-2000] qemu\nmesh n[1-2000]\n",
        "node a qemu\nnode b qemu\n" + "lan l csma a[1-999999] b\n" * 100,
        "(" * 300_000,
        "'" + "a\\" * 100_000,
        "node a qemu cpus=" + "9" * 100_000,
        "node a qemu memory=1" + "0" * 50_000 + "MiB",
    ],
)
def test_bombs(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TopologyError):
            parse_topology(text)
        assert tracemalloc.get_traced_memory()[1] < 60 << 20
    finally:
        tracemalloc.stop()

"""Frames over Wi-Fi in a real worker: ad hoc, access points, stations, ranges and movement."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio

from qemunet.plan import make_plan
from qemunet.plan.model import SimulationPlan
from qemunet.simulation.client import ExtendScript, Simulation
from qemunet.simulation.messages import LinkCounters
from qemunet.topology import parse_topology
from qemunet.topology.places import MOBILITY
from qemunet.topology.registry import NODE_TYPES
from qemunet.topology.wifi_keys import STANDARDS
from tests.ns3.conftest import Port, simulate

TWO = "node a container position=0,0\nnode b container position=5,0\n"
THREE = TWO + "node c container position=0,5\n"


def simulation_of(text: str, seed: int = 1) -> SimulationPlan:
    return make_plan(parse_topology(text), seed=seed, source_directory=None).simulation


def macs_of(plan: SimulationPlan) -> list[bytes]:
    return [bytes.fromhex(end.mac.replace(":", "")) for link in plan.links for end in link.ends]


def packet(target: bytes, source: bytes, payload: bytes = bytes(100), ethertype: int = 0x0800) -> bytes:
    return target + source + ethertype.to_bytes(2, "big") + payload


BROADCAST = b"\xff" * 6


async def air(simulation: Simulation) -> LinkCounters:
    (counters,) = (await simulation.counters()).links["air"]
    return counters


@pytest.mark.parametrize("ethertype", [0x0800, 0x0806, 0x86DD, 0x88CC, 60])
def test_ad_hoc_frames_cross_unchanged(tmp_path: Path, ethertype: int) -> None:
    plan = simulation_of(THREE + "lan air wifi a b c")
    a_mac, b_mac, _ = macs_of(plan)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (simulation, (a, b, c)):
            sent = packet(BROADCAST, a_mac, bytes(range(60)), ethertype)
            await a.send(sent)
            assert await b.receive() == sent
            assert await c.receive() == sent
            sent = packet(b_mac, a_mac, bytes(1500), ethertype if ethertype != 60 else 0x0800)
            await a.send(sent)
            assert await b.receive() == sent
            assert await c.receive_all(quiet_s=0.05) == []
            counters = await air(simulation)
            assert (counters.sent_frames, counters.delivered_frames) == (2, 3)
            assert (counters.sent_bytes, counters.delivered_bytes) == (74 + 1514, 2 * 74 + 1514)

    trio.run(main)


def test_a_frame_in_another_name_is_refused_and_counted(tmp_path: Path) -> None:
    plan = simulation_of(TWO + "lan air wifi a b")
    a_mac, b_mac = macs_of(plan)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (simulation, (a, b)):
            await a.send(packet(b_mac, b"\x02" + bytes(5)))
            await a.send(packet(b_mac, a_mac, b"mine"))
            assert await b.receive() == packet(b_mac, a_mac, b"mine")
            door = (await simulation.counters()).doors[0]
            assert (door.in_frames, door.in_malformed) == (1, 1)

    trio.run(main)


@pytest.mark.parametrize("standard", ["80211g", "80211ax-5GHz"])
@pytest.mark.parametrize("mode", ["mode=adhoc", "ap=a", "ap=h", "mode=adhoc h"])
def test_nothing_that_guests_send_ends_the_simulation(tmp_path: Path, mode: str, standard: str) -> None:
    """Any addresses, type fields and lengths, on guests and an ns-3 host."""
    host = " h" if mode.endswith("h") else ""
    text = f"{THREE}node h host position=5,5\nlan air wifi a b c{host} {mode.removesuffix(' h')} standard={standard}"
    plan = simulation_of(text)
    choose = random.Random(3)
    macs = macs_of(plan)
    groups = [b"\1\x80\xc2\0\0\0", b"\1\0\x5e\0\0\1", b"\x33\x33\0\0\0\1", BROADCAST]
    addresses = [*macs, *groups, bytes(6), b"\x02\x77" + bytes(4)]
    types = [0x0800, 0x0806, 0x86DD, 0x8100, 0x88B5, 0xFFFF, 0, 60, 1500, 1535]

    async def main() -> None:
        async with simulate(plan, tmp_path) as (simulation, ports):
            for number in range(400):
                index = choose.randrange(len(ports))
                source = choose.choice([macs[index]] * 8 + addresses)
                size = choose.choice([0, 1, 46, choose.randrange(1505), 1504])
                data = packet(choose.choice(addresses), source, choose.randbytes(size), choose.choice(types))
                await ports[index].send(data)
                if number % 20 == 0:  # whatever came, so that nobody's queue is full
                    for port in ports:
                        await port.receive_all(quiet_s=0.005)
            counters = (await simulation.counters()).doors
            assert sum(door.in_frames + door.in_malformed for door in counters.values()) == 400

    trio.run(main)


def test_stations_talk_to_each_other_and_hear_no_echo(tmp_path: Path) -> None:
    plan = simulation_of(THREE + "lan air wifi a b c mode=infrastructure")
    _, b_mac, c_mac = macs_of(plan)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (_, (a, b, c)):
            # At time 0, when no station has found its access point yet.
            await b.send(packet(BROADCAST, b_mac))
            assert await a.receive() == packet(BROADCAST, b_mac)
            assert await c.receive() == packet(BROADCAST, b_mac)
            await c.send(packet(b_mac, c_mac, b"to b"))
            assert await b.receive_all(quiet_s=0.1) == [packet(b_mac, c_mac, b"to b")]

    trio.run(main)


def test_a_guest_behind_an_access_point_may_bridge(tmp_path: Path) -> None:
    """Frames pass in names that are no device's, both ways."""
    plan = simulation_of(TWO + "lan air wifi a b ap=a")
    a_mac, b_mac = macs_of(plan)
    other = b"\x02\x99" + bytes(4)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (_, (a, b)):
            await a.send(packet(b_mac, other))
            assert await b.receive() == packet(b_mac, other)
            await b.send(packet(other, b_mac))
            assert await a.receive() == packet(other, b_mac)
            await b.send(packet(a_mac, b_mac))
            assert await a.receive() == packet(a_mac, b_mac)

    trio.run(main)


@pytest.mark.parametrize("mode", ["mode=adhoc", "ap=a"])
def test_nothing_is_heard_beyond_the_range(tmp_path: Path, mode: str) -> None:
    plan = simulation_of(f"{TWO}node c container position=30,0\nlan air wifi a b c range=10 {mode}")
    a_mac, b_mac, c_mac = macs_of(plan)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (simulation, (a, b, c)):
            for target in (BROADCAST, b_mac):
                await a.send(packet(target, a_mac))
                assert await b.receive() == packet(target, a_mac)
            await a.send(packet(c_mac, a_mac))
            await c.send(packet(a_mac, c_mac))
            assert await c.receive_all() == []
            assert await a.receive_all(quiet_s=0.05) == []
            counters = await air(simulation)
            assert counters.dropped_collision + counters.dropped_queue >= 1

    trio.run(main)


def test_a_node_leaves_the_range_and_stays_heard_inside(tmp_path: Path) -> None:
    """At 1000 m/s node b is 20 m away after 15 ms, and outside of 60 m after 55 ms."""
    plan = simulation_of(
        "node a container position=0,0\nnode b container position=5,0 velocity=1000,0\nlan air wifi a b range=60"
    )
    a_mac, b_mac = macs_of(plan)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (_, (a, b)):
            heard = await until_silent(a, b, packet(BROADCAST, a_mac))
            assert heard >= 1
            await b.send(packet(a_mac, b_mac))
            assert await a.receive_all(quiet_s=0.05) == []

    trio.run(main)


async def until_silent(sender: Port, receiver: Port, frame: bytes) -> int:
    """Send until nothing is heard any more; returns how often it was."""
    heard = 0
    with trio.fail_after(20):
        while True:
            await sender.send(frame)
            with trio.move_on_after(0.1) as scope:
                await receiver.sock.recv(4096)
                heard += 1
            if scope.cancelled_caught:
                return heard


@pytest.mark.parametrize("losses", ["", "channel.PropagationLossModel=ns3::FixedRssLossModel[Rss=-50]"])
def test_a_wifi_that_is_down_is_silent(tmp_path: Path, losses: str) -> None:
    plan = simulation_of(f"{TWO}lan air wifi a b {losses}")
    a_mac, b_mac = macs_of(plan)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (simulation, (a, b)):
            await a.send(packet(b_mac, a_mac, b"before"))
            assert await b.receive() == packet(b_mac, a_mac, b"before")
            await simulation.set_link("air", up=False)
            for target in (b_mac, BROADCAST):
                await a.send(packet(target, a_mac, b"lost"))
            assert await b.receive_all() == []
            assert (await air(simulation)).dropped_down == 1
            await simulation.set_link("air", up=True)
            await a.send(packet(b_mac, a_mac, b"after"))
            assert await b.receive() == packet(b_mac, a_mac, b"after")
            counters = await air(simulation)
            assert (counters.dropped_down, counters.dropped_collision, counters.delivered_frames) == (1, 0, 2)

    trio.run(main)


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("mode", ["mode=adhoc", "ap=b"])
def test_every_standard(tmp_path: Path, standard: str, mode: str) -> None:
    plan = simulation_of(f"{TWO}lan air wifi a b {mode} standard={standard}")
    a_mac, b_mac = macs_of(plan)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (_, (a, b)):
            await a.send(packet(b_mac, a_mac))
            assert await b.receive() == packet(b_mac, a_mac)

    trio.run(main)


@pytest.mark.parametrize(
    "keys",
    [
        *(f"standard={name} rate={list(row.rates)[-1]}" for name, row in STANDARDS.items()),
        "manager=MinstrelHt manager.RtsCtsThreshold=0",
        "manager=Aarf phy.TxPowerStart=10 phy.TxPowerEnd=10 mac.FrameRetryLimit=3 device.Mtu=1200",
        "propagation=Friis propagation.Frequency=2.4e9 range=100 propagation_delay=Random",
        "propagation=ThreeGppUma",
        "phy.ChannelSettings={11,20,BAND_2_4GHZ,0} channel.PropagationLossModel=ns3::FriisPropagationLossModel",
    ],
)
def test_models_and_attributes(tmp_path: Path, keys: str) -> None:
    nodes = "node a container position=0,0,2\nnode b container position=3,0,1.5\n"
    plan = simulation_of(f"{nodes}lan air wifi a b {keys}")
    a_mac, b_mac = macs_of(plan)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (_, (a, b)):
            await a.send(packet(b_mac, a_mac))
            assert await b.receive() == packet(b_mac, a_mac)

    trio.run(main)


MOVES = [
    *("RandomWalk2d area=0,0,10,10", "RandomWalk2d mobility.Bounds=-5|15|0|10 mobility.Mode=Time mobility.Time=100ms"),
    *("RandomWaypoint mobility.Speed=ns3::ConstantRandomVariable[Constant=3]", "RandomDirection2d", "GaussMarkov"),
    *("ConstantVelocity velocity=0,1", "ConstantPosition"),
]


@pytest.mark.parametrize("move", MOVES)
def test_every_way_to_move(tmp_path: Path, move: str) -> None:
    plan = simulation_of(
        f"node a container position=5,5\nnode b container position=5,5,1 mobility={move}\nlink a b wifi"
    )
    a_mac, b_mac = macs_of(plan)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (_, (a, b)):
            await a.send(packet(b_mac, a_mac))
            assert await b.receive() == packet(b_mac, a_mac)

    trio.run(main)


def test_no_way_to_move_is_forgotten() -> None:
    with pytest.raises(ValueError, match="use one of") as caught:
        NODE_TYPES["container"].keys["mobility"].parse("Waypoint")  # type: ignore[misc]  # it has a parser
    offered = str(caught.value).split("use one of ")[1].split(", ")
    assert set(offered) == {move.split()[0] for move in MOVES}, MOBILITY


def test_two_senders_at_once_lose_nothing(tmp_path: Path) -> None:
    """Frames that collide are sent again."""
    plan = simulation_of(THREE + "lan air wifi a b c rate=6Mbps")
    a_mac, b_mac, c_mac = macs_of(plan)

    async def main() -> None:
        async with simulate(plan, tmp_path) as (_, (a, b, c)):
            for number in range(20):
                await a.send(packet(c_mac, a_mac, bytes([number]) * 1000))
                await b.send(packet(c_mac, b_mac, bytes([number]) * 1000))
            heard = [await c.receive() for _ in range(40)]
            for source in (a_mac, b_mac):
                assert [frame[14] for frame in heard if frame[6:12] == source] == list(range(20))

    trio.run(main)


WHERE = """
LOOK = '''
#include <vector>
std::vector<double> found;
void Look()
{
    for (uint32_t node = 1; node < 4; ++node)
    {
        auto position = ns3::NodeList::GetNode(node)->GetObject<ns3::MobilityModel>()->GetPosition();
        found.push_back(position.x);
        found.push_back(position.y);
    }
}
void LookLater() { ns3::Simulator::Schedule(ns3::Seconds(0.3), &Look); }
'''

def extend(ns, network):
    ns.MobilityModel, ns.NodeList, ns.Simulator
    ns.cppyy.cppdef(LOOK)
    ns.cppyy.gbl.LookLater()
    yield
    numbers = [float(number) for number in ns.cppyy.gbl.found]
    return {"found": [numbers[index:index + 2] for index in (0, 2, 4)]}
"""


def test_the_seed_decides_where_nodes_walk(tmp_path: Path) -> None:
    experiment = tmp_path / "experiment.py"
    experiment.write_text(WHERE)
    text = (
        "node a container position=0,0\nnode b container position=50,50 mobility=RandomWaypoint\n"
        "node c container position=50,50 mobility=RandomWalk2d\nnode d container position=1,2 velocity=10,-20\n"
        "option ns3::RandomWaypointMobilityModel::Pause=ns3::ConstantRandomVariable[Constant=0]\nlan air wifi a b c d"
    )

    async def walk(seed: int) -> list[list[float]]:
        extend = ExtendScript(experiment, {})
        async with simulate(simulation_of(text, seed), tmp_path, extend=extend) as (simulation, _):
            await trio.sleep(0.35)
            return list((await simulation.stop()).metrics["found"])

    first, again, other = (trio.run(walk, seed) for seed in (1, 1, 2))
    assert first == again
    assert first[2] == other[2] == pytest.approx([4, -4])
    assert first[0] != other[0]
    assert first[1] != other[1]

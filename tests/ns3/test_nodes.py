"""Nodes that ns-3 itself plays, on every kind of link; the test plays the guests, from ARP upwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

import pytest
import trio

from qemunet.errors import SimulationError
from qemunet.plan import make_plan
from qemunet.plan.model import Impairments, InterfacePlan, SimulationPlan
from qemunet.simulation.client import ExtendScript, Simulation
from qemunet.topology import parse_topology
from tests.ns3 import packets
from tests.ns3.conftest import Port, simulate

LINKS = ["wire", "csma", "p2p"]


@dataclass
class Card:
    """A guest's interface."""

    port: Port
    plan: InterfacePlan

    @property
    def mac(self) -> bytes:
        return packets.mac_bytes(self.plan.mac)

    def address(self, version: int = 4) -> str:
        texts = [address.split("/")[0] for address in self.plan.addresses]
        return next(text for text in texts if (":" in text) == (version == 6))

    async def send(self, destination: bytes, ethertype: int, payload: bytes) -> None:
        await self.port.send(packets.ethernet(self.mac, destination, ethertype, payload))

    async def receive(self, ethertype: int) -> bytes:
        """The next frame of a type; whole."""
        while True:
            frame = await self.port.receive()
            if frame[12:14] == ethertype.to_bytes(2, "big"):
                return frame

    async def resolve(self, address: str) -> bytes:
        """Ask by ARP who has an address."""
        request = packets.arp(1, self.mac, self.address(), bytes(6), address)
        await self.send(packets.BROADCAST, packets.ARP, request)
        while (reply := await self.receive(packets.ARP))[:6] != self.mac or reply[20:22] != b"\0\2":
            pass
        return reply[22:28]

    async def ping(self, address: str, gateway: str | None = None, ttl: int = 64) -> bytes:
        """Send an echo request and return the packet that comes back, answering ARP meanwhile."""
        far = await self.resolve(gateway or address)
        await self.send(far, packets.IPV4, packets.ping4(self.address(), address, ttl=ttl))
        while True:
            frame = await self.port.receive()
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1":
                asked, asker = frame[38:42], frame[28:32]
                reply = packets.arp(2, self.mac, ".".join(map(str, asked)), frame[22:28], ".".join(map(str, asker)))
                await self.send(frame[6:12], packets.ARP, reply)
            elif frame[12:14] == b"\x08\0":
                return frame[14:]


@asynccontextmanager
async def network(
    text: str, directory: Path, extend: ExtendScript | None = None
) -> AsyncIterator[tuple[Simulation, dict[str, Card], SimulationPlan]]:
    plan = make_plan(parse_topology(text), seed=1, source_directory=None)
    async with simulate(plan.simulation, directory, extend=extend) as (simulation, ports):
        cards = {}
        for guest in plan.guests:
            for interface in guest.interfaces:
                name = guest.node if len(guest.interfaces) == 1 else f"{guest.node}:{interface.name}"
                cards[name] = Card(ports[interface.door], interface)
        yield simulation, cards, plan.simulation


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("kind", ["host", "router"])
def test_a_node_answers(tmp_path: Path, link: str, kind: str) -> None:
    async def main() -> None:
        async with network(f"node a container\nnode b {kind}\nlink a b {link}", tmp_path) as (_, cards, plan):
            reply = await cards["a"].ping("10.0.0.2")
            assert reply[20:22] == b"\0\0"
            assert reply[28:] == bytes(range(32))
            assert packets.checksum(reply[:20]) == 0
            # Its address is the hash that the plan has.
            assert await cards["a"].resolve("10.0.0.2") == packets.mac_bytes(plan.links[0].ends[1].mac)

    trio.run(main)


@pytest.mark.parametrize("link", LINKS)
def test_a_node_answers_ipv6_from_time_0(tmp_path: Path, link: str) -> None:
    text = f"option ipv6=fd00::/48\nnode a container\nnode b host\nlink a b {link}"

    async def main() -> None:
        async with network(text, tmp_path) as (_, cards, plan):
            a = cards["a"]
            asked, group = packets.solicitation(a.address(6), "fd00::2", a.mac)
            await a.send(group, packets.IPV6, asked)
            while (advertisement := await a.receive(packets.IPV6))[54] != 136:
                pass
            assert packets.is_valid_icmp6(advertisement[14:])
            assert advertisement[-6:] == packets.mac_bytes(plan.links[0].ends[1].mac)
            await a.send(advertisement[-6:], packets.IPV6, packets.ping6(a.address(6), "fd00::2"))
            while (reply := await a.receive(packets.IPV6))[54] != 129:
                if reply[54] == 135 and reply[62:78] == IPv6Address(a.address(6)).packed:
                    answer = b"\x88\0\0\0\x60\0\0\0" + reply[62:78] + b"\x02\x01" + a.mac
                    said = packets.icmp6(a.address(6), "fd00::2", answer)
                    await a.send(reply[6:12], packets.IPV6, said)
            assert reply[-32:] == bytes(range(32))

    trio.run(main)


@pytest.mark.parametrize("option", [b"", b"\x02\x01"])
def test_an_advertisement_without_the_link_address_is_an_answer(tmp_path: Path, option: bytes) -> None:
    """Linux leaves it out where it is asked by unicast; ns-3 alone would ask again, and then drop what waits."""
    text = "option ipv6=fd00::/48\nnode a container\nnode r router\nnode b container\nchain a r b csma"

    async def main() -> None:
        async with network(text, tmp_path) as (_, cards, plan):
            a, b = cards["a"], cards["b"]
            r = packets.mac_bytes(plan.links[0].ends[1].mac)
            await a.send(r, packets.IPV6, packets.ping6("fd00::1", "fd00:0:0:1::2"))
            while (asked := await b.receive(packets.IPV6))[54] != 135:
                pass
            router = str(IPv6Address(asked[22:38]))
            told = b"\x88\0\0\0\x60\0\0\0" + IPv6Address(b.address(6)).packed + option + (b.mac if option else b"")
            await b.send(asked[6:12], packets.IPV6, packets.icmp6(b.address(6), router, told))
            with trio.fail_after(5):
                while (await b.receive(packets.IPV6))[54] != 128:
                    pass

    trio.run(main)


@pytest.mark.parametrize("link", LINKS)
def test_routers_forward_and_count_hops(tmp_path: Path, link: str) -> None:
    text = f"option routing=static\nnode a container\nnode r[1-3] router\nnode h host\nchain a r[1-3] h {link}"

    async def main() -> None:
        async with network(text, tmp_path) as (_, cards, _plan):
            reply = await cards["a"].ping("10.0.3.2", gateway="10.0.0.2")
            assert (reply[8], reply[20]) == (61, 0)
            dropped = await cards["a"].ping("10.0.3.2", gateway="10.0.0.2", ttl=2)
            assert (dropped[20], dropped[21]) == (11, 0)  # time exceeded

    trio.run(main)


def test_a_host_passes_nothing_on(tmp_path: Path) -> None:
    text = "node a container\nnode h host\nnode b container\nchain a h b"

    async def main() -> None:
        async with network(text, tmp_path) as (_, cards, _plan):
            far = await cards["a"].resolve("10.0.0.2")
            await cards["a"].send(far, packets.IPV4, packets.ping4("10.0.0.1", "10.0.1.2"))
            # Its other address is its own, whatever side it is asked at; what came after is answered.
            assert (await cards["a"].ping("10.0.1.1", gateway="10.0.0.2"))[20] == 0
            assert await cards["b"].port.receive_all() == []

    trio.run(main)


BRIDGED = "node a container\nnode b container\nnode s[1-2] bridge\nlink a s1\nlink s1 s2 csma\nlink s2 b"


def test_a_bridge_passes_everything_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with network(BRIDGED, tmp_path) as (_, cards, _plan):
            a, b = cards["a"], cards["b"]
            assert a.plan.addresses == ("10.0.0.1/24",)
            assert b.plan.addresses == ("10.0.0.2/24",)
            for sender, receiver in ((a, b), (b, a)):
                # Lengths (IEEE 802.3) are no EtherTypes; ns-3 would take the LLC header off.
                for ethertype in (0x0800, 0x88CC, 0x1234, 0x8100, 64, 43, 1499):
                    await sender.send(receiver.mac, ethertype, b"\x42\x42\x03" + bytes(61))
                    frame = await receiver.port.receive()
                    assert frame == packets.ethernet(sender.mac, receiver.mac, ethertype, b"\x42\x42\x03" + bytes(61))
                await sender.send(packets.BROADCAST, 0x9000, bytes(1500))
                assert len(await receiver.port.receive()) == 1514

    trio.run(main)


def test_a_bridge_learns(tmp_path: Path) -> None:
    text = "node a container\nnode b container\nnode c container\nnode s bridge\nlink a s\nlink b s\nlink c s"

    async def main() -> None:
        async with network(text, tmp_path) as (_, cards, _plan):
            a, b, c = cards["a"], cards["b"], cards["c"]
            await b.send(packets.BROADCAST, 0x1234, b"here")
            await a.port.receive()
            await c.port.receive()
            await a.send(b.mac, 0x1234, b"for b")
            assert (await b.port.receive())[14:] == b"for b"
            assert await c.port.receive_all() == []

    trio.run(main)


def test_a_bridge_with_an_address(tmp_path: Path) -> None:
    text = "node a container\nnode s bridge\nnode b container\nlink a s@10.0.0.9/24\nlink s b"

    async def main() -> None:
        async with network(text, tmp_path) as (_, cards, _plan):
            assert (await cards["b"].ping("10.0.0.9"))[20] == 0
            assert (await cards["a"].ping("10.0.0.9"))[20] == 0

    trio.run(main)


class TestPointToPoint:
    TEXT = "option ipv6=fd00::/48\nnode a container\nnode b container\nlink a b p2p delay=1ms rate=100Mbps"

    def test_the_door_answers_for_the_far_side(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with network(self.TEXT, tmp_path) as (simulation, cards, _plan):
                a, b = cards["a"], cards["b"]
                assert await a.resolve("10.0.0.2") == b.mac
                assert await b.resolve("10.0.0.77") == a.mac
                # Whoever looks whether an address of its own is taken hears nothing.
                await a.send(packets.BROADCAST, packets.ARP, packets.arp(1, a.mac, "0.0.0.0", bytes(6), "10.0.0.1"))
                await a.send(packets.BROADCAST, packets.ARP, packets.arp(1, a.mac, "10.0.0.1", bytes(6), "10.0.0.1"))
                probe, group = packets.solicitation("::", "fd00::1", a.mac)
                await a.send(group, packets.IPV6, probe)
                asked, group = packets.solicitation("fd00::1", "fd00::2", a.mac)
                await a.send(group, packets.IPV6, asked)
                advertisement = await a.port.receive()
                assert advertisement[:12] == a.mac + b.mac
                assert packets.is_valid_icmp6(advertisement[14:])
                assert advertisement[22:54] == IPv6Address("fd00::2").packed + IPv6Address("fd00::1").packed
                assert advertisement[54] == 136
                assert advertisement[-6:] == b.mac
                # None of this crossed the link.
                there, back = (await simulation.counters()).links["a-b"]
                assert (there.sent_frames, back.sent_frames, there.dropped_protocol) == (0, 0, 0)

        trio.run(main)

    def test_packets_cross_with_new_headers(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with network(self.TEXT, tmp_path) as (simulation, cards, _plan):
                a, b = cards["a"], cards["b"]
                udp = b"\0\1\0\2\0\x0c\0\0ab"
                sent = {
                    packets.ipv4("10.0.0.1", "10.0.0.2", 17, udp): b.mac,
                    packets.ipv4("10.0.0.1", "255.255.255.255", 17, udp): packets.BROADCAST,
                    packets.ipv4("10.0.0.1", "224.0.0.5", 89, udp): bytes.fromhex("01005e000005"),
                    packets.ping6("fd00::1", "ff02::5"): bytes.fromhex("333300000005"),
                    packets.ping6("fd00::1", "fd00::2"): b.mac,
                    packets.ipv4("10.0.0.1", "10.0.0.2", 17, bytes(1480)): b.mac,
                }
                for packet, destination in sent.items():
                    await a.send(b.mac, packets.IPV6 if packet[0] == 0x60 else packets.IPV4, packet)
                    frame = await b.port.receive()
                    assert frame[:12] == destination + a.mac
                    assert frame[14:] == packet
                there, _ = (await simulation.counters()).links["a-b"]
                assert (there.sent_frames, there.delivered_frames) == (len(sent), len(sent))

        trio.run(main)

    def test_what_is_no_ip_is_dropped_and_counted(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with network(self.TEXT, tmp_path) as (simulation, cards, _plan):
                a, b = cards["a"], cards["b"]
                short = (b"\x45", b"\x60" + bytes(20), b"")
                others = [(0x88CC, bytes(60)), (0x8100, bytes(60)), (43, bytes(60)), (packets.ARP, bytes(28))]
                others += [(packets.IPV4, short[0]), (packets.IPV6, short[1]), (packets.ARP, short[2])]
                for ethertype, payload in others:
                    await a.send(b.mac, ethertype, payload)
                last = packets.ping4("10.0.0.1", "10.0.0.2")
                await a.send(b.mac, packets.IPV4, last)
                assert (await b.port.receive())[14:] == last
                there, back = (await simulation.counters()).links["a-b"]
                assert (there.dropped_protocol, back.dropped_protocol) == (len(others), 0)
                assert (there.sent_frames, there.delivered_frames) == (1, 1)

        trio.run(main)

    def test_a_full_queue_and_losses_are_counted(self, tmp_path: Path) -> None:
        text = "node a container\nnode b container\nlink a b p2p rate=1Mbps queue=3 loss=0/50%"

        async def main() -> None:
            async with network(text, tmp_path) as (simulation, cards, _plan):
                a, b = cards["a"], cards["b"]
                for _ in range(20):
                    await a.send(b.mac, packets.IPV4, packets.ipv4("10.0.0.1", "10.0.0.2", 17, bytes(1000)))
                arrived = len(await b.port.receive_all())
                there, _ = (await simulation.counters()).links["a-b"]
                assert (there.sent_frames, there.delivered_frames) == (20, arrived)
                assert there.dropped_queue == 20 - arrived
                assert there.dropped_queue > 0
                for _ in range(3):
                    await b.send(a.mac, packets.IPV4, packets.ipv4("10.0.0.2", "10.0.0.1", 17, bytes(100)))
                lost = 3 - len(await a.port.receive_all())
                _, back = (await simulation.counters()).links["a-b"]
                assert (back.sent_frames, back.dropped_loss) == (3, lost)

        trio.run(main)

    def test_it_goes_down_and_up(self, tmp_path: Path) -> None:
        text = "node a container\nnode b container\nlink a b p2p loss=0/100%"
        packet = packets.ipv4("10.0.0.1", "10.0.0.2", 17, b"x")

        async def main() -> None:
            async with network(text, tmp_path) as (simulation, cards, _plan):
                a, b = cards["a"], cards["b"]
                await simulation.set_link("a-b", up=False)
                await simulation.set_link("a-b", up=False)
                await a.send(b.mac, packets.IPV4, packet)
                await b.send(a.mac, packets.IPV4, packet)
                while any(way.dropped_down < 1 for way in (await simulation.counters()).links["a-b"]):
                    await trio.lowlevel.checkpoint()
                await simulation.set_link("a-b", up=True)
                await a.send(b.mac, packets.IPV4, packet)
                await b.send(a.mac, packets.IPV4, packet)
                assert len(await b.port.receive_all()) == 1
                there, back = (await simulation.counters()).links["a-b"]
                assert (there.sent_frames, there.delivered_frames, there.dropped_down) == (2, 1, 1)
                assert (back.sent_frames, back.dropped_down, back.dropped_loss) == (2, 1, 1)
                with pytest.raises(SimulationError, match="only wire and csma can be changed"):
                    await simulation.set_link("a-b", (Impairments(), None))

        trio.run(main)


EXTEND = """\
def extend(ns, network):
    seen = {}
    for name in ("r", "s", "h", "o", "a"):
        seen[name] = network.node(name).GetNDevices()
    for name in ("r:eth0", "r:eth1", "r:eth2", "s:eth0", "s:br0", "h:eth0", "o:eth0", "a:eth0"):
        seen[name] = network.device(name).GetInstanceTypeId().GetName().split("::")[-1]
    for name in ("r-s", "r-h", "r-o", "s-a"):
        seen[name] = network.channel(name).GetInstanceTypeId().GetName().split("::")[-1]
    seen["forwards"] = bool(network.node("r").GetObject[ns.Ipv4]().IsForwarding(1))
    yield
    return seen
"""


def test_extend_sees_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "e.py"
    path.write_text(EXTEND)
    text = "node r router\nnode s bridge\nnode h host\nnode o olsr\nnode a container\n"
    text += "link r s\nlink r h csma\nlink r o p2p\nlink s a csma"

    async def main() -> None:
        async with network(text, tmp_path, ExtendScript(path, {})) as (simulation, _cards, _plan):
            seen = (await simulation.stop()).metrics
        assert seen == {
            "r": 4,
            "s": 3,
            "h": 2,
            "o": 2,
            "a": 1,  # loopback, or the bridge's own, included
            "r:eth0": "WireNetDevice",
            "r:eth1": "CsmaNetDevice",
            "r:eth2": "PointToPointNetDevice",
            "s:eth0": "WireNetDevice",
            "s:br0": "BridgeNetDevice",
            "h:eth0": "CsmaNetDevice",
            "o:eth0": "PointToPointNetDevice",
            "a:eth0": "CsmaNetDevice",
            "r-s": "WireChannel",
            "r-h": "CsmaChannel",
            "r-o": "PointToPointChannel",
            "s-a": "CsmaChannel",
            "forwards": True,
        }

    trio.run(main)


def test_olsr_finds_ways_and_announces_networks(tmp_path: Path) -> None:
    text = "node a container\nnode b container\nnode o[1-3] olsr\nlink a o1\nchain o1 o2 o3\nlink o3 b"

    async def main() -> None:
        async with network(text, tmp_path) as (_, cards, _plan):
            a, b = cards["a"], cards["b"]
            far = await a.resolve("10.0.0.2")
            # A packet for b every half second, until one comes: OLSR takes some ten seconds to find its ways.
            with trio.fail_after(60):
                async with trio.open_nursery() as nursery:

                    async def knock() -> None:
                        while True:
                            await a.send(far, packets.IPV4, packets.ping4(a.address(), "10.0.3.2"))
                            await trio.sleep(0.5)

                    nursery.start_soon(knock)
                    while True:
                        frame = await b.port.sock.recv(2048)
                        # Nothing of OLSR itself (UDP port 698) is heard where there is no other router of it.
                        assert frame[12:14] == b"\x08\x06"
                        if frame[20:22] == b"\0\1":
                            reply = packets.arp(2, b.mac, "10.0.3.2", frame[22:28], "10.0.3.1")
                            await b.send(frame[6:12], packets.ARP, reply)
                            break
                    while (await b.port.sock.recv(2048))[12:14] != b"\x08\0":
                        pass
                    nursery.cancel_scope.cancel()

    trio.run(main)

"""Frames that once ended the simulation, stopped it or made it grow, each by itself; and what took their places."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio

from qemunet.simulation.client import Simulation
from qemunet.simulation.report import Counters
from tests.ns3 import packets
from tests.ns3.test_hostile import udp
from tests.ns3.test_nodes import Card, network

ME, YOU, BEYOND = "10.0.0.1", "10.0.0.2", "10.0.1.2"
ME6, YOU6 = "fd00::1", "fd00::2"
Attack = Callable[[bytes, bytes], tuple[int, bytes]]


def ipv6(source: str, destination: str, next_header: int, payload: bytes, hops: int = 64) -> bytes:
    start = b"\x60\0\0\0" + len(payload).to_bytes(2, "big") + bytes([next_header, hops])
    return start + ip_address(source).packed + ip_address(destination).packed + payload


def with_options(packet: bytes, options: bytes) -> bytes:
    """An IPv4 packet with options, a multiple of four bytes."""
    length = (int.from_bytes(packet[2:4], "big") + len(options)).to_bytes(2, "big")
    head = bytes([packet[0] + len(options) // 4]) + packet[1:2] + length
    return packets.repaired(head + packet[4:20] + options + packet[20:])


def fragments(packet: bytes, size: int) -> list[bytes]:
    """An IPv4 packet in pieces of so many bytes, a multiple of eight."""
    pieces = []
    for at in range(20, len(packet), size):
        more = 0x2000 if at + size < len(packet) else 0
        head = packet[:2] + (20 + len(packet[at : at + size])).to_bytes(2, "big") + packet[4:6]
        head += (more | (at - 20) // 8).to_bytes(2, "big") + packet[8:10] + b"\0\0" + packet[12:20]
        pieces.append(head[:10] + packets.checksum(head).to_bytes(2, "big") + head[12:] + packet[at : at + size])
    return pieces


def ping(size: int) -> bytes:
    message = b"\x08\0\0\0\0\7\0\1" + bytes(index % 251 for index in range(size))
    message = message[:2] + packets.checksum(message).to_bytes(2, "big") + message[4:]
    return packets.ipv4(ME, YOU, 1, message)


def solicitation(options: bytes) -> bytes:
    return packets.icmp6(ME6, YOU6, b"\x87\0\0\0\0\0\0\0" + ip_address(YOU6).packed + options)


TCP = b"\0\1\0\7" + bytes(8) + b"\x60\x02\1\0\0\0\0\0"
ATTACKS: dict[str, Attack] = {
    "a group that cannot be told of hops": lambda me, you: (
        packets.IPV6,
        ipv6("ff02::9", "fd00:0:0:1::2", 58, bytes(32), hops=0),
    ),
    "a group that cannot be told of time": lambda me, you: (
        packets.IPV4,
        packets.ipv4("224.0.0.9", BEYOND, 17, udp(1, 2, b"data"), ttl=1),
    ),
    "nothing for a group": lambda me, you: (packets.IPV6, ipv6(ME6, "ff02::1", 59, bytes(8))),
    "a segment size of two bytes": lambda me, you: (
        packets.IPV4,
        packets.repaired(packets.ipv4(ME, YOU, 6, TCP + b"\2\2\1\1")),
    ),
    "OLSR from another port": lambda me, you: (
        packets.IPV4,
        packets.ipv4(ME, "10.0.0.255", 17, udp(1234, 698, b"\0\x04\0\1")),
    ),
    "two link addresses": lambda me, you: (packets.IPV6, solicitation((b"\1\1" + me) * 2)),
    "a router solicitation with nothing": lambda me, you: (
        packets.IPV6,
        packets.icmp6("fe80::1", "ff02::2", b"\x85\0\0\0\0\0\0\0"),
    ),
    "its own link address": lambda me, you: (packets.ARP, packets.arp(1, you, "10.0.0.77", bytes(6), YOU)),
    "options where the way narrows": lambda me, you: (
        packets.IPV4,
        with_options(packets.ipv4(ME, BEYOND, 17, udp(1, 2, bytes(1300))), b"\1" * 8),
    ),
}


@pytest.mark.parametrize("link", ["lan l csma a b c", "lan l wifi a b c"])
@pytest.mark.parametrize("kind", ["router", "olsr"])
def test_no_attack_ends_the_simulation(tmp_path: Path, link: str, kind: str) -> None:
    text = (
        f"option ipv6=fd00::/48\nnode a container position=0,0\nnode b {kind} position=1,0\n"
        f"node c {kind} position=2,0\nnode d host\n{link}\nlink b d wire mtu=1000"
    )

    async def main() -> None:
        async with network(text, tmp_path) as (_, cards, plan):
            a = cards["a"]
            b = packets.mac_bytes(plan.links[0].ends[1].mac)
            for name, attack in ATTACKS.items():
                ethertype, packet = attack(a.mac, b)
                group = packet[:1] == b"\x60" and packet[24] == 0xFF
                await a.send(b"\x33\x33\0\0\0\1" if group else b, ethertype, packet)
                with trio.fail_after(20):
                    while (await a.ping(YOU))[20] != 0:
                        pass  # an error that was still on its way
                assert name

    trio.run(main)


async def echo(card: Card, far: bytes, pieces: list[bytes]) -> bytes:
    for piece in pieces:
        await card.send(far, packets.IPV4, piece)
    reply = b""
    while not reply or int.from_bytes(reply[6:8], "big") & 0x2000:
        frame = await card.receive(packets.IPV4)
        reply = frame[14:34] + reply[20:] + frame[34:]
    return reply[20:]


class TestFragments:
    @pytest.mark.parametrize("order", ["as they are", "backwards", "twice"])
    def test_a_node_puts_them_together(self, tmp_path: Path, order: str) -> None:
        async def main() -> None:
            async with network("node a container\nnode b host\nlink a b wire", tmp_path) as (_, cards, _plan):
                a = cards["a"]
                far = await a.resolve(YOU)
                assert (await a.ping(YOU))[20] == 0
                whole = ping(4000)
                pieces = fragments(whole, 1000)
                if order == "backwards":
                    pieces.reverse()
                elif order == "twice":
                    pieces = [piece for piece in pieces[:-1] for _ in range(2)] + pieces[-1:]
                with trio.fail_after(20):
                    assert (await echo(a, far, pieces))[8:] == whole[28:]

        trio.run(main)

    def test_what_overlaps_is_dropped_and_the_next_is_not(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with network("node a container\nnode b host\nlink a b wire", tmp_path) as (_, cards, _plan):
                a = cards["a"]
                far = await a.resolve(YOU)
                assert (await a.ping(YOU))[20] == 0
                small, large = fragments(ping(1600), 400), fragments(ping(1600), 800)
                for piece in (small[0], large[0]):
                    await a.send(far, packets.IPV4, piece)
                whole = ping(2000)
                with trio.fail_after(20):
                    assert (await echo(a, far, fragments(whole, 1000)))[8:] == whole[28:]

        trio.run(main)


def test_a_node_answers_a_ping_with_options(tmp_path: Path) -> None:
    text = "option routing=static\nnode a container\nnode r router\nnode h host\nlink a r wire\nlink r h wire"

    async def main() -> None:
        async with network(text, tmp_path) as (_, cards, _plan):
            a = cards["a"]
            far = await a.resolve(YOU)
            assert (await a.ping(BEYOND, gateway=YOU))[20] == 0
            record_route = b"\x07\x0b\x04" + bytes(8) + b"\0"
            await a.send(far, packets.IPV4, with_options(packets.ping4(ME, BEYOND), record_route))
            reply = await a.receive(packets.IPV4)
            assert reply[34:36] == b"\0\0"
            assert reply[42:] == bytes(range(32))

    trio.run(main)


def test_csma_counts_what_a_host_of_ns3_receives(tmp_path: Path) -> None:
    async def main() -> None:
        async with network("node a container\nnode b host\nlink a b csma", tmp_path) as (simulation, cards, _plan):
            await cards["a"].ping(YOU)
            (link,) = (await simulation.counters()).links["a-b"]
            assert link.sent_frames == link.delivered_frames > 4
            assert link.sent_bytes == link.delivered_bytes

    trio.run(main)


def test_an_answer_that_nobody_asked_for_is_counted_on_p2p(tmp_path: Path) -> None:
    async def main() -> None:
        async with network("node a container\nnode b host\nlink a b p2p", tmp_path) as (simulation, cards, _plan):
            a = cards["a"]
            await a.send(packets.BROADCAST, packets.ARP, packets.arp(2, a.mac, ME, a.mac, YOU))
            await a.ping(YOU)
            there, _ = (await simulation.counters()).links["a-b"]
            assert there.dropped_protocol == 1

    trio.run(main)


async def send_to_each(simulation: Simulation, card: Card, prefix: bytes, count: int) -> Counters:
    """Send a frame to each of so many addresses; returns what was counted then."""
    for number in range(count):
        await card.send(prefix + number.to_bytes(2, "big"), packets.IPV4, packets.ping4(ME, YOU))
        if number % 40 == 0:
            await simulation.counters()  # the queue of its socket holds about ninety
    return await simulation.counters()


def test_ad_hoc_stations_send_to_some_strangers_only(tmp_path: Path) -> None:
    text = "node a container position=0,0\nnode b host position=1,0\nlan l wifi a b"

    async def main() -> None:
        async with network(text, tmp_path) as (simulation, cards, _plan):
            a = cards["a"]
            counters = await send_to_each(simulation, a, b"\2\0\0\0", 300)
            assert counters.doors[0].in_malformed == 300 - 32
            # Nobody acknowledges them.
            with trio.fail_after(60):
                while (link := counters.links["l"][0]).dropped_collision + link.dropped_queue < 32:
                    counters = await simulation.counters()
            assert (await a.ping(YOU))[20] == 0

    trio.run(main)


@pytest.mark.parametrize("access_point", ["", " ap=a", " ap=b"])
def test_wifi_devices_send_to_some_hundred_groups(tmp_path: Path, access_point: str) -> None:
    text = f"node a container position=0,0\nnode b host position=1,0\nlan l wifi{access_point} a b"

    async def main() -> None:
        async with network(text, tmp_path) as (simulation, cards, _plan):
            a = cards["a"]
            assert (await a.ping(YOU))[20] == 0
            before = (await simulation.counters()).links["l"][0].sent_frames
            counters = await send_to_each(simulation, a, b"\x33\x33\0\0", 600)
            assert counters.doors[0].in_malformed == 600 - 512
            assert counters.links["l"][0].sent_frames >= before + 512
            # Others pass still, once the queues that are full have room.
            with trio.fail_after(60):
                answer = b""
                while not answer:
                    with suppress(trio.TooSlowError):
                        answer = await a.ping(YOU)
            assert answer[20] == 0

    trio.run(main)


def test_a_bridge_that_learned_all_it_can_goes_on(tmp_path: Path) -> None:
    text = "node a container\nnode s bridge\nnode b host\nlink a s wire\nlink s b wire"

    async def main() -> None:
        async with network(text, tmp_path) as (simulation, cards, _plan):
            a = cards["a"]
            assert (await a.ping(YOU))[20] == 0
            count = 20_000
            for number in range(count):
                source = b"\2\1\0" + number.to_bytes(3, "big")
                await a.port.send(packets.ethernet(source, b"\2\2\0\0\0\0", 0x88B5, bytes(46)))
                if number % 40 == 0:
                    await simulation.counters()
            assert (await a.ping(YOU))[20] == 0
            links = (await simulation.counters()).links
            assert links["s-b"][0].sent_frames >= count

    trio.run(main)

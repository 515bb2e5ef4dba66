"""What guests send to ns-3's own nodes, however malformed: nothing of it may end the simulation."""

from __future__ import annotations

import random
from ipaddress import IPv6Address
from pathlib import Path

import pytest
import trio

from tests.ns3 import packets
from tests.ns3.test_nodes import Card, network

COUNT = 2000


def udp(source: int, destination: int, payload: bytes) -> bytes:
    return b"".join(n.to_bytes(2, "big") for n in (source, destination, 8 + len(payload), 0)) + payload


def samples(mac: bytes) -> list[tuple[int, bytes]]:
    """Packets of all the kinds that a stack reads."""
    me, you, beyond = "10.0.0.1", "10.0.0.2", "10.0.1.2"
    tcp = b"\0\1\0\7" + bytes(8) + b"\x80\x02\1\0\0\0\0\0" + b"\2\4\5\xb4\1\3\3\7\4\2\0\0"
    quoted = packets.ipv4(you, me, 17, udp(1, 2, b"12345678"))
    quoted6 = b"\x60\0\0\0\0\x10\x11\x40" + bytes(32) + udp(1, 2, b"12345678")
    dead = packets.ipv4(me, you, 1, b"\3\1\0\0\0\0\0\0" + quoted[:28])
    options = b"\1\1" + mac + b"\5\1\0\0\0\0\5\xdc"
    prefix = b"\3\4\x40\xc0" + bytes(12) + IPv6Address("fd00::").packed
    six = [
        packets.ping6("fd00::1", "fd00::2"),
        packets.ping6("fd00::1", "fd00:0:0:1::2"),
        packets.solicitation("fd00::1", "fd00::2", mac)[0],
        packets.icmp6("fd00::1", "fd00::2", b"\x88\0\0\0\x60\0\0\0" + IPv6Address("fd00::1").packed + b"\2\1" + mac),
        packets.icmp6("fe80::1", "ff02::1", b"\x86\0\0\0\x40\0\7\x08" + bytes(8) + options + prefix),
        packets.icmp6("fe80::1", "ff02::2", b"\x85\0\0\0\0\0\0\0" + b"\1\1" + mac),
        packets.icmp6("fd00::1", "fd00::2", b"\1\0\0\0\0\0\0\0" + quoted6),
        packets.icmp6("fd00::1", "fd00::2", b"\x89\0\0\0\0\0\0\0" + bytes(32) + b"\4\2" + bytes(14)),
    ]
    carried = [
        (0, b"\x3a\0\5\2\0\0\1\0"),
        (43, b"\x3a\0\0\1\0\0\0\0"),
        (44, b"\x3a\0\0\1\0\0\0\5"),
        (60, b"\x3a\0\1\4" + bytes(4)),
    ]
    for header, start in carried:
        body = start + six[0][40:]
        six.append(six[0][:4] + len(body).to_bytes(2, "big") + bytes([header]) + six[0][7:40] + body)
    four = [
        packets.ping4(me, you),
        packets.ping4(me, beyond),
        packets.ping4(me, beyond, ttl=1),
        packets.ipv4(me, you, 17, udp(5000, 9, b"hello")),
        packets.ipv4(me, you, 17, udp(698, 698, bytes(20))),
        packets.ipv4(me, "10.0.0.255", 17, udp(698, 698, b"\0\x20\0\1\1\x86\0\x1c" + bytes(24))),
        packets.ipv4(me, you, 6, tcp),
        packets.ipv4(me, you, 2, bytes(8)),
        dead,
    ]
    whole = packets.ping4(me, you)
    four.append(whole[:6] + b"\x20\0" + whole[8:44])
    four.append(whole[:6] + b"\0\3" + whole[8:])
    arps = [packets.arp(1, mac, me, bytes(6), you), packets.arp(2, mac, me, bytes(6), you)]
    return [(packets.ARP, p) for p in arps] + [(packets.IPV4, p) for p in four] + [(packets.IPV6, p) for p in six]


def mutated(packet: bytes, chance: random.Random) -> bytes:
    data = bytearray(packet)
    for _ in range(chance.choice([0, 1, 1, 2, 5])):
        data[chance.randrange(len(data))] = chance.choice([0, 1, 255, chance.randrange(256)])
    if chance.random() < 0.3:
        data = data[: chance.randrange(1, len(data) + 1)]
    elif chance.random() < 0.2:
        data += chance.randbytes(chance.randrange(40))
    return packets.repaired(bytes(data)) if chance.random() < 0.8 else bytes(data)


@pytest.mark.parametrize("link", ["wire", "csma", "p2p"])
@pytest.mark.parametrize("kind", ["host", "router", "olsr"])
def test_no_packet_ends_the_simulation(tmp_path: Path, link: str, kind: str) -> None:
    text = f"option ipv6=fd00::/48\nnode a container\nnode b {kind}\nnode c {kind}\nlink a b {link}\nlink b c"
    chance = random.Random(f"{link} {kind}")

    async def main() -> None:
        async with network(text, tmp_path) as (simulation, cards, plan):
            a = cards["a"]
            b = packets.mac_bytes(plan.links[0].ends[1].mac)
            kinds = samples(a.mac)
            for number in range(COUNT):
                ethertype, packet = chance.choice(kinds)
                await a.send(b if chance.random() < 0.8 else packets.BROADCAST, ethertype, mutated(packet, chance))
                if number % 40 == 0:
                    await simulation.counters()  # the queue of its socket holds about ninety
            await _drain(a)
            assert (await simulation.counters()).doors[0].in_frames == COUNT
            with trio.fail_after(20):
                while (await a.ping("10.0.0.2"))[20] != 0:
                    pass  # an error that was still on its way

    trio.run(main)


async def _drain(card: Card) -> None:
    await card.port.receive_all(quiet_s=0.1)

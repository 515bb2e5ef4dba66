"""Frames through doors, wires and csma channels of a real worker."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from qemunet.plan.model import Impairments, LinkPlan
from tests.ns3.conftest import end, frame, plan, simulate, wire

MS = 1_000_000


def csma(*, rate_bps: int | None = 100_000_000, delay_ns: int = 1000, loss: float = 0.0, ends: int = 3) -> LinkPlan:
    impairments = Impairments(rate_bps=rate_bps, delay_ns=delay_ns, loss=loss)
    return LinkPlan("lan", "csma", tuple(end(f"n{i}", i) for i in range(ends)), 1500, (impairments,))


@pytest.mark.parametrize("ethertype", [0x0800, 0x0806, 0x86DD, 0x8100, 0x88CC, 0x9000])
@pytest.mark.parametrize("link", [wire(), csma(ends=2)], ids=["wire", "csma"])
def test_any_ethertype_crosses_unchanged(tmp_path: Path, link: LinkPlan, ethertype: int) -> None:
    async def main() -> None:
        async with simulate(plan(link), tmp_path) as (_, (a, b)):
            sent = frame(0, 1, bytes(range(200)), ethertype)
            await a.send(sent)
            assert await b.receive() == sent
            back = frame(77, 66, bytes(100), ethertype)
            await b.send(back)
            assert await a.receive() == back

    trio.run(main)


@pytest.mark.parametrize("link", [wire(), csma(ends=2)], ids=["wire", "csma"])
def test_length_frames_cross_unchanged(tmp_path: Path, link: LinkPlan) -> None:
    """IEEE 802.3 frames, as spanning tree sends them: ns-3's csma would strip them, or abort on a false length."""

    async def main() -> None:
        async with simulate(plan(link), tmp_path) as (_, (a, b)):
            for length in (43, 60, 1, 0, 1499, 1535):
                sent = frame(0, 1, b"\x42\x42\x03" + bytes(60), length)
                await a.send(sent)
                assert await b.receive() == sent

    trio.run(main)


def test_vlan_frames_of_full_size_cross(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire(mtu=9000)), tmp_path) as (_, (a, b)):
            sent = frame(0, 1, bytes(9004), 0x8100)
            await a.send(sent)
            assert await b.receive() == sent

    trio.run(main)


def test_malformed_frames_are_dropped_and_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire()), tmp_path) as (simulation, (a, b)):
            for data in (b"", b"x", bytes(13), bytes(1519), bytes(60000)):
                await a.send(data)
            await a.send(frame(0, 1, b""))
            assert await b.receive() == frame(0, 1, b"")
            counters = (await simulation.counters()).doors[0]
            assert counters.in_malformed == 5
            assert (counters.in_frames, counters.in_bytes) == (1, 14)

    trio.run(main)


def test_queue_drops_are_counted(tmp_path: Path) -> None:
    async def main() -> None:
        link = wire(Impairments(rate_bps=1_000_000, queue_frames=5))
        async with simulate(plan(link), tmp_path) as (simulation, (a, b)):
            for number in range(50):
                await a.send(frame(0, 1, bytes([number]) * 1000))
            received = await b.receive_all()
            counters = (await simulation.counters()).links["a-b"][0]
            assert 6 <= len(received) < 50
            assert counters.sent_frames == 50
            assert counters.dropped_queue == 50 - len(received)
            assert counters.delivered_frames == len(received)
            assert [data[14] for data in received] == sorted(data[14] for data in received)

    trio.run(main)


def test_loss_and_duplicates_are_counted_and_repeat_with_the_seed(tmp_path: Path) -> None:
    async def run(seed: int) -> list[int]:
        link = wire(Impairments(loss=0.3, duplicate=0.2))
        async with simulate(plan(link, seed=seed), tmp_path) as (simulation, (a, b)):
            numbers = []
            for start in range(0, 400, 40):
                for number in range(start, start + 40):
                    await a.send(frame(0, 1, number.to_bytes(2, "big") + bytes(50)))
                numbers += [int.from_bytes(data[14:16], "big") for data in await b.receive_all(quiet_s=0.05)]
            counters = (await simulation.counters()).links["a-b"][0]
            assert counters.dropped_loss == 400 - len(set(numbers))
            assert counters.duplicated == len(numbers) - len(set(numbers))
            assert 80 < counters.dropped_loss < 160
            assert 25 < counters.duplicated < 90
            assert numbers == sorted(numbers)
            return numbers

    async def main() -> None:
        first = await run(7)
        assert await run(7) == first
        assert await run(8) != first

    trio.run(main)


def test_csma_reaches_all_others_and_never_the_sender(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(csma()), tmp_path) as (simulation, ports):
            sent = frame(0, None, bytes(100))
            await ports[0].send(sent)
            assert await ports[1].receive() == sent
            assert await ports[2].receive() == sent
            assert await ports[0].receive_all(quiet_s=0.1) == []
            (counters,) = (await simulation.counters()).links["lan"]
            assert (counters.sent_frames, counters.sent_bytes) == (1, 114)
            assert (counters.delivered_frames, counters.delivered_bytes) == (2, 228)

    trio.run(main)


def test_csma_loss_and_rate(tmp_path: Path) -> None:
    async def main() -> None:
        link = csma(rate_bps=10_000_000, loss=0.5, ends=2)
        async with simulate(plan(link), tmp_path) as (simulation, (a, b)):
            before = time.monotonic_ns()
            for _ in range(80):
                await a.send(frame(0, 1, bytes(1482)))
            received = await b.receive_all()
            (counters,) = (await simulation.counters()).links["lan"]
            assert counters.dropped_loss == 80 - len(received)
            assert 20 < len(received) < 60
            # 80 frames of 1.2 ms, and the time in which nothing came.
            assert time.monotonic_ns() - before >= 96 * MS

    trio.run(main)


def test_frames_before_the_start_are_discarded_uncounted(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire()), tmp_path, start=False) as (simulation, (a, b)):
            for _ in range(50):
                await a.send(frame(0, 1, b"early"))
            # A reply shows that the loop has turned: it has served what was ready before.
            await simulation.counters()
            await simulation.counters()
            await simulation.start()
            await a.send(frame(0, 1, b"first"))
            assert await b.receive() == frame(0, 1, b"first")
            counters = await simulation.counters()
            assert counters.doors[0].in_frames == 1
            assert counters.links["a-b"][0].sent_frames == 1

    trio.run(main)


def test_guest_that_does_not_read_costs_itself_only(tmp_path: Path) -> None:
    """A bounded queue, drops counted, and the other direction goes on."""

    async def main() -> None:
        async with simulate(plan(wire()), tmp_path) as (simulation, (a, b)):
            for _ in range(6000):
                await a.send(frame(0, 1, bytes(1000)))
            await b.send(frame(1, 0, b"alive"))
            assert await a.receive() == frame(1, 0, b"alive")
            door = (await simulation.counters()).doors[1]
            assert door.out_dropped > 0
            received = await b.receive_all()
            door = (await simulation.counters()).doors[1]
            assert door.out_dropped + len(received) == 6000
            assert door.out_frames == len(received)

    trio.run(main)


def test_guest_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire()), tmp_path) as (simulation, (a, b)):
            b.sock.close()
            await a.send(frame(0, 1, bytes(100)))
            while (await simulation.counters()).doors[1].out_unreachable == 0:
                await trio.lowlevel.checkpoint()
            ours, theirs = trio.socket.socketpair(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM)
            await simulation.attach_door(1, theirs.fileno())
            theirs.close()
            with ours:
                await a.send(frame(0, 1, b"again"))
                with trio.fail_after(5):
                    assert await ours.recv(2000) == frame(0, 1, b"again")

    trio.run(main)


def test_link_changes_while_it_runs(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire()), tmp_path) as (simulation, (a, b)):
            await a.send(frame(0, 1, b"1"))
            assert await b.receive() == frame(0, 1, b"1")
            await simulation.set_link("a-b", (Impairments(loss=1.0), None))
            await a.send(frame(0, 1, b"2"))
            await b.send(frame(1, 0, b"3"))
            assert await a.receive() == frame(1, 0, b"3")
            while (await simulation.counters()).links["a-b"][0].dropped_loss == 0:
                await trio.lowlevel.checkpoint()
            await simulation.set_link("a-b", (Impairments(), None))
            await a.send(frame(0, 1, b"4"))
            assert await b.receive() == frame(0, 1, b"4")

    trio.run(main)

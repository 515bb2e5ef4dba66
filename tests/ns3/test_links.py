"""Links that are changed, taken down and recorded while the simulation runs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

from qemunet.errors import SimulationError
from qemunet.plan.model import DelayPart, EndPlan, Impairments, LinkPlan
from tests.ns3.conftest import Port, end, frame, plan, simulate, wire
from tests.pcap import read_pcap
from tests.spawner import LocalSpawner

MS = 1_000_000


def csma(*, pcap: bool = False, loss: float = 0.0) -> LinkPlan:
    impairments = Impairments(rate_bps=100_000_000, delay_ns=1000, loss=loss)
    ends = tuple(end(f"n{i}", i, pcap=pcap) for i in range(3))
    return LinkPlan("lan", "csma", ends, 1500, (impairments,))


async def crosses(a: Port, b: Port, payload: bytes) -> None:
    await a.send(frame(0, 1, payload))
    assert await b.receive() == frame(0, 1, payload)


def test_a_wire_goes_down_and_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire(Impairments(delay_ns=10_000 * MS))), tmp_path) as (simulation, (a, b)):
            await a.send(frame(0, 1, b"on its way"))
            while (await simulation.counters()).links["a-b"][0].sent_frames == 0:
                await trio.lowlevel.checkpoint()
            down_ns = await simulation.set_link("a-b", up=False)
            await a.send(frame(0, 1, b"sent while it is down"))
            while (await simulation.counters()).links["a-b"][0].dropped_down < 2:
                await trio.lowlevel.checkpoint()
            up_ns = await simulation.set_link("a-b", (Impairments(), None), up=True)
            assert 0 < down_ns < up_ns
            await crosses(a, b, b"back")
            there, _ = (await simulation.counters()).links["a-b"]
            assert (there.sent_frames, there.delivered_frames, there.dropped_down) == (3, 1, 2)

    trio.run(main)


def test_a_wire_is_changed_at_an_instant(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire()), tmp_path) as (simulation, (a, b)):
            at_ns = await simulation.set_link("a-b", (Impairments(loss=1.0), None), at_ns=1000 * MS)
            assert at_ns == 1000 * MS
            await a.send(frame(0, 1, b"lost"))
            await b.send(frame(1, 0, b"the other direction"))
            assert await a.receive() == frame(1, 0, b"the other direction")
            assert await b.receive_all(quiet_s=0.1) == []

    trio.run(main)


def test_distributions_come_while_it_runs(tmp_path: Path) -> None:
    async def main() -> None:
        parts = (DelayPart("values", 1.0, values_ns=tuple(range(5 * MS, 5 * MS + 2000))),)
        async with simulate(plan(wire(pcap=True)), tmp_path) as (simulation, (a, b)):
            slow = Impairments(delay_parts=parts, reorder=1.0)
            async with trio.open_nursery() as nursery:  # Definitions in pieces keep apart.
                nursery.start_soon(simulation.set_link, "a-b", (slow, None))
                other = Impairments(delay_parts=(DelayPart("uniform", 1.0, MS, 2 * MS),))
                nursery.start_soon(simulation.set_link, "a-b", (None, other))
            for number in range(100):
                await a.send(frame(0, 1, number.to_bytes(4, "big")))
            for _ in range(100):
                await b.receive()
            await simulation.stop()
        sent, came = (read_pcap(tmp_path / "pcap" / f"{node}-eth0.pcap") for node in "ab")
        sent_ns = {each.number: each.at_ns for each in sent}
        delays_ns = [each.at_ns - sent_ns[each.number] for each in came]
        assert all(5 * MS <= delay < 5 * MS + 2000 for delay in delays_ns)
        assert len(set(delays_ns)) > 80

    trio.run(main)


def test_csma_goes_down_and_changes(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(csma()), tmp_path) as (simulation, (a, b, _)):
            await crosses(a, b, b"before" * 10)  # A shorter frame would come padded.
            await simulation.set_link("lan", up=False)
            await a.send(frame(0, 1, b"down"))
            while (await simulation.counters()).links["lan"][0].dropped_down < 2:
                await trio.lowlevel.checkpoint()
            await simulation.set_link("lan", up=True)
            await crosses(a, b, b"after" * 10)
            lossy = Impairments(rate_bps=100_000_000, delay_ns=1000, loss=1.0)
            await simulation.set_link("lan", (lossy, None))
            await a.send(frame(0, 1, b"lost"))
            while (await simulation.counters()).links["lan"][0].dropped_loss < 2:
                await trio.lowlevel.checkpoint()
            with pytest.raises(SimulationError, match="takes its rate once"):
                await simulation.set_link("lan", (Impairments(rate_bps=1), None))

    trio.run(main)


def test_counters_at_once_among_other_requests(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire()), tmp_path) as (simulation, (a, b)), trio.open_nursery() as nursery:

            async def ask() -> None:
                for _ in range(50):
                    await simulation.counters()

            for _ in range(4):
                nursery.start_soon(ask)
            for number in range(50):
                await crosses(a, b, b"x")
                assert simulation.counters_now().links["a-b"][0].delivered_frames == number + 1

    trio.run(main)


def test_counters_at_once_of_a_worker_that_is_gone(tmp_path: Path) -> None:
    async def main() -> None:
        spawner = LocalSpawner()
        async with simulate(plan(wire()), tmp_path, spawner=spawner) as (simulation, _):
            await spawner.processes[0].kill(signal.SIGKILL)
            with trio.fail_after(5):
                assert await spawner.processes[0].wait() == -signal.SIGKILL
            with pytest.raises(SimulationError, match="has ended"):
                simulation.counters_now()

    trio.run(main)


def test_frames_are_recorded_on_either_side(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire(Impairments(delay_ns=7 * MS), pcap=True)), tmp_path) as (simulation, (a, b)):
            await crosses(a, b, b"there")
            await b.send(frame(1, 0, b"and back"))
            await a.receive()
            report = await simulation.stop()
            assert {name: pcap.frames for name, pcap in report.pcaps.items()} == {"a-eth0.pcap": 2, "b-eth0.pcap": 2}
        ends = [read_pcap(tmp_path / "pcap" / f"{node}-eth0.pcap") for node in "ab"]
        for end_frames in ends:
            assert [each.data for each in end_frames] == [frame(0, 1, b"there"), frame(1, 0, b"and back")]
        assert [there.at_ns - here.at_ns for here, there in zip(*ends, strict=True)] == [7 * MS, -7 * MS]

    trio.run(main)


def test_csma_is_recorded_with_and_without_doors(tmp_path: Path) -> None:
    async def main() -> None:
        link = csma(pcap=True)
        bare = EndPlan("n3", "eth0", "02:00:00:00:00:03", None, None, pcap=True)
        link = LinkPlan("lan", "csma", (*link.ends, bare), 1500, link.impairments)
        # A length in place of an EtherType crosses a csma channel in disguise, which a guest's file must not show.
        sent = [frame(0, 1, bytes(100)), frame(0, 1, b"\x42\x42\x03" + bytes(60), 43)]
        async with simulate(plan(link), tmp_path) as (simulation, ports):
            for data in sent:
                await ports[0].send(data)
                assert await ports[1].receive() == data
            await simulation.stop()
        files = [read_pcap(tmp_path / "pcap" / f"n{node}-eth0.pcap") for node in range(4)]
        for recorded in files[:3]:
            assert [each.data for each in recorded] == sent
        assert files[3][0].data[:14] == sent[0][:14]
        assert len(files[3][0].data) == len(sent[0])
        assert files[1][0].at_ns == files[2][0].at_ns > files[0][0].at_ns

    trio.run(main)


def test_a_killed_worker_leaves_whole_records(tmp_path: Path) -> None:
    async def main() -> None:
        spawner = LocalSpawner()
        file = tmp_path / "pcap" / "a-eth0.pcap"
        async with simulate(plan(wire(pcap=True)), tmp_path, spawner=spawner) as (_, (a, _)):
            with trio.fail_after(20):
                while file.stat().st_size < 100_000:
                    await a.send(frame(0, 1, bytes(1000)))
            await spawner.processes[0].kill(signal.SIGKILL)
        assert len(read_pcap(file)) > 50

    trio.run(main)


def test_a_file_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "pcap" / "a-eth0.pcap").mkdir(parents=True)
        with pytest.raises(SimulationError, match="Is a directory"):
            async with simulate(plan(wire(pcap=True)), tmp_path):
                pytest.fail("it must not get ready")

    trio.run(main)

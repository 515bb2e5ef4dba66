"""What a wire does to frames, by the simulation times at which they passed its ends; so no clock spoils a test.

Many more frames, in simulated time, go through tests/native/wire-test.cc.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import trio

from qemunet.plan.model import DelayPart, Impairments
from qemunet.simulation.messages import LinkCounters
from tests.ns3.conftest import frame, mac, plan, simulate, wire
from tests.pcap import Recorded, read_pcap

MS = 1_000_000
# normal(mean=12.6ms, p99=26.1ms, min=1ms)
NORMAL = DelayPart("normal", 1.0, 12.6 * MS, 13.5 * MS / 2.3263478740408408, MS)


class Passed:
    """What frames did that were numbered from 0 and sent from the first end as fast as it takes them."""

    def __init__(self, sent: list[Recorded], came: list[Recorded], counters: LinkCounters) -> None:
        sent_ns = {each.number: each.at_ns for each in sent}
        assert [each.number for each in sent] == list(range(len(sent)))
        self.sent = len(sent)
        self.numbers = [each.number for each in came]
        self.delays_ns = [each.at_ns - sent_ns[each.number] for each in came]
        self.came_ns = [each.at_ns for each in came]
        self.counters = counters


def passes(
    directory: Path, impairments: Impairments, count: int, *, size: int = 100, seed: int = 1, burst: int = 50
) -> Passed:
    async def main() -> Passed:
        link = wire(impairments, Impairments(), pcap=True)
        async with simulate(plan(link, seed=seed), directory) as (simulation, (a, b)):
            for start in range(0, count, burst):
                for number in range(start, min(start + burst, count)):
                    await a.send(frame(0, 1, number.to_bytes(4, "big") + bytes(size - 18)))
                counters = (await simulation.counters()).links["a-b"][0]

            def gone(counters: LinkCounters) -> int:
                return counters.dropped_queue + counters.dropped_loss + counters.delivered_frames - counters.duplicated

            with trio.fail_after(60):
                while gone(counters) < count:
                    with trio.move_on_after(0.01):
                        await b.receive()
                    counters = (await simulation.counters()).links["a-b"][0]
            report = await simulation.stop()
            assert all(pcap.dropped == 0 for pcap in report.pcaps.values())
        sent, came = (read_pcap(directory / "pcap" / f"{node}-eth0.pcap") for node in "ab")
        return Passed(sent, came, counters)

    return trio.run(main)


def overtaken(numbers: list[int]) -> int:
    """Frames that came behind one sent after them."""
    latest, count = -1, 0
    for number in numbers:
        count += number < latest
        latest = max(latest, number)
    return count


def test_a_fixed_delay_is_exact(tmp_path: Path) -> None:
    passed = passes(tmp_path, Impairments(delay_ns=20 * MS), 200)
    assert passed.delays_ns == [20 * MS] * 200


def test_a_rate_is_exact_over_time(tmp_path: Path) -> None:
    # 125 bytes with FCS are 1,000 bits: 1 ms each.
    passed = passes(tmp_path, Impairments(rate_bps=1_000_000), 500, size=121)
    busy_ns = passed.came_ns[-1] - passed.came_ns[0]
    assert busy_ns == pytest.approx(499 * MS, rel=0.01)
    assert busy_ns >= 499 * MS


def test_a_queue_of_ten_drops_what_exceeds_it(tmp_path: Path) -> None:
    # The first one is in the transmitter for 8 s: longer than a burst takes to arrive, on the slowest machine.
    async def main() -> None:
        link = wire(Impairments(rate_bps=1000, queue_frames=10), Impairments())
        async with simulate(plan(link), tmp_path) as (simulation, (a, _)):
            for number in range(50):
                await a.send(frame(0, 1, bytes([number]) * 982))
            while (counters := (await simulation.counters()).links["a-b"][0]).sent_frames < 50:
                await trio.lowlevel.checkpoint()
            assert (counters.dropped_queue, counters.delivered_frames) == (39, 0)

    trio.run(main)


def test_a_distribution_is_drawn_from(tmp_path: Path) -> None:
    # Free to overtake, so that each delay is a draw of its own although the frames come all at once.
    passed = passes(tmp_path, Impairments(delay_parts=(NORMAL,), reorder=1.0), 4000)
    delays = sorted(passed.delays_ns)
    assert len(delays) == 4000
    assert statistics.fmean(delays) == pytest.approx(12.92 * MS, rel=0.03)
    assert delays[3960] == pytest.approx(26.2 * MS, rel=0.06)
    assert delays[0] >= MS
    assert overtaken(passed.numbers) > 2000


def test_a_file_of_values_and_a_mixture(tmp_path: Path) -> None:
    values = DelayPart("values", 0.75, values_ns=(MS, 2 * MS), weights=(0.2, 0.8))
    parts = (values, DelayPart("uniform", 0.25, 5 * MS, 6 * MS))
    delays = passes(tmp_path, Impairments(delay_parts=parts, reorder=1.0), 3000).delays_ns
    assert delays.count(MS) == pytest.approx(450, rel=0.2)
    assert delays.count(2 * MS) == pytest.approx(1800, rel=0.1)
    others = [delay for delay in delays if delay not in (MS, 2 * MS)]
    assert len(others) == pytest.approx(750, rel=0.2)
    assert all(5 * MS <= delay <= 6 * MS for delay in others)


def test_order_is_kept_without_reorder(tmp_path: Path) -> None:
    passed = passes(tmp_path, Impairments(delay_parts=(NORMAL,)), 1000)
    assert passed.numbers == list(range(1000))
    assert passed.counters.reordered == 0
    jitter = passes(tmp_path, Impairments(delay_ns=10 * MS, jitter_ns=8 * MS), 1000)
    assert jitter.numbers == list(range(1000))
    assert min(jitter.delays_ns) >= 2 * MS
    assert max(jitter.delays_ns) <= 18 * MS


def test_a_share_may_overtake(tmp_path: Path) -> None:
    passed = passes(tmp_path, Impairments(delay_ns=20 * MS, reorder=0.25), 1000)
    assert sorted(passed.numbers) == list(range(1000))
    assert passed.delays_ns.count(0) == passed.counters.reordered == pytest.approx(250, rel=0.25)
    assert passed.delays_ns.count(20 * MS) == 1000 - passed.counters.reordered


def test_the_seed_decides_every_draw(tmp_path: Path) -> None:
    impairments = Impairments(delay_parts=(NORMAL,), reorder=0.5, loss=0.1, duplicate=0.1)

    def outcome(seed: int) -> dict[int, int]:
        passed = passes(tmp_path, impairments, 500, seed=seed)
        free: dict[int, int] = {}
        for number, delay_ns in zip(passed.numbers, passed.delays_ns, strict=True):
            free.setdefault(number, delay_ns)
        return free

    def draws(first: dict[int, int], second: dict[int, int]) -> int:
        """Frames with the same delay to the nanosecond: those that were free to overtake."""
        return sum(second.get(number) == delay for number, delay in first.items())

    first, again, other = outcome(7), outcome(7), outcome(8)
    assert first.keys() == again.keys() != other.keys()
    assert draws(first, again) > 150
    assert draws(first, other) == 0


def test_directions_and_links_have_draws_of_their_own(tmp_path: Path) -> None:
    async def main() -> list[list[int]]:
        free = Impairments(delay_parts=(NORMAL,), reorder=1.0)
        async with simulate(plan(wire(free, free, pcap=True)), tmp_path) as (simulation, (a, b)):
            for number in range(50):
                await a.send(frame(0, 1, number.to_bytes(4, "big")))
                await b.send(frame(1, 0, number.to_bytes(4, "big")))
            while sum(each.delivered_frames for each in (await simulation.counters()).links["a-b"]) < 100:
                await trio.lowlevel.checkpoint()
            await simulation.stop()
        passed = [read_pcap(tmp_path / "pcap" / f"{node}-eth0.pcap") for node in "ab"]
        delays = []
        for source, ends in ((0, passed), (1, passed[::-1])):
            of_source = mac(source)
            at_ns = [{each.number: each.at_ns for each in end if each.data[6:12] == of_source} for end in ends]
            delays.append([at_ns[1][number] - at_ns[0][number] for number in range(50)])
        return delays

    there, back = trio.run(main)
    assert not set(there) & set(back)

"""How the simulation keeps time, and what it says of that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from qemunet.plan.model import SimulationPlan, TimingPlan
from qemunet.simulation.report import SimulationReport
from tests.ns3.conftest import end, frame, plan, simulate, wire
from tests.ns3.test_control import quiet_lan

MS = 1_000_000


def run_until(simulation_plan: SimulationPlan, directory: Path, end_ns: int) -> SimulationReport:
    """Run a network without a guest to a simulation time."""
    reports = []

    async def main() -> None:
        async with simulate(simulation_plan, directory) as (simulation, _):
            await simulation.fire([], end_ns)
            reports.append(await simulation.stop())

    trio.run(main)
    return reports[0]


def idle(timing: TimingPlan, simulator: str = "qemunet") -> SimulationPlan:
    return replace(plan(quiet_lan(), simulator=simulator), timing=timing)


@pytest.mark.parametrize("simulator", ["qemunet", "ns3"])
def test_what_a_run_cost(tmp_path: Path, simulator: str) -> None:
    report = run_until(idle(TimingPlan(deadline_ns=1), simulator), tmp_path, 1200 * MS)
    load = report.load
    assert load.wall_ns >= 1000 * MS  # It begins a little after time 0.
    assert 0 < load.thread_ns < load.wall_ns
    assert load.thread_ns <= load.process_ns + MS
    assert 0 < load.busiest_cpu_ns <= load.thread_ns
    assert load.busiest_at_ns < 1000 * MS
    assert (load.most_drops, load.most_drops_at_ns) == (0, 0)
    # Nothing runs within a nanosecond; a loop that sleeps until then is later.
    assert 0 < report.missed <= report.counters.lag.count
    # Real-time priority would keep the threads of ns-3's TapBridge waiting; the other simulator is to run at its best.
    assert report.scheduling.policy == "SCHED_OTHER" or simulator == "qemunet"


def test_polling_takes_a_processor_and_frames_pass(tmp_path: Path) -> None:
    async def main() -> None:
        busy = replace(plan(wire(ends=(end("a", 0), end("b", 1)))), timing=TimingPlan(busy_poll=True))
        async with simulate(busy, tmp_path / "busy") as (simulation, (a, b)):
            for number in range(100):
                sent = frame(0, 1, bytes([number]) * 50)
                await a.send(sent)
                assert await b.receive() == sent
            await simulation.fire([], 700 * MS)
            reports.append(await simulation.stop())

    reports: list[SimulationReport] = []
    (tmp_path / "busy").mkdir()
    (tmp_path / "idle").mkdir()
    trio.run(main)
    asleep = run_until(idle(TimingPlan()), tmp_path / "idle", 700 * MS).load
    awake = reports[0].load
    assert awake.thread_ns / awake.wall_ns > 5 * asleep.thread_ns / asleep.wall_ns


@pytest.mark.parametrize("simulator", ["qemunet", "ns3"])
def test_an_event_later_than_the_hard_limit_is_told_and_the_simulation_goes_on(tmp_path: Path, simulator: str) -> None:
    async def main() -> None:
        timing = TimingPlan(hard_limit_ns=1)
        async with simulate(idle(timing, simulator), tmp_path) as (simulation, _):
            with trio.fail_after(20):
                await simulation.failed.wait()
            error = simulation.failure
            assert error is not None
            assert "over the hard limit of 1e-06 ms" in error.message
            assert simulation.error is None
            report = await simulation.stop()
            assert report.counters.lag.max_ns > 1

    trio.run(main)

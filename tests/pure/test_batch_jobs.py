"""``--jobs auto``: what cores and memory allow, and what fidelity makes of it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from qemunet.batch.jobs import AutoExecutor, Governor, Judgement, Room, find_room, judge, memory_of, room_for
from qemunet.batch.model import Attempt, Job, PlannedRun, Sweep
from qemunet.plan import Plan, make_plan
from qemunet.topology import parse_topology

MACHINES = "node a qemu memory=1000MiB\nnode b qemu memory=500MiB\nlink a b\n"
CONTAINERS = "node a container\nnode b container\nlink a b\n"
WELL: list[Judgement] = ["well"] * 8
LIMITS = {"lag_p99_ns": 2_000_000, "lag_max_ns": 100_000_000, "door_drops": 0.001, "start_skew_ns": 5_000_000}


def plan(text: str) -> Plan:
    return make_plan(parse_topology(text, name="t.txt"), seed=1, source_directory=Path())


def fidelity(p99_ms: float, *, faithful: bool = True) -> dict[str, Any]:
    return {
        "faithful": faithful,
        "lag_ns": {"p99": p99_ms * 1e6, "max": p99_ms * 1e6},
        "start_skew_ns": {"max": 0},
        "limits": LIMITS,
    }


def test_memory_counts_guests_and_what_is_beside_them() -> None:
    assert memory_of(plan(MACHINES)) == 160 + 1000 + 500 + 2 * 64
    assert memory_of(plan(CONTAINERS)) == 160 + 2 * (64 + 16)


@pytest.mark.parametrize(
    ("text", "cores", "memory_mib", "most"),
    [
        (CONTAINERS, 2, 16_000, 4),
        (MACHINES, 2, 16_000, 2),
        (MACHINES, 8, 512 + 3 * 1788, 3),
        (MACHINES, 8, 600, 1),  # one is always tried
    ],
)
def test_room_is_what_cores_and_memory_allow(text: str, cores: int, memory_mib: int, most: int) -> None:
    assert room_for([plan(CONTAINERS), plan(text)], cores=cores, memory_mib=memory_mib).most == most


def test_the_largest_point_of_a_sweep_counts(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("param m = 100MiB\nnode a qemu memory=${m}\nnode b qemu\nlink a b\n")
    (tmp_path / "e.py").write_text("async def experiment(bed): ...\n")
    points = ({"m": "100MiB"}, {"m": "900MiB"}, {"m": "200MiB"})
    room = find_room(Sweep(str(tmp_path / "t.txt"), tmp_path / "e.py", ("m",), points))
    assert room.run_mib == 160 + 900 + 128 + 2 * 64


@pytest.mark.parametrize(
    ("measured", "judgement"),
    [
        (None, None),
        (fidelity(0.3), "well"),
        (fidelity(1.5), "inside"),
        (fidelity(1.9), "over"),
        (fidelity(0.3, faithful=False), "over"),
    ],
)
def test_a_run_is_judged_by_its_distance_to_the_limits(measured: Any, judgement: str | None) -> None:
    assert judge(measured) == judgement


def feed(governor: Governor, *judgements: Judgement) -> list[int]:
    jobs = []
    for judgement in judgements:
        governor.ended(judgement, governor.epoch)
        jobs.append(governor.jobs)
    return jobs


def test_it_begins_with_one_and_adds_one_while_runs_are_well() -> None:
    assert feed(Governor(3), *WELL) == [1, 2, 2, 2, 3, 3, 3, 3]


def test_it_steps_back_when_runs_are_disturbed_and_is_slow_to_try_again() -> None:
    governor = Governor(3)
    assert feed(governor, "well", "well", "over") == [1, 2, 1]
    assert feed(governor, *WELL) == [1] * 7 + [2]


def test_runs_near_their_limits_change_nothing() -> None:
    assert feed(Governor(3), "well", "inside", "well", "inside") == [1] * 4


def test_a_run_that_began_with_another_number_says_nothing() -> None:
    governor = Governor(3)
    epoch = governor.epoch
    assert feed(governor, "well", "well") == [1, 2]
    assert governor.ended("over", epoch) is None
    assert governor.jobs == 2


@given(st.integers(1, 8), st.lists(st.sampled_from(["well", "inside", "over"]), max_size=300))
def test_it_stays_within_its_bounds_and_moves_by_one(most: int, judgements: list[Judgement]) -> None:
    jobs = [1, *feed(Governor(most), *judgements)]
    assert all(1 <= each <= most for each in jobs)
    assert all(abs(after - before) <= 1 for before, after in pairwise(jobs))


class Instant:
    name = "instant"
    capacity = 99

    async def execute(self, job: Job) -> Attempt:
        return Attempt(None, {"fidelity": fidelity(0.1)}, 0, "", self.name)


def test_decisions_are_said_and_stand_in_batch_json(tmp_path: Path) -> None:
    (tmp_path / "batch.json").write_text('{"schema": 1}')
    said: list[str] = []
    executor = AutoExecutor(Instant(), Room(2, 2, 4000, 400, 8), tmp_path, say=said.append)
    job = Job(PlannedRun(1, 1, 1, 1, 1, {}), 1, "t.txt", Path("e.py"), tmp_path, None)
    for _ in range(2):
        trio.run(executor.execute, job)
    assert executor.capacity == 2
    assert said == [
        "jobs: 1 at a time: one at a time to begin with, at most 2: 2 cores allow 2, 4000 MiB for runs of 400 MiB allow 8",
        "jobs: 2 at a time: 2 runs in a row were well inside their limits",
    ]
    record = json.loads((tmp_path / "batch.json").read_text())
    assert (record["schema"], record["jobs"]["jobs"], record["jobs"]["room"]["by_memory"]) == (1, 2, 8)
    assert [decision["jobs"] for decision in record["jobs"]["decisions"]] == [1, 2]

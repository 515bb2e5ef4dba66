"""The verdict on a run: limits, reasons with their instants, the computer's load."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from qemunet.errors import PlanError, TopologyError
from qemunet.host.load import InterfaceCounters, interface_counters, look_at_host
from qemunet.plan import make_plan
from qemunet.plan.model import TimingPlan
from qemunet.results.fidelity import CpuUse, DoorDrops, Limits, Measured, judge, limits_from_options
from qemunet.results.load import Look, host_load
from qemunet.simulation.failure import from_lateness
from qemunet.topology import parse_topology

MS = 1_000_000

GOOD = Measured(
    lag_p50_ns=1,
    lag_p99_ns=2,
    lag_p999_ns=3,
    lag_max_ns=4,
    events=5000,
    door_frames=1000,
    door_drops=0,
    start_skews_ns=[9],
    lag_max_at_s=1.25,
    lag_p99_at_s=1.0,
    start_skew_at_s=0.5,
    start_skew_task="throughput",
    door_drops_at_s=3.0,
    deadline_ns=20 * MS,
    looks=10_000,
    cpu=CpuUse(10.0, 5.0, 6.0, 0.9, 7.0),
)


@pytest.mark.parametrize(
    ("change", "limit", "at_s", "said"),
    [
        ({"lag_max_ns": 203 * MS}, "lag_max_ns", 1.25, "lag max 203 ms over its limit of 100 ms, worst at 1.250 s"),
        ({"lag_p99_ns": 3 * MS}, "lag_p99_ns", 1.0, "lag p99 3 ms over its limit of 2 ms, worst at 1.000 s"),
        (
            {"missed": 11},
            "deadline_misses",
            1.25,
            "11 of 10000 events later than the deadline of 20 ms, 0.11 % over the limit of 0.1 %, worst at 1.250 s",
        ),
        (
            {
                "door_drops": 7,
                "drops": [DoorDrops("a:eth0", "in", "kernel", 5), DoorDrops("b:eth0", "out", "queue", 2)],
            },
            "door_drops",
            3.0,
            "7 of 1000 frames dropped at the doors, 0.7 % over the limit of 0.1 %, most at a:eth0 (in, kernel: 5),"
            " in the second from 3.000 s",
        ),
        (
            {"start_skews_ns": [1, 6 * MS]},
            "start_skew_ns",
            0.5,
            "start skew 6 ms over its limit of 5 ms, worst at 0.500 s, Task throughput",
        ),
    ],
)
def test_a_limit_that_is_exceeded_says_when(change: dict[str, object], limit: str, at_s: float, said: str) -> None:
    fidelity = judge(replace(GOOD, **change), Limits())  # type: ignore[arg-type]
    assert fidelity["reasons"] == [said]
    assert fidelity["worst"] == {"limit": limit, "at_s": at_s}
    assert said in str(fidelity["summary"])
    json.dumps(fidelity, allow_nan=False)


def test_the_worst_is_the_one_that_is_most_times_its_limit() -> None:
    fidelity = judge(replace(GOOD, lag_p99_ns=200 * MS, lag_max_ns=203 * MS), Limits())
    assert fidelity["worst"] == {"limit": "lag_p99_ns", "at_s": 1.0}
    violations = fidelity["violations"]
    assert isinstance(violations, list)
    assert [each["limit"] for each in violations] == ["lag_p99_ns", "lag_max_ns"]
    json.dumps(judge(replace(GOOD, missed=1), Limits(deadline_misses=0.0)), allow_nan=False)


def test_a_few_misses_of_few_events_are_no_share() -> None:
    assert judge(replace(GOOD, missed=1, looks=50), Limits())["faithful"]
    assert not judge(replace(GOOD, missed=2, looks=50), Limits())["faithful"]
    assert not judge(replace(GOOD, missed=1, looks=50), Limits(deadline_misses=0.0))["faithful"]


def test_load_is_bound_only_where_a_user_says_so() -> None:
    host = host_load(looks([(0, 0), (1, 0), (2, 0), (3, 150)]))
    busy = replace(GOOD, cpu=CpuUse(10.0, 10.0, 10.0, 1.0, 2.0), host=host)
    assert judge(busy, Limits())["faithful"]
    fidelity = judge(busy, limits_from_options({"simulator_cpu": "80%", "host_saturation": "50%"}))
    assert fidelity["reasons"] == [
        "the simulator used 100 % of a processor, over the limit of 80 %, worst at 2.000 s",
        "the host was saturated for 2 of 3 s, 66.7 % over the limit of 50 %, worst at 0.000 s",
    ]
    assert "saturated for 2 of 3 s" in str(judge(replace(busy, lag_max_ns=10**9), Limits())["summary"])


def looks(told: list[tuple[float, int]], **more: int | None) -> list[Look]:
    """Looks at two cores: when, and idle ticks (of 100 a second) of each so far."""
    values = {"pressure_us": None, "throttled_us": None, **more}
    return [Look(at_s, (int(at_s * 100),) * 2, (idle,) * 2, (0, 0), load=1.5, **values) for at_s, idle in told]


def test_a_host_is_saturated_where_no_processor_is_free() -> None:
    load = host_load(looks([(0.0, 0), (1.0, 50), (2.0, 52), (3.5, 57), (4.5, 100)]))
    assert load is not None
    assert (load.saturated_s, load.measured_s, load.worst_at_s) == (2.5, 4.5, 1.0)
    assert load.worst_busy == pytest.approx(0.98)
    assert load.cores_busy == pytest.approx((1 - 100 / 450,) * 2)
    assert load.busy == pytest.approx(1 - 100 / 450)
    assert (load.pressure, load.throttled_s) == (None, None)


def test_a_host_whose_time_is_given_to_others_is_saturated() -> None:
    idle = looks([(0.0, 0), (1.0, 80)])
    stolen = [idle[0], replace(idle[1], steal=(12, 0))]
    kept = [
        replace(idle[0], throttled_us=0, pressure_us=0),
        replace(idle[1], throttled_us=300_000, pressure_us=250_000),
    ]
    one, other = host_load(stolen), host_load(kept)
    assert one is not None
    assert other is not None
    assert (one.saturated_s, other.saturated_s) == (1.0, 1.0)
    assert other.pressure == 0.25
    assert other.throttled_s == pytest.approx(0.3)


def test_a_host_that_was_hardly_looked_at() -> None:
    assert host_load([]) is None
    assert host_load(looks([(1.0, 0)])) is None
    assert host_load([*looks([(1.0, 0)]), *looks([(1.001, 0)])]) is None
    one, other = looks([(0.0, 0), (1.0, 100)])
    assert host_load([one, replace(other, ticks=(1,), idle=(1,), steal=(0,))]) is None


def test_looks_at_this_computer() -> None:
    before = look_at_host()
    assert before is not None
    assert len(before.ticks) == len(os.sched_getaffinity(0))
    after = look_at_host()
    assert after is not None
    assert sum(after.ticks) >= sum(before.ticks)
    assert after.host_ns > before.host_ns


def test_looks_at_what_the_kernel_says(tmp_path: Path) -> None:
    assert look_at_host(tmp_path, tmp_path) is None
    cores = "".join(f"cpu{core} 1 2 3 40 5 6 7 8 9 10\n" for core in range(4096))
    (tmp_path / "stat").write_text(f"cpu  9 9 9 9 9 9 9 9 9 9\n{cores}intr 1 2\n")
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "cpu").write_text(
        "some avg10=9.92 avg60=8.54 avg300=9.69 total=162\nfull avg10=0 total=0\n"
    )
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("1:cpu:/\n0::/own\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "cpu.stat").write_text("usage_usec 5\nnr_throttled 1\nthrottled_usec 77\n")
    look = look_at_host(tmp_path, tmp_path)
    assert look is not None
    count = len(os.sched_getaffinity(0))
    assert (look.ticks, look.idle, look.steal) == ((72,) * count, (45,) * count, (8,) * count)
    assert (look.pressure_us, look.throttled_us) == (162, 77)
    (tmp_path / "pressure" / "cpu").write_text("some of it\n")
    (tmp_path / "own" / "cpu.stat").unlink()
    look = look_at_host(tmp_path, tmp_path)
    assert look is not None
    assert (look.pressure_us, look.throttled_us) == (None, None)


def test_frames_that_the_kernel_counts(tmp_path: Path) -> None:
    (tmp_path / "5" / "net").mkdir(parents=True)
    (tmp_path / "5" / "net" / "dev").write_text(
        "Inter-|   Receive                   |  Transmit\n face |bytes ... |bytes ...\n"
        "    lo: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n  eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
    )
    assert interface_counters(5, tmp_path) == {"lo": InterfaceCounters(0, 0, 0), "eth0": InterfaceCounters(2, 10, 12)}
    assert interface_counters(6, tmp_path) == {}
    assert "lo" in interface_counters(os.getpid())


PAIR = "node a container\nnode b container\nlink a b wire\n"


def test_options_reach_the_simulation() -> None:
    def timing(options: str) -> TimingPlan:
        return make_plan(parse_topology(f"{options}\n{PAIR}"), seed=1, source_directory=None).simulation.timing

    assert timing("") == TimingPlan()
    assert timing("option deadline=1ms hard_limit=50ms busy_poll=yes") == TimingPlan(MS, 50 * MS, busy_poll=True)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("hard_limt=50ms", "1:8: .*hard_limt.*did you mean 'hard_limit'"),
        ("hard_limit=50", "1:8: .*hard_limit"),
        ("hard_limit=0ms", "1:8: .*longer than 0"),
        ("deadline=soon", "1:8: .*deadline"),
        ("deadline_misses=2", "1:8: .*deadline_misses"),
        ("host_saturation=150%", "1:8: .*host_saturation"),
        ("busy_poll=yse", "1:8: .*yes or no.*did you mean 'yes'"),
    ],
)
def test_options_that_are_wrong(option: str, said: str) -> None:
    with pytest.raises(TopologyError, match=said):
        parse_topology(f"option {option}\n{PAIR}")


def test_busy_polling_is_for_our_own_loop() -> None:
    topology = parse_topology(
        "option simulator=ns3 attach=tapbridge\noption busy_poll=yes\n" + PAIR.replace("a b\n", "a b csma\n")
    )
    with pytest.raises(PlanError, match=r"2:8: .*busy_poll=yes is for our own simulator's loop"):
        make_plan(topology, seed=1, source_directory=None)


def test_an_event_over_the_hard_limit_is_told() -> None:
    error = from_lateness(63 * MS, 3_200 * MS, 50 * MS)
    assert error.message == (
        "an event of the simulation ran 63 ms late at simulation time 3.200 s, over the hard limit of 50 ms"
    )
    assert error.layer == "simulation"

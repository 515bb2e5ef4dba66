"""Positions, steps, areas and movement."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemunet.errors import PlanError, TopologyError
from qemunet.plan import make_plan
from qemunet.plan.model import MobilityPlan, ModelPlan
from qemunet.topology import Topology, parse_topology
from qemunet.topology.places import format_position, free_places, position_m

COORDINATES = st.integers(-(10**9), 10**9).map(lambda number: number / 1000)


def positions(topology: Topology) -> dict[str, str]:
    return {name: node.attributes.get("position", "") for name, node in topology.nodes.items()}


def moves(text: str) -> dict[str, MobilityPlan]:
    plan = make_plan(parse_topology(text), seed=1, source_directory=None)
    return {each.node: each for each in plan.simulation.mobility}


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        make_plan(parse_topology(text), seed=1, source_directory=None)
    return caught.value.problems


@given(st.tuples(COORDINATES, COORDINATES, COORDINATES))
def test_a_written_position_reads_back(position: tuple[float, float, float]) -> None:
    assert position_m(format_position(position)) == pytest.approx(position, abs=1e-9)


def test_a_step_places_the_nodes_of_a_statement() -> None:
    read = positions(parse_topology("node r[1-3] s container position=1,2 step=50,-0.5"))
    assert read == {"r1": "1,2", "r2": "51,1.5", "r3": "101,1", "s": "151,0.5"}


def test_a_step_for_each_range_makes_a_grid() -> None:
    topology = parse_topology("node r[1-2]c[1-3] container position=0,0,1 step=0,10/5,0")
    assert positions(topology) == {
        "r1c1": "0,0,1",
        "r1c2": "5,0,1",
        "r1c3": "10,0,1",
        "r2c1": "0,10,1",
        "r2c2": "5,10,1",
        "r2c3": "10,10,1",
    }
    assert "step" not in topology.nodes["r1c1"].attributes


def test_positions_may_be_defaults() -> None:
    topology = parse_topology("default node position=7,8\nnode a b container\nnode c container position=0,1")
    assert positions(topology) == {"a": "7,8", "b": "7,8", "c": "0,1"}


@pytest.mark.parametrize(
    ("keys", "column", "message"),
    [
        ("position=1", 19, "a position is x,y or x,y,z in metres, such as 50,0"),
        ("position=1,a", 19, "a position is"),
        ("position=1,2 step=1", 32, "a step is x,y or x,y,z in metres, such as 50,0"),
        ("step=1,2", 19, "step needs the position of the first node; add position=x,y"),
        ("position=0,0 step=1,0/0,1", 32, "has 2 steps for 0 ranges"),
        ("velocity=3", 19, "a velocity is x,y or x,y,z in metres a second, such as 1.5,0"),
        ("area=0,0,10", 19, "an area is left,lower,right,upper in metres"),
        ("area=10,0,0,10", 19, "right is more than left"),
        ("position=0,0 area=5,5,9,9", 19, "outside of area=5,5,9,9; it has to begin inside"),
        ("position=0,0 mobility=RandomWalk2d mobility.Bounds=5|9|5|9", 19, "outside of mobility.Bounds=5|9|5|9"),
        ("mobility=RandomWalk3d", 19, "is no ns3::MobilityModel; did you mean 'RandomWalk2d'?"),
        ("mobility=Waypoint", 19, "needs a program (extend); use one of ConstantPosition, ConstantVelocity"),
        ("mobility=RandomWalk2d velocity=1,0", 41, "is for mobility=ConstantVelocity, not RandomWalk2d"),
        ("mobility=RandomWalk2d mobility.Bound=1", 41, "has no attribute 'Bound'; did you mean 'Bounds'?"),
        ("mobility=RandomWalk2d mobility.Bounds=1", 41, "must be 4 numbers joined by |, such as 0|100|0|100"),
        ("mobility.Bounds=0|1|0|1", 19, "ns3::ConstantPositionMobilityModel has no attribute 'Bounds'"),
    ],
)
def test_mistakes(keys: str, column: int, message: str) -> None:
    (found,) = problems(f"node a1 container {keys}")
    assert message in found
    assert found.startswith(f"topology.txt:1:{column}: ")


def test_where_nodes_stand_and_how_they_move() -> None:
    planned = moves(
        "node a container position=5,5\n"
        "node b container position=-10,0,2 mobility=RandomWalk2d\n"
        "node c container position=1,1 mobility=ns3::RandomWaypointMobilityModel area=0,0,50,20\n"
        "node d container position=1,1 velocity=1,-2 \n"
        "node e container mobility=GaussMarkovMobilityModel mobility.Alpha=0.5\n"
        "lan air wifi a b"
    )
    assert planned["a"] == MobilityPlan("a", ModelPlan("ns3::ConstantPositionMobilityModel"), (5.0, 5.0, 0.0))
    walk = ModelPlan("ns3::RandomWalk2dMobilityModel", {"Bounds": "-10|100|0|100"})
    assert planned["b"] == MobilityPlan("b", walk, (-10.0, 0.0, 2.0))
    destinations = planned["c"].allocator
    assert destinations is not None
    assert destinations.type == "ns3::RandomRectanglePositionAllocator"
    assert destinations.attributes["X"] == "ns3::UniformRandomVariable[Min=0|Max=50]"
    assert destinations.attributes["Y"] == "ns3::UniformRandomVariable[Min=0|Max=20]"
    assert planned["d"].model.type == "ns3::ConstantVelocityMobilityModel"
    assert planned["d"].velocity == (1.0, -2.0, 0.0)
    assert planned["e"].model.attributes == {"Bounds": "0|100|0|100|0|0", "Alpha": "0.5"}


def test_a_position_off_wifi_builds_nothing() -> None:
    assert moves("node a b container position=1,2\nlink a b") == {}


def test_nodes_on_wifi_without_position_get_places_of_their_own() -> None:
    text = "node a[1-5] container\nnode b container position=10,0\nlan air wifi a[1-5] b"
    planned = moves(text)
    assert len({each.position for each in planned.values()}) == 6
    plan = make_plan(parse_topology(text), seed=1, source_directory=None)
    assert len(plan.warnings) == 5
    assert plan.warnings[0].startswith("topology.txt:1:6: node a1 is on Wi-Fi and has no position; it is put at 0,0")


def test_free_places_are_distinct_and_near() -> None:
    places = list(islice(free_places([(0, 0, 0), (10, 10, 3)]), 100))
    assert len(set(places)) == 100
    assert all(max(x, y) <= 100 for x, y, _ in places)
    assert not {(0, 0, 0), (10, 10, 0)} & set(places)


def test_a_plan_error_has_the_place() -> None:
    with pytest.raises(PlanError):
        make_plan(parse_topology("node a container position=0,0 area=1,1,2,2"), seed=1, source_directory=None)

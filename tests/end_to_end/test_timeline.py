"""What happened in a run, from its events.jsonl alone: enough to draw each guest's timeline."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from .conftest import Bench

pytestmark = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)

TOPOLOGY = "node a container\nnode b container\nnode c qemu\nchain a b c\n"

EXPERIMENT = """\
import time

from qemunet import Command, Daemon, Task
from qemunet.errors import CommandFailed

def told(task, completed):
    many = completed if isinstance(completed, list) else [completed]
    return [[task, c.node, c.command, c.fired_s, c.started_s, c.ended_s, c.exit_status] for c in many if c]

async def experiment(bed):
    first = await bed.run(
        Task("first", {"a": ["true", "sleep 0.1", "true"], "b": [Daemon("exec sleep 600"), "sleep 0.2"], "c": "exit 0"})
    )
    commands = [line for done in first.values() for line in told("first", done)]
    runs_on = await bed.run(Task("runs on", {"a": Daemon("exec sleep 601", until="run"), "c": "true"}))
    commands += told("runs on", runs_on["c"])
    try:
        await bed.run(
            Task("broken", {"a": "exit 3", "b": ["sleep 0.3", "true"], "c": ["exit 4", "true"]}, on_failure="collect")
        )
    except CommandFailed as error:
        commands += [line for done in error.__cause__.results.values() for line in told("broken", done)]
    here = bed.directory / "file"
    here.write_bytes(bytes(200_000))
    await bed.guests["c"].copy_to(here, "/tmp/file")
    await bed.guests["c"].copy_from("/tmp/file", bed.directory / "back")
    async with bed.guests["b"].open() as second:
        commands += told(None, await second.run("echo second"))
    commands += told(None, await bed.guests["a"].run("exit 7"))
    # A guest's word of when it is, on the axis of everything else.
    before_s = bed.now_s
    stamps = [bed.at_s(float(await bed.guests[name].succeed(text))) for name, text in (
        ("a", "date +%s.%N"), ("c", "echo $EPOCHREALTIME"))]
    assert before_s - 0.05 < stamps[0] and stamps[1] < bed.now_s + 0.05, (before_s, stamps, bed.now_s)
    assert abs(bed.unix_time_s(bed.now_s) - time.time()) < 0.05
    return {"commands": commands, "before": before_s, "stamps": stamps}
"""


@dataclass
class Interval:
    """A command on a guest's timeline; times in simulation seconds."""

    task: str | None
    node: str
    command: str
    fired_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    exit_status: int | None = None
    how: str = ""


def intervals(events: list[dict[str, Any]]) -> dict[int, Interval]:
    """Every command that was fired, by its number."""
    found: dict[int, Interval] = {}
    for event in events:
        kind, at_s = event["event"], event["simulation_s"]
        if kind == "armed":
            found[event["number"]] = Interval(event.get("task"), event["node"], event["command"])
        elif kind == "fired":
            found[event["number"]].fired_s = at_s
        elif kind == "started":
            found[event["number"]].started_s = at_s
        elif kind in ("ended", "interrupted", "lost"):
            each = found[event["number"]]
            each.ended_s, each.how, each.exit_status = at_s, kind, event.get("exit_status")
    return {number: each for number, each in found.items() if each.fired_s is not None}


def test_timelines_from_events_alone(bench: Bench) -> None:
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), bench.file("e.py", EXPERIMENT))
    assert record["verdict"] == "passed", done.stderr
    directory = Path(record["directory"])
    events = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    found = intervals(events)

    # Every command that bed.run and the verbs returned is there, with the same times, and nothing more but what has no
    # result of its own: the two that ask for the time, and the Daemon that ran on to the end.
    drawn: list[list[Any]] = [
        [each.task, each.node, each.command, each.fired_s, each.started_s, each.ended_s, each.exit_status]
        for each in found.values()
    ]
    for line in record["metrics"]["commands"]:
        drawn.remove(line)
    assert sorted(line[2] for line in drawn) == ["date +%s.%N", "echo $EPOCHREALTIME", "exec sleep 601"]
    for each in found.values():
        assert each.fired_s is not None
        assert each.started_s is not None
        assert each.ended_s is not None
        assert each.how == "ended"
        assert each.fired_s <= each.started_s <= each.ended_s

    # On a guest's first console commands do not overlap, but with Daemons.
    for node in "abc":
        line = sorted(
            (each.fired_s or 0.0, each.ended_s or 0.0)
            for each in found.values()
            if each.node == node and not each.command.startswith("exec sleep") and each.command != "echo second"
        )
        assert all(first[1] <= second[0] for first, second in pairwise(line))

    # Barriers: after all that the Task waited for, and before whatever comes next.
    barriers = {event["task"]: event for event in events if event["event"] in ("barrier", "broken")}
    assert {task: event["event"] for task, event in barriers.items()} == {
        "first": "barrier",
        "runs on": "barrier",
        "broken": "broken",
    }
    order = list(barriers)
    for task, barrier in barriers.items():
        own = [each for each in found.values() if each.task == task and each.command != "exec sleep 601"]
        assert max(each.ended_s or 0 for each in own) <= barrier["simulation_s"]
        arrivals = [event for event in events if event["event"] == "arrived" and event["task"] == task]
        assert [event["node"] for event in arrivals] == barrier["arrived"]
        assert all(event["simulation_s"] <= barrier["simulation_s"] for event in arrivals)
        for later in order[order.index(task) + 1 :]:
            following = [each.fired_s or 0 for each in found.values() if each.task == later]
            assert barrier["simulation_s"] <= min(following)
    assert (barriers["broken"]["arrived"], barriers["broken"]["missing"]) == (["b"], ["a", "c"])
    assert barriers["broken"]["failures"] == 2
    assert [event["task"] for event in events if event["event"] == "skew"] == ["first", "runs on", "broken"]

    # The run around them.
    for node in "abc":
        own_kinds = [event["event"] for event in events if event.get("node") == node]
        assert own_kinds[:3] == ["booting", "booted", "clock"]
    clocks = {event["node"]: event for event in events if event["event"] == "clock"}
    assert (clocks["a"]["offset_s"], clocks["b"]["offset_s"]) == (0, 0)
    assert abs(clocks["c"]["offset_s"]) < 0.05
    assert kinds.index("time-0") > max(index for index, kind in enumerate(kinds) if kind == "booted")
    (origin,) = [event for event in events if event["event"] == "time-0"]
    assert origin["unix_s"] == record["time_0_unix_s"]
    assert all((event["simulation_s"] is None) == (event["host_ns"] < origin["host_ns"]) for event in events[:-1])
    copies = [
        (event["event"], event["node"], event["direction"], event.get("bytes", 0) > 200_000)
        for event in events
        if event["event"].startswith("copy-")
    ]
    assert copies == [
        ("copy-started", "c", "to", False),
        ("copy-ended", "c", "to", True),
        ("copy-started", "c", "from", False),
        ("copy-ended", "c", "from", True),
    ]
    assert [event["node"] for event in events if event["event"] in ("shell-opened", "shell-closed")] == ["b", "b"]
    assert kinds[-1] == "end"
    assert events[-1]["status"] == record["status"]
    assert "ending" in kinds

    # The same numbers lead to the outputs.
    lines = [json.loads(line) for line in (directory / "tasks.jsonl").read_text().splitlines()]
    assert sorted(line["number"] for line in lines) == sorted(found)
    for line in lines:
        each = found[line["number"]]
        assert (each.node, each.command, each.task, each.exit_status) == (
            line["node"],
            line["command"],
            line["task"],
            line["exit_status"],
        )

"""Guests that go down with a command, and guests that hang: always named, with the reason, and the others' output kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from .conftest import MARK, Bench

needs_tun = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)
KINDS = [pytest.param("container", marks=needs_tun), "qemu"]
TOPOLOGY = "param kind = qemu\nnode a ${kind}\nnode b ${kind}\nlink a b\n"
MANY = "param kind = qemu\nnode a[1-6] ${kind}\nchain a[1-6]\n"

# The command is the last thing on its guest, and nothing comes after it that would wait for the guest's end.
LAST = """\
from qemunet import Task
from qemunet.errors import BrokenBarrierError, GuestExitedError

PARAMETERS = {"command": ""}

async def experiment(bed):
    reasons = []
    for number, (name, guest) in enumerate(bed.guests.items()):
        try:
            if number % 2:
                await guest.run(bed.parameters["command"])
            else:
                await bed.run(Task("t", {name: bed.parameters["command"]}))
            reasons.append("went on")
        except GuestExitedError as error:
            assert error.node == name
            assert number % 2 or isinstance(error.__cause__, BrokenBarrierError)
            reasons.append(error.reason)
    return {"reasons": reasons}
"""


def lines(record: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(record["directory"]) / name).read_text().splitlines()]


# A container's caller of reboot(2) ends with status 0, and its shell may say so before it is killed.
BY_SYSTEM_CALL = "python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x1234567)'"


@pytest.mark.parametrize(
    ("kind", "command", "reason"),
    [
        pytest.param("container", "reboot -f", "reboot", marks=needs_tun),
        pytest.param("container", "poweroff -f", "shutdown", marks=needs_tun),
        pytest.param("container", BY_SYSTEM_CALL, "reboot", marks=needs_tun),
        pytest.param("container", "echo last words; reboot -f & sleep 0", "reboot", marks=needs_tun),
        ("qemu", "reboot -f", "reboot"),
        ("qemu", "poweroff -f", "shutdown"),
        ("qemu", "reboot", "reboot"),
        ("qemu", "echo c >/proc/sysrq-trigger", "panic"),
    ],
)
def test_the_last_command_takes_its_guest_down(bench: Bench, kind: str, command: str, reason: str) -> None:
    experiment = bench.file("e.py", LAST)
    done, record = bench.run(bench.file("t.txt", MANY), experiment, "-p", f"kind={kind}", "-p", f"command={command}")
    assert record["metrics"] == {"reasons": [reason] * 6}, done.stderr
    commands = lines(record, "tasks.jsonl")
    assert [(line["command"], line["exit_status"]) for line in commands] == [(command, None)] * 6
    exited = [event for event in lines(record, "events.jsonl") if event["event"] == "guest-exited"]
    assert sorted(event["node"] for event in exited) == [f"a{number}" for number in range(1, 7)]


UNNOTICED = """\
import trio

async def experiment(bed):
    # Its command has ended well before.
    await bed.guests["a"].run("{ sleep 0.2; poweroff -f; } >/dev/null 2>&1 &")
    while "guest-exited" not in (bed.directory / "events.jsonl").read_text():
        await trio.lowlevel.checkpoint()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_passes_with_a_guest_that_went_unnoticed(bench: Bench, kind: str) -> None:
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), bench.file("e.py", UNNOTICED), "-p", f"kind={kind}")
    assert (record["status"], record["error"]["layer"], record["error"]["node"]) == ("error", "guest", "a"), done.stderr
    assert "shut itself down" in record["error"]["message"]


HANG = """\
import os, signal
from contextlib import suppress
from pathlib import Path

import trio

from qemunet import Task
from qemunet.errors import BrokenBarrierError, GuestExitedError
from qemunet.testbed import life

life.HANG_S = 2.0
PARAMETERS = {{"verb": 0}}

def qemu(name):
    for each in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (each / "cmdline").read_bytes(), (each / "environ").read_bytes()
        except OSError:
            continue
        if b"\\0-name\\0" + name + b"\\0" in words and {mark!r} in environment.split(b"\\0"):
            return int(each.name)

async def hang(bed):
    while "words of b" not in (bed.directory / "console/b.log").read_text() or (
        "words of a" not in (bed.directory / "console/a.log").read_text()
    ):
        await trio.lowlevel.checkpoint()
    if bed.guests["a"].plan.type == "qemu":
        os.kill(qemu(b"a"), signal.SIGSTOP)
    else:
        # Its own command stops everything in it, but only when its words are out.
        async with bed.guests["a"].open() as second:
            with suppress(GuestExitedError):  # It may be stopped as well, and is told so too.
                await second.run("touch /tmp/go")

async def experiment(bed):
    container = bed.guests["a"].plan.type == "container"
    stop = "until [ -e /tmp/go ]; do :; done; kill -STOP -1;" if container else ""
    work = {{"a": f"echo words of a; {{stop}} exec sleep 600", "b": "echo words of b; exec sleep 600"}}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hang, bed)
        try:
            if bed.parameters["verb"]:
                await bed.guests["b"].run("echo words of b")
                await bed.guests["a"].run(work["a"])
            else:
                await bed.run(Task("t", work))
        except GuestExitedError as error:
            assert bed.parameters["verb"] or error.__cause__.missing == ("a", "b")
            named = [error.node, error.reason]
    # The other one can be used, and nothing waits for the one that hung.
    await bed.run(Task("after", {{"b": "true"}}))
    try:
        await bed.guests["a"].run("true")
    except GuestExitedError as error:
        return {{"named": named, "again": error.reason}}
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", [0, 1])
def test_a_guest_that_hangs_is_named(bench: Bench, kind: str, verb: int) -> None:
    experiment = bench.file("e.py", HANG.format(mark=f"{MARK}={bench.mark}".encode()))
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), experiment, "-p", f"kind={kind}", "-p", f"verb={verb}")
    assert record["metrics"] == {"named": ["a", "hang"], "again": "hang"}, done.stderr
    by_node = {line["node"]: line for line in lines(record, "tasks.jsonl") if "words of" in line["command"]}
    assert (by_node["a"]["output"], by_node["a"]["exit_status"]) == ("words of a\n", None)
    assert by_node["b"]["output"] == "words of b\n"
    (exited,) = [event for event in lines(record, "events.jsonl") if event["event"] == "guest-exited"]
    assert (exited["node"], exited["reason"]) == ("a", "hang")
    assert "hangs" in exited["message"]


IDLE = """\
from qemunet import Task
from qemunet.testbed import life

life.HANG_S = 0.5

async def experiment(bed):
    # Silent for many times the deadline, and floods of its own: neither is a hang.
    await bed.run(Task("silent", {"a": "sleep 6", "b": "(yes stray | head -c 3000000) & sleep 6"}))
    await bed.run(Task("busy", {node: "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done" for node in bed.guests}))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_that_is_silent_or_busy_does_not_hang(bench: Bench, kind: str) -> None:
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), bench.file("e.py", IDLE), "-p", f"kind={kind}")
    assert record["verdict"] == "passed", done.stderr

"""Inits that were forked in advance, and programs that they have loaded already."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable
from pathlib import Path

from tests.root.runs import DEADLINE_S, Controller

StartController = Callable[..., Controller]

CONTROLS = """
import json, os, sys, trio
from qemunet.host.run_init import open_run_init
from qemunet.host.spare import prepare_spare
from qemunet.host.programs import LOADED

def main():
    print(json.dumps([os.getpid(), os.environ["NEW"], sorted(map(int, os.listdir("/proc/self/fd")))]), flush=True)
    return 7

def fails():
    raise ValueError("of its own")

LOADED["-m", "loaded"], LOADED["-m", "fails"] = main, fails
before = {*os.listdir("/proc/self/fd")}
prepare_spare()
spare = open(f"/proc/self/task/{os.getpid()}/children").read().split()
# What the controller does after the fork counts as well.
os.environ["OLD"] = "of the controller"

async def run(argv):
    async with open_run_init(label=sys.argv[1]) as init:
        said = os.memfd_create("said")
        process = await init.spawn("x", argv, fds={7: 0}, log=said, env={"NEW": "of the child"})
        status = await process.wait()
        text = os.pread(said, 9999, 0).decode()
        os.close(said)
        return str(init.pid), status, text

forked = trio.run(run, [sys.executable, "-m", "loaded"])
prepare_spare()
failed = trio.run(run, [sys.executable, "-m", "fails"])
prepare_spare()
environment = trio.run(run, ["env"])
executed = trio.run(run, ["env"])
print(json.dumps([spare, forked, failed, environment, executed, before == {*os.listdir("/proc/self/fd")}]), flush=True)
prepare_spare()
print("ready", flush=True)
trio.run(trio.sleep_forever)
"""


def test_a_spare_init_serves_as_one_that_was_executed(start_controller: StartController) -> None:
    controller = start_controller(CONTROLS, "test-spare")
    spare, forked, failed, environment, executed, clean = json.loads(controller.line())
    assert (forked[0], forked[1]) == (spare[0], 7)
    pid, new, descriptors = json.loads(forked[2])
    assert pid < 20  # in the Run's PID namespace
    assert new == "of the child"
    assert descriptors == [0, 1, 2, 3, 7]  # 3 is the list itself
    assert (failed[1], failed[2].splitlines()[-1]) == (1, "ValueError: of its own")
    variables = [{*each[2].splitlines()} for each in (environment, executed)]
    assert "OLD=of the controller" in variables[0]
    assert variables[0] == variables[1]
    assert executed[0] != environment[0]
    assert clean, "descriptors are left open"


def test_a_spare_init_that_is_not_needed_ends_with_its_controller(start_controller: StartController) -> None:
    controller = start_controller(CONTROLS, "test-unneeded")
    controller.line()
    assert controller.line() == "ready"
    (spare,) = Path(f"/proc/{controller.process.pid}/task/{controller.process.pid}/children").read_text().split()
    pidfd = os.pidfd_open(int(spare))
    controller.kill()
    ready, _, _ = select.select([pidfd], [], [], DEADLINE_S)
    os.close(pidfd)
    assert ready

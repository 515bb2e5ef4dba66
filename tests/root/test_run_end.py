"""How a Run ends: nothing of it is left, whoever dies and however."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
import trio
import trio.testing

from qemunet.errors import HostError
from qemunet.host.leftovers import running_runs
from qemunet.host.run_init import RunInit, open_run_init
from tests.root.runs import DEADLINE_S, Controller, Log, Watch, find_run, in_run

StartController = Callable[..., Controller]

HOLDS_A_RUN = """
import os, signal, sys, trio
from qemunet.host.run_init import open_run_init
from qemunet.host.spare import prepare_spare
from qemunet.plan.model import HostPlan, TapPlan

if "spare" in sys.argv:
    prepare_spare()

async def main():
    async with open_run_init(label=sys.argv[1]) as init:
        if os.access("/dev/net/tun", os.R_OK | os.W_OK):
            await init.build(HostPlan(("b0",), (TapPlan("t0", "b0", "guest"),)))
            tap = await init.open_tap("t0")
        # One that ignores signals, one that has left its session and its parent: neither may survive.
        stubborn = "trap '' INT TERM HUP; setsid sleep 1000 & sleep 1000"
        await init.spawn("stubborn", ["sh", "-c", stubborn], log=2)
        process = await init.spawn("plain", ["sleep", "1000"], log=2)
        with trio.open_signal_receiver(signal.SIGINT) as signals:
            fork = os.fork() if "fork" in sys.argv else None
            if fork == 0:
                signal.pause()
            print(f"ready {fork}", flush=True)
            async for number in signals:
                probe = await init.spawn("probe", ["sh", "-c", "kill -0 $0", str(process.pid)], log=2)
                print("interrupted", await probe.wait(), process.returncode, flush=True)

trio.run(main)
"""


@pytest.mark.parametrize("init", ["executed", "spare"])
def test_kill_9_of_the_controller_leaves_nothing(start_controller: StartController, init: str) -> None:
    interfaces = set(os.listdir("/sys/class/net"))
    controller = start_controller(HOLDS_A_RUN, "test-kill-9", init)
    assert controller.line() == "ready None"
    watch = Watch(find_run("test-kill-9"))
    assert set(os.listdir("/sys/class/net")) == interfaces
    controller.kill()
    watch.wait_all_ended()
    watch.assert_no_namespace_left()
    assert not [run for run in running_runs() if run.label == "test-kill-9"]
    assert set(os.listdir("/sys/class/net")) == interfaces


def test_kill_9_although_a_fork_of_the_controller_holds_the_socket(start_controller: StartController) -> None:
    controller = start_controller(HOLDS_A_RUN, "test-fork", "fork")
    fork = os.pidfd_open(int(controller.line().split()[1]))
    try:
        watch = Watch(find_run("test-fork"))
        controller.kill()
        watch.wait_all_ended()
    finally:
        signal.pidfd_send_signal(fork, signal.SIGKILL)
        os.close(fork)


@pytest.mark.parametrize("init", ["executed", "spare"])
def test_interrupt_of_the_foreground_group_does_not_reach_the_run(start_controller: StartController, init: str) -> None:
    controller = start_controller(HOLDS_A_RUN, "test-interrupt", init)
    assert controller.line() == "ready None"
    for _ in range(3):
        os.killpg(controller.process.pid, signal.SIGINT)
        assert controller.line() == "interrupted 0 None"


@pytest.mark.parametrize(
    ("killed", "number"),
    # The kernel keeps other signals than SIGKILL from a PID 1.
    [("outer", signal.SIGKILL), ("outer", signal.SIGTERM), ("pid 1", signal.SIGKILL)],
)
def test_death_of_the_init_is_noticed(log: Log, killed: str, number: signal.Signals) -> None:
    async def body(init: RunInit) -> None:
        process = await init.spawn("x", ["sleep", "1000"], log=log.fd)
        run = find_run("test-death")
        watch = Watch(run)
        os.kill(run.init_pid if killed == "outer" else run.processes[0], number)
        with pytest.raises(HostError, match=r"init \(process \d+, test-death\) ended unexpectedly"):
            await process.wait()
        assert init.ended.is_set()
        with pytest.raises(HostError, match="ended unexpectedly"):
            await init.spawn("late", ["true"], log=log.fd)
        await process.kill()
        await trio.to_thread.run_sync(watch.wait_all_ended)

    in_run(body, label="test-death")


def test_a_request_in_flight_is_told_of_the_death(log: Log) -> None:
    async def body(init: RunInit) -> None:
        run = find_run("test-in-flight")
        os.kill(run.processes[0], signal.SIGSTOP)

        async def ask() -> None:
            with pytest.raises(HostError, match="ended unexpectedly"):
                await init.spawn("x", ["true"], log=log.fd)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            os.kill(run.processes[0], signal.SIGKILL)

    in_run(body, label="test-in-flight")


def test_a_stopped_init_is_killed_at_the_end(log: Log) -> None:
    async def main() -> None:
        with trio.fail_after(DEADLINE_S):
            async with open_run_init(label="test-stopped") as init:
                await init.spawn("x", ["sleep", "1000"], log=log.fd)
                run = find_run("test-stopped")
                watch = Watch(run)
                os.kill(run.processes[0], signal.SIGSTOP)
        await trio.to_thread.run_sync(watch.wait_all_ended)

    trio.run(main)


def test_signals_from_inside_do_not_end_the_init(log: Log) -> None:
    async def body(init: RunInit) -> None:
        for number in range(1, 32):
            attacker = await init.spawn("x", ["sh", "-c", f"kill -{number} 1"], log=log.fd)
            await attacker.wait()
        process = await init.spawn("x", ["true"], log=log.fd)
        assert await process.wait() == 0

    in_run(body)

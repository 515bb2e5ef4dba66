"""The engine on real shells, and what a Task accepts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
import trio.testing

from qemunet import Command, CompletedCommand, Daemon, Task
from qemunet.errors import BrokenBarrierError, CommandFailed, CommandTimeout, GuestExitedError, TaskError
from qemunet.tasks.chain import run_chain
from qemunet.tasks.engine import Engine
from qemunet.tasks.protocols import TaskEvent
from qemunet.tasks.task import Results
from qemunet.tasks.verbs import GuestVerbs
from tests.pure.shells import SHELLS, HostClock, Terminal, open_terminal


@dataclass
class Bed:
    terminals: dict[str, Terminal]
    engine: Engine
    verbs: dict[str, GuestVerbs]
    events: list[TaskEvent] = field(default_factory=list)

    async def run(self, task: Task) -> Results:
        return (await self.engine.run(task)).results

    def kinds(self, node: str) -> list[str]:
        return [event.kind for event in self.events if event.node == node]

    def records(self) -> dict[str, CompletedCommand]:
        return {event.node or "": event.completed for event in self.events if event.completed is not None}


@asynccontextmanager
async def open_bed(directory: Path, count: int) -> AsyncIterator[Bed]:
    async with AsyncExitStack() as stack:
        terminals = {}
        for number in range(count):
            node = f"n{number}"
            terminals[node] = await stack.enter_async_context(
                open_terminal(SHELLS[number % len(SHELLS)], directory, node=node, number=number + 10)
            )
            terminals[node].shell.grace_s = 0.3
        clock = HostClock(*terminals.values())
        events: list[TaskEvent] = []
        shells = {node: terminal.shell for node, terminal in terminals.items()}
        verbs = {node: GuestVerbs(shell, clock, observe=events.append) for node, shell in shells.items()}
        yield Bed(terminals, Engine(shells, clock, observe=events.append), verbs, events)


def on_bed(directory: Path, body: Callable[[Bed], Awaitable[None]], *, count: int = 3) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with open_bed(directory, count) as bed:
                await body(bed)
                # Whatever happened, every console whose guest lives can be used afterwards.
                for node, terminal in bed.terminals.items():
                    if terminal.console.ended is None:
                        assert await bed.verbs[node].succeed("echo usable") == "usable\n"

    trio.run(main)


def test_eight_guests_start_together_and_meet_at_the_barrier(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        outcome = await bed.engine.run(Task("all", {node: f"echo {node}; echo >&2" for node in bed.terminals}))
        for node, completed in outcome.results.items():
            assert (completed.node, completed.output, completed.exit_status) == (node, f"{node}\n\n", 0)
            assert completed.output_bytes == completed.output.encode()
            assert completed.fired_s <= completed.started_s <= completed.ended_s
            assert completed.duration_s == completed.ended_s - completed.started_s
            assert bed.kinds(node) == ["armed", "fired", "started", "ended", "arrived"]
        assert 0 <= outcome.skew.written_ns < 1e9
        assert outcome.skew.begun_ns is not None
        kinds = [event.kind for event in bed.events]
        assert kinds[-2:] == ["skew", "barrier"]
        assert max(i for i, kind in enumerate(kinds) if kind == "armed") < kinds.index("fired")

    on_bed(tmp_path, body, count=8)


def test_lists_run_in_order(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        done = await bed.run(
            Task("lists", {"n0": ["echo 1", Command("exit 2", check=False), "echo 3"], "n1": ["echo alone"], "n2": ":"})
        )
        assert [completed.exit_status for completed in done["n0"]] == [0, 2, 0]
        assert [completed.output for completed in done["n0"]] == ["1\n", "", "3\n"]
        assert done["n0"][0].ended_s <= done["n0"][1].fired_s
        assert [completed.output for completed in done["n1"]] == ["alone\n"]
        assert done["n2"].exit_status == 0

    on_bed(tmp_path, body)


def test_start_at_a_simulation_time(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        clock = HostClock()
        outcome = await bed.engine.run(Task("later", {"n0": ":", "n1": ":"}, at_s=1.0))
        assert outcome.fired_s >= 1.0
        assert clock.now_s() < 1.5

    on_bed(tmp_path, body, count=2)


def test_a_start_that_has_passed(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        await bed.run(Task("now", {"n0": ":"}))
        outcome = await bed.engine.run(Task("late", {"n0": ":"}, at_s=0.0))
        assert outcome.fired_s > 0
        assert [dict(event.details) for event in bed.events if event.kind == "fired"][:2] == [{}, {"late": True}]

    on_bed(tmp_path, body, count=1)


def test_what_is_no_task(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        with pytest.raises(TaskError, match="what is run is a Task, not str 'foo'"):
            await bed.run("foo")  # type: ignore[arg-type]

    on_bed(tmp_path, body, count=1)


def test_a_daemon_that_is_stopped_at_once(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        for _ in range(8):
            done = await bed.run(Task("short", {node: ["true", Daemon("sleep 1000")] for node in bed.terminals}))
            assert [done[node][1].exit_status for node in done] == [130, 130, 130]

    on_bed(tmp_path, body)


def test_daemons_live_as_long_as_the_task(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def body(bed: Bed) -> None:
        done = await bed.run(
            Task(
                "served",
                {
                    "n0": [Daemon(f"echo serving; echo data >{pipe}; exec sleep 1000"), "echo beside"],
                    "n1": f"read x <{pipe}; echo $x",
                    "n2": Daemon("exec sleep 1000"),
                },
            )
        )
        daemon, beside = done["n0"]
        assert (daemon.output, daemon.exit_status, daemon.daemon) == ("serving\n", 130, True)
        assert daemon.started_s <= beside.fired_s
        assert daemon.ended_s >= done["n1"].ended_s
        assert beside.output == "beside\n"
        assert done["n1"].output == "data\n"
        assert done["n2"].exit_status == 130

    on_bed(tmp_path, body)


def test_daemons_that_outlive_their_task(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        done = await bed.run(Task("start", {"n0": Daemon("echo up; exec sleep 1000", until="run")}))
        assert (done["n0"].exit_status, done["n0"].ended_s, done["n0"].daemon) == (None, None, True)
        done = await bed.run(Task("use", {"n0": "pgrep -x sleep -s 0 || pgrep -f 'sleep 1000' >/dev/null"}))
        assert done["n0"].exit_status == 0
        (completed,) = await bed.engine.close()
        assert (completed.output, completed.exit_status) == ("up\n", 130)
        assert await bed.engine.close() == []

    on_bed(tmp_path, body, count=2)


def test_a_failure_stops_the_others(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def body(bed: Bed) -> None:
        with pytest.raises(CommandFailed, match=r"n1: .* returned 3; it wrote:\nbad") as caught:
            await bed.run(
                Task(
                    "fails",
                    {
                        "n0": f"echo so far; echo >{pipe}; exec sleep 1000",
                        "n1": f"read x <{pipe}; echo bad; exit 3",
                        "n2": [Daemon("exec sleep 1000"), "echo quick"],
                    },
                )
            )
        assert (caught.value.node, caught.value.exit_status, caught.value.output) == ("n1", 3, "bad\n")
        assert isinstance(caught.value.__cause__, BrokenBarrierError)
        broken = caught.value.__cause__
        assert broken.missing in (("n0", "n1"), ("n0", "n1", "n2"))
        assert broken.failures == (caught.value,)
        assert (broken.results["n0"].output, broken.results["n1"].exit_status) == ("so far\n", 3)
        assert len(broken.results["n2"]) == 2
        record = bed.records()["n0"]
        assert (record.output, record.interrupted, record.exit_status) == ("so far\n", True, 130)
        assert bed.events[-1].kind == "broken"

    on_bed(tmp_path, body)


def test_collecting_lets_the_others_go_on(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def fail(bed: Bed) -> pytest.ExceptionInfo[CommandFailed]:
        late = Command("echo late; exec sleep 1000", timeout_s=0.3)

        async def kill() -> None:
            await trio.to_thread.run_sync(pipe.read_bytes)
            while not bed.terminals["n3"].console.log.read_bytes().endswith(b"lost\n"):
                await trio.lowlevel.checkpoint()
            bed.terminals["n3"].console.fail(GuestExitedError("n3 crashed", node="n3"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            with pytest.raises(CommandFailed, match="n1: 'exit 3' returned 3") as caught:
                await bed.run(
                    Task(
                        "collects",
                        {
                            # It ends after all the failures, of which it waits for the last.
                            "n0": [Daemon("exec sleep 1000"), f"until [ -e {tmp_path}/go ]; do :; done; echo done"],
                            "n1": ["exit 3", "echo never"],
                            "n2": [f"until [ -e {tmp_path}/failed ]; do :; done; echo first", late, "echo never"],
                            "n3": f"until [ -e {tmp_path}/late ]; do :; done; echo lost; echo >{pipe}; exec sleep 1000",
                            "n4": f"until [ -e {tmp_path}/late ]; do :; done; exit 4",
                        },
                        on_failure="collect",
                    )
                )
        return caught

    async def body(bed: Bed) -> None:
        async with trio.open_nursery() as nursery:

            async def steer() -> None:
                for word, node, name in (
                    ("ended", "n1", "failed"),
                    ("interrupted", "n2", "late"),
                    ("lost", "n3", "go"),
                ):
                    while word not in bed.kinds(node):
                        await trio.lowlevel.checkpoint()
                    (tmp_path / name).touch()

            nursery.start_soon(steer)
            caught = await fail(bed)
        broken = caught.value.__cause__
        assert isinstance(broken, BrokenBarrierError)
        assert (broken.arrived, broken.missing) == (("n0",), ("n1", "n2", "n3", "n4"))
        assert broken.failures[0] is caught.value
        assert [type(each).__name__ for each in broken.failures[:2]] == ["CommandFailed", "CommandTimeout"]
        assert {getattr(each, "node", None) for each in broken.failures} == {"n1", "n2", "n3", "n4"}
        results = broken.results
        assert [each.exit_status for each in results["n0"]] == [130, 0]
        assert [each and each.exit_status for each in results["n1"]] == [3, None]
        assert results["n1"][1] is None
        assert [each and each.output for each in results["n2"]] == ["first\n", "late\n", None]
        assert (results["n3"].output, results["n3"].exit_status) == ("lost\n", None)
        assert results["n4"].exit_status == 4
        (event,) = [event for event in bed.events if event.kind == "broken"]
        assert event.details["failures"] == 4

    on_bed(tmp_path, body, count=5)


def test_collecting_without_a_failure_and_when_all_fail(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        done = await bed.run(Task("good", {"n0": "echo 0", "n1": ["echo 1"]}, on_failure="collect"))
        assert (done["n0"].output, done["n1"][0].output) == ("0\n", "1\n")
        with pytest.raises(CommandTimeout, match=r"n0: .* did not end within 0\.4 s") as caught:
            await bed.run(
                Task("late", {"n0": "exec sleep 1000", "n1": "exec sleep 1000"}, on_failure="collect", timeout_s=0.4)
            )
        assert isinstance(caught.value.__cause__, BrokenBarrierError)
        assert [(type(each), each.node) for each in caught.value.__cause__.failures] == [  # type: ignore[attr-defined]
            (CommandTimeout, "n0"),
            (CommandTimeout, "n1"),
        ]
        # A script that fits no shell is a mistake of the Task's: nothing of it runs anywhere.
        with pytest.raises(TaskError, match="bytes"):
            await bed.run(Task("long", {"n0": f"touch {tmp_path}/never", "n1": "x" * 200_000}, on_failure="collect"))
        assert not (tmp_path / "never").exists()

    on_bed(tmp_path, body, count=2)


def test_collecting_starts_without_a_guest_that_is_lost_already(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        bed.terminals["n1"].console.fail(GuestExitedError("n1 rebooted", node="n1", reason="reboot"))
        with pytest.raises(GuestExitedError, match="n1 rebooted") as caught:
            await bed.run(Task("rest", {"n0": "echo 0", "n1": "echo 1", "n2": "echo 2"}, on_failure="collect"))
        broken = caught.value.__cause__
        assert isinstance(broken, BrokenBarrierError)
        assert (broken.arrived, broken.missing) in ((("n0", "n2"), ("n1",)), (("n2", "n0"), ("n1",)))
        assert (broken.results["n0"].output, broken.results["n1"], broken.results["n2"].output) == ("0\n", None, "2\n")
        with pytest.raises(GuestExitedError):
            await bed.run(Task("nobody", {"n1": "echo 1"}, on_failure="collect"))

    on_bed(tmp_path, body)


def test_check(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        done = await bed.run(Task("unchecked", {"n0": "exit 4", "n1": ":"}, check=False))
        assert done["n0"].exit_status == 4
        with pytest.raises(CommandFailed):
            await bed.run(Task("one checked", {"n0": Command("exit 4", check=True), "n1": "exit 5"}, check=False))

    on_bed(tmp_path, body, count=2)


def test_timeouts(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        slow = Command("echo so far; exec sleep 1000", timeout_s=0.3)
        with pytest.raises(CommandTimeout, match=r"n1: .* did not end within 0\.3 s") as caught:
            await bed.run(Task("late command", {"n0": "echo quick", "n1": slow}))
        assert (caught.value.output, caught.value.timeout_s) == ("so far\n", 0.3)
        with pytest.raises(CommandTimeout, match=r"n1: .* did not end within 0\.4 s") as caught:
            await bed.run(Task("late task", {"n0": "echo quick", "n1": ["echo 1", slow.text]}, timeout_s=0.4))
        assert caught.value.output == "so far\n"
        assert isinstance(caught.value.__cause__, BrokenBarrierError)
        assert (caught.value.__cause__.arrived, caught.value.__cause__.missing) == (("n0",), ("n1",))
        stubborn = Command("trap '' INT QUIT; echo never; exec sleep 1000", timeout_s=0.3)
        with pytest.raises(CommandTimeout, match="it wrote:\nnever"):
            await bed.run(Task("stubborn", {"n0": stubborn}))

    on_bed(tmp_path, body, count=2)


def test_cancelling(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        with trio.move_on_after(0.3) as scope:
            await bed.run(
                Task("cancelled", {"n0": "echo a; exec sleep 1000", "n1": Daemon("exec sleep 1000"), "n2": ":"})
            )
        assert scope.cancelled_caught
        assert bed.records()["n0"].interrupted
        assert bed.records()["n1"].exit_status == 130
        with trio.move_on_after(0.3) as scope:
            await bed.run(Task("waits for its time", {"n0": f"touch {tmp_path}/never", "n1": ":"}, at_s=1e6))
        assert scope.cancelled_caught
        assert not (tmp_path / "never").exists()

    on_bed(tmp_path, body)


def test_a_guest_dies(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def body(bed: Bed) -> None:
        async def kill() -> None:
            await trio.to_thread.run_sync(pipe.read_bytes)
            for node, words in (("n0", b"mine\n"), ("n1", b"last words\n")):
                while not bed.terminals[node].console.log.read_bytes().endswith(words):
                    await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            bed.terminals["n1"].console.fail(GuestExitedError("n1 rebooted", node="n1", reason="reboot"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            with pytest.raises(GuestExitedError, match="n1 rebooted") as caught:
                await bed.run(
                    Task(
                        "dies",
                        {
                            "n0": "echo mine; exec sleep 1000",
                            "n1": f"echo last words; echo >{pipe}; exec sleep 1000",
                            "n2": [Daemon("exec sleep 1000"), "echo quick"],
                        },
                    )
                )
        assert (caught.value.node, caught.value.reason) == ("n1", "reboot")
        assert isinstance(caught.value.__cause__, BrokenBarrierError)
        assert "n1" in caught.value.__cause__.missing
        records = bed.records()
        assert (records["n0"].output, records["n0"].interrupted) == ("mine\n", True)
        assert (records["n1"].output, records["n1"].exit_status) == ("last words\n", None)
        bed.events.clear()
        with pytest.raises(GuestExitedError):
            await bed.run(Task("again", {"n0": ":", "n1": ":"}))
        assert bed.kinds("n1") == ["lost"]

    on_bed(tmp_path, body)


def test_a_guest_dies_before_the_start(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        async def kill() -> None:
            while len([event for event in bed.events if event.kind == "armed"]) < 2:
                await trio.lowlevel.checkpoint()
            bed.terminals["n1"].console.fail(GuestExitedError("n1 rebooted", node="n1", reason="reboot"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            with pytest.raises(GuestExitedError, match="n1 rebooted") as caught:
                await bed.run(Task("later", {"n0": f"touch {tmp_path}/never", "n1": ":"}, at_s=1e6))
        assert isinstance(caught.value.__cause__, BrokenBarrierError)
        assert "fired" not in [event.kind for event in bed.events]
        assert (await bed.verbs["n0"].run("echo usable")).output == "usable\n"
        assert not (tmp_path / "never").exists()

    on_bed(tmp_path, body, count=2)


def test_one_task_at_a_time_and_verbs_wait(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def body(bed: Bed) -> None:
        ended: list[str] = []

        async def first() -> None:
            await bed.run(Task("first", {"n0": f"cat {pipe}"}))
            ended.append("task")

        async def verb() -> None:
            assert await bed.verbs["n0"].succeed("echo waited") == "waited\n"
            ended.append("verb")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            while "started" not in bed.kinds("n0"):
                await trio.lowlevel.checkpoint()
            with pytest.raises(TaskError, match="'second' cannot start while Task 'first' runs"):
                await bed.run(Task("second", {"n1": ":"}))
            nursery.start_soon(verb)
            assert await bed.verbs["n1"].succeed("echo free") == "free\n"
            assert ended == []
            pipe.write_bytes(b"go\n")
        assert ended == ["task", "verb"]

    on_bed(tmp_path, body, count=2)


def test_verbs(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        guest = bed.verbs["n0"]
        assert (await guest.run("exit 3")).exit_status == 3
        with pytest.raises(CommandFailed):
            await guest.run("exit 3", check=True)
        with pytest.raises(CommandFailed):
            await guest.succeed("echo 1", "exit 4", f"touch {tmp_path}/never")
        assert not (tmp_path / "never").exists()
        assert await guest.succeed("echo 1", Command("cat", stdin="two\n")) == "1\ntwo\n"
        assert await guest.fail("echo why; exit 1") == "why\n"
        assert await guest.fail(Command("echo why; exit 1", check=True)) == "why\n"
        with pytest.raises(CommandFailed, match="should have failed"):
            await guest.fail("true")
        with pytest.raises(CommandTimeout):
            await guest.run("exec sleep 1000", timeout_s=0.2)
        count = tmp_path / "count"
        counting = f"echo x >>{count}; test $(wc -l <{count}) -ge 4 && echo enough"
        assert await guest.wait_until_succeeds(Command(counting, check=True), interval_s=0.01) == "enough\n"
        with pytest.raises(CommandTimeout, match=r"did not succeed within 0.3 s \(\d+ attempts, the last returned 1"):
            await guest.wait_until_succeeds("echo no; exit 1", timeout_s=0.3, interval_s=0.01)
        with pytest.raises(CommandTimeout, match=r"\(1 attempts, the last was stopped\)") as caught:
            await guest.wait_until_succeeds("echo so far; exec sleep 1000", timeout_s=0.3)
        assert caught.value.output == "so far\n"
        hangs_then = f"[ -e {tmp_path}/once ] && exec sleep 1000; touch {tmp_path}/once; echo early; exit 5"
        with pytest.raises(
            CommandTimeout, match=r"\(2 attempts, the last returned 5, one more was stopped\)"
        ) as caught:
            await guest.wait_until_succeeds(hangs_then, timeout_s=2, interval_s=0.01)
        assert caught.value.output == "early\n"
        # An attempt that is late by its own measure is followed by another.
        hangs_once = f"[ -e {tmp_path}/hung ] && echo quick && exit; touch {tmp_path}/hung; exec sleep 1000"
        assert await guest.wait_until_succeeds(Command(hangs_once, timeout_s=0.5), interval_s=0.01) == "quick\n"

    on_bed(tmp_path, body, count=1)


def test_chains(tmp_path: Path) -> None:
    class Counting(Task):
        def __init__(self, number: int) -> None:
            super().__init__(f"number {number}", {"n0": f"echo {number}"})
            self.number = number

        def analyze(self, results: Results) -> Task | None:
            following = int(results["n0"].output) + 1
            return Counting(following) if following < 5 else None

    async def body(bed: Bed) -> None:
        results = await run_chain(bed.run, Counting(1))
        assert [done["n0"].output for done in results] == ["1\n", "2\n", "3\n", "4\n"]
        with pytest.raises(TaskError, match="more than 2 Tasks; next is 'number 3'"):
            await run_chain(bed.run, Counting(1), limit=2)

    on_bed(tmp_path, body, count=1)


def test_a_chain_grows_from_its_outputs(tmp_path: Path) -> None:
    """The paper's way: what a Task says decides which guests run what next, in a loop with a bound."""

    class Discover(Task):
        def analyze(self, results: Results) -> Task | None:
            found = results["n0"].output.split()
            return Ask("ask", {node: f"echo {node} $(cat {tmp_path}/{node})" for node in found}) if found else None

    class Ask(Task):
        def analyze(self, results: Results) -> Task | None:
            left = {node: done.output.split()[1] for node, done in results.items()}
            again = {node: f"echo {node} {int(count) - 1}" for node, count in left.items() if int(count) > 0}
            return Ask("again", again) if again else None

    async def body(bed: Bed) -> None:
        (tmp_path / "n1").write_text("1")
        (tmp_path / "n2").write_text("3")
        results = await run_chain(bed.run, Discover("discover", {"n0": "echo n1 n2"}))
        assert [sorted(done) for done in results] == [["n0"], ["n1", "n2"], ["n1", "n2"], ["n2"], ["n2"]]
        assert [done["n2"].output for done in results[1:]] == [f"n2 {left}\n" for left in (3, 2, 1, 0)]
        with pytest.raises(TaskError, match="more than 4 Tasks; next is 'again'"):
            await run_chain(bed.run, Discover("discover", {"n0": "echo n1 n2"}), limit=4)
        # A failure ends it; what analyze returns is held to be a Task.
        with pytest.raises(CommandFailed):
            await run_chain(bed.run, Discover("fails", {"n0": "exit 1"}))

        class Wrong(Task):
            def analyze(self, results: Results) -> Task | None:
                return "next"  # type: ignore[return-value]

        with pytest.raises(TaskError, match="analyze returned str"):
            await run_chain(bed.run, Wrong("wrong", {"n0": ":"}))

    on_bed(tmp_path, body)


def test_nodes_that_are_not_there(tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        with pytest.raises(TaskError, match=r"'n11' is no guest of the testbed; there is n1"):
            await bed.run(Task("misspelt", {"n0": ":", "n11": ":"}))

    on_bed(tmp_path, body, count=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Task("", {"a": ":"}), "needs a name"),
        (lambda: Task("t", {}), "no commands"),
        (lambda: Task("t", {"a": []}), "the list of a is empty"),
        (lambda: Task("t", {"a": ""}), "a command is empty"),
        (lambda: Task("t", {"a": 3}), "a is given int 3"),  # type: ignore[dict-item]
        (lambda: Task("t", ["a"]), "mapping"),  # type: ignore[arg-type]
        (lambda: Task("t", {"a": Daemon("x")}), "Daemons alone"),
        (lambda: Task("t", {"a": Daemon("x"), "b": Daemon("y", until="run")}), "Daemons alone"),
        (lambda: Task("t", {"a": ":"}, timeout_s=0), "timeout_s is a positive"),
        (lambda: Task("t", {"a": ":"}, at_s=-1), "at_s"),
        (lambda: Task("t", {"a": ":"}, at_s=float("inf")), "at_s"),
        (lambda: Task("t", {"a": ":"}, at_s=1e10), "at_s"),
        (lambda: Task("t", {"a": ":"}, on_failure="ignore"), "'stop' or 'collect', not 'ignore'"),  # type: ignore[arg-type]
        (lambda: Command(":", timeout_s=-1), "timeout_s"),
        (lambda: Command("a\0b"), "NUL"),
        (lambda: Command("a\ud800"), r"'\\ud800' is no character"),
        (lambda: Command(":", env={"a": "\ud800"}), "no character"),
        (lambda: Daemon(":", stdin="\ud800"), "no character"),
        (lambda: Command(b"x"), "a command is a text"),  # type: ignore[arg-type]
        (lambda: Command(":", env={"a b": "c"}), "cannot be the name"),
        (lambda: Command(":", env={"a": 1}), "is a text"),  # type: ignore[dict-item]
        (lambda: Command(":", cwd=3), "cwd"),  # type: ignore[arg-type]
        (lambda: Command(":", stdin=3), "stdin"),  # type: ignore[arg-type]
        (lambda: Daemon(":", until="noon"), "until"),  # type: ignore[arg-type]
    ],
)
def test_what_a_task_refuses(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        make()


def test_what_a_task_accepts() -> None:
    task = Task("t", {"a": ["x", Daemon("y")], "b": Command("z"), "c": ("w",)})
    assert task.commands == {
        "a": (Command("x"), Daemon("y")),
        "b": (Command("z"),),
        "c": (Command("w"),),
    }
    assert task.lists == {"a", "c"}
    Task("t", {"a": Daemon("x", until="run"), "b": [Daemon("y", until="run")]})


def test_output_is_text_and_bytes() -> None:
    completed = CompletedCommand("a", "c", b"\xc3\xa9\xff\r\n", 0, 1.0, 1.5, 2.0)
    assert completed.output == "é\udcff\r\n"
    assert completed.duration_s == 0.5

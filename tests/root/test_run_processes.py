"""Processes in a Run: how they start, what they get, how their ends are told."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
import trio

from qemunet.errors import HostError, MissingRequirement
from qemunet.host.run_init import RunInit, open_run_init
from tests.root.runs import DEADLINE_S, Log, find_run, in_run, open_files


def test_exit_status_output_and_environment(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_CONTROLLER", "outer")

    async def body(init: RunInit) -> None:
        text = 'echo "$FROM_CONTROLLER $ADDED"; echo problem >&2; exit 3'
        process = await init.spawn("probe", ["sh", "-c", text], log=log.fd, env={"ADDED": "inner"})
        assert await process.wait() == 3
        assert process.returncode == 3
        await process.kill()  # nothing happens

    in_run(body)
    assert log.text == "outer inner\nproblem\n"


def test_status_of_a_signal_and_of_the_end_of_the_run(log: Log) -> None:
    async def main() -> None:
        async with open_run_init(label="test") as init:
            ended = await init.spawn("ended", ["sleep", "1000"], log=log.fd)
            running = await init.spawn("running", ["sleep", "1000"], log=log.fd)
            assert running.returncode is None
            await ended.kill(signal.SIGTERM)
            assert await ended.wait() == -signal.SIGTERM
        assert await running.wait() == -signal.SIGKILL
        assert init.ended.is_set()
        with pytest.raises(HostError, match="is closed"):
            await init.spawn("late", ["true"], log=log.fd)

    trio.run(main)


def test_a_signal_reaches_what_the_process_started(log: Log) -> None:
    async def body(init: RunInit) -> None:
        ours, theirs = os.pipe()
        process = await init.spawn("tree", ["sh", "-c", "sleep 1000 & echo up >&7; wait"], fds={7: theirs}, log=log.fd)
        os.close(theirs)
        await trio.lowlevel.wait_readable(ours)
        assert os.read(ours, 100) == b"up\n"
        await process.kill()
        # The end comes only when nobody holds the descriptor any more: the grandchild does not outlive the signal.
        await trio.lowlevel.wait_readable(ours)
        assert os.read(ours, 1) == b""
        os.close(ours)

    in_run(body)


@pytest.mark.parametrize(
    ("program", "remedy"),
    [("qemu-system-sparc-missing", "Install what provides"), ("/no/such/qemu-img", "apt-get install -y qemu-utils")],
)
def test_missing_program(log: Log, program: str, remedy: str) -> None:
    async def body(init: RunInit) -> None:
        with pytest.raises(MissingRequirement, match=rf"guest a: the program '{program}' does not exist") as caught:
            await init.spawn("guest a", [program], log=log.fd)
        assert caught.value.hint is not None
        assert remedy in caught.value.hint
        process = await init.spawn("after", ["true"], log=log.fd)
        assert await process.wait() == 0

    in_run(body)


def test_program_that_may_not_be_executed(log: Log, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no program")

    async def body(init: RunInit) -> None:
        with pytest.raises(HostError, match="may not be executed: Permission denied"):
            await init.spawn("worker", [str(tmp_path / "plain")], log=log.fd)
        with pytest.raises(HostError, match="could not be started"):
            await init.spawn("worker", ["with\0null"], log=log.fd)

    in_run(body)


def test_request_that_is_too_long(log: Log) -> None:
    async def body(init: RunInit) -> None:
        with pytest.raises(HostError, match="Message too long"):
            await init.spawn("worker", ["true", "x" * 2_000_000], log=log.fd)
        process = await init.spawn("after", ["true"], log=log.fd)
        assert await process.wait() == 0

    in_run(body)


def test_descriptors_arrive_under_their_numbers_and_no_others(log: Log) -> None:
    async def body(init: RunInit) -> None:
        pipes = [os.pipe() for _ in range(3)]
        # Numbers that overlap with those the init holds them under, in an order that a naive dup2 would spoil.
        fds = {3: pipes[2][1], 4: pipes[1][1], 5: pipes[0][1]}
        text = "echo three >&3; echo four >&4; echo five >&5; ls -l /proc/self/fd >&2; exec sleep 0"
        process = await init.spawn("writer", ["sh", "-c", text], fds=fds, log=log.fd)
        assert await process.wait() == 0
        assert [os.read(read, 100) for read, _ in pipes] == [b"five\n", b"four\n", b"three\n"]
        for read, write in pipes:
            os.close(write)
            # Nobody but the writer had it: neither the init nor any other process hides the end.
            await trio.lowlevel.wait_readable(read)
            assert os.read(read, 1) == b""
            os.close(read)

    in_run(body)
    names = sorted(int(line.split(" -> ")[0].split()[-1]) for line in log.text.splitlines() if " -> " in line)
    assert names == [0, 1, 2, 3, 4, 5, 6]  # the last is ls reading its directory
    assert " 0 -> /dev/null" in log.text


def test_descriptor_numbers_below_three_are_refused(log: Log) -> None:
    async def body(init: RunInit) -> None:
        with pytest.raises(ValueError, match="numbered from 3"):
            await init.spawn("x", ["true"], fds={1: log.fd}, log=log.fd)

    in_run(body)


def test_children_have_default_signals_and_a_session_of_their_own(log: Log) -> None:
    async def body(init: RunInit) -> None:
        text = "grep -E '^Sig(Blk|Ign)' /proc/self/status; cat /proc/self/stat"
        process = await init.spawn("probe", ["sh", "-c", text], log=log.fd)
        assert await process.wait() == 0
        # 32 and 33 are the C library's own: whatever started the tests may ignore them, and none can reset that.
        masks = [int(line.split()[1], 16) & ~(3 << 31) for line in log.text.splitlines()[:2]]
        assert masks == [0, 0]
        group, session = log.text.splitlines()[2].rpartition(")")[2].split()[2:4]
        assert group == session == str(process.pid)

    in_run(body)


def test_no_descriptor_leaks_here_or_into_the_init(log: Log) -> None:
    def descriptors() -> set[str]:
        return set(os.listdir("/proc/self/fd"))

    async def main() -> None:
        before = descriptors()
        async with open_run_init(label="test-leak") as init:
            for _ in range(20):
                process = await init.spawn("x", ["true"], fds={9: log.fd}, log=log.fd)
                await process.wait()
            with pytest.raises(MissingRequirement):
                await init.spawn("x", ["/no/such"], fds={9: log.fd}, log=log.fd)
            run = find_run("test-leak")
            outer = open_files(run.init_pid)
            assert len(outer) == 3
            assert not any("socket" in target for target in outer)
            # Standard ones, control socket, two ends of the wake-up pipe, pidfds of controller and outer process. The last
            # request may be answered a moment before what it held is closed.
            with trio.fail_after(DEADLINE_S):
                while len(inner := open_files(run.processes[0])) > 9:
                    await trio.lowlevel.checkpoint()
            assert not any(str(log.path) in target for target in inner)
        assert descriptors() == before

    if os.geteuid() != 0:
        pytest.skip("only root may look at the descriptors of a process in another user namespace")
    trio.run(main)


def test_orphans_are_reaped(log: Log) -> None:
    async def body(init: RunInit) -> None:
        # The inner shell's parent exits at once; when the inner one ends, PID 1 must collect it.
        text = "(sh -c 'exec true' &); exit 0"
        for _ in range(10):
            process = await init.spawn("parent", ["sh", "-c", text], log=log.fd)
            assert await process.wait() == 0
        count = "while grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; echo clean"
        process = await init.spawn("looker", ["sh", "-c", count], log=log.fd)
        assert await process.wait() == 0

    in_run(body)
    assert log.text.splitlines()[-1] == "clean"


def test_namespaces_are_new(log: Log) -> None:
    async def body(init: RunInit) -> None:
        process = await init.spawn(
            "probe",
            ["sh", "-c", "cd /proc/self/ns; readlink net mnt pid uts; cat /proc/net/dev; cat /proc/1/cmdline"],
            log=log.fd,
        )
        await process.wait()

    in_run(body)
    for name in ("net", "mnt", "pid", "uts"):
        assert os.readlink(f"/proc/self/ns/{name}") not in log.text
    assert "init.py" in log.text
    devices = {line.split(":")[0].strip() for line in log.text.splitlines() if ": " in line and "|" not in line}
    assert "lo" in devices


def test_fifty_runs_at_once(log: Log) -> None:
    async def one(number: int) -> None:
        async with open_run_init(label=f"test-{number}") as init:
            process = await init.spawn("x", ["sh", "-c", f"exit {number}"], log=log.fd)
            assert await process.wait() == number

    async def main() -> None:
        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(one, number)

    trio.run(main)


def test_in_a_thread_of_a_threaded_program(log: Log) -> None:
    stop = threading.Event()
    idle = [threading.Thread(target=stop.wait) for _ in range(4)]
    results: list[int] = []

    async def body(init: RunInit) -> None:
        process = await init.spawn("x", ["true"], log=log.fd)
        results.append(await process.wait())

    worker = threading.Thread(target=in_run, args=(body,))
    for thread in [*idle, worker]:
        thread.start()
    worker.join(DEADLINE_S)
    stop.set()
    for thread in idle:
        thread.join()
    assert results == [0]


def test_many_spawns_and_waits_at_once(log: Log) -> None:
    async def body(init: RunInit) -> None:
        statuses: list[int] = []

        async def one(number: int) -> None:
            process = await init.spawn("x", ["sh", "-c", f"exit {number}"], log=log.fd)
            statuses.append(await process.wait())

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(one, number)
        assert sorted(statuses) == list(range(100))

    in_run(body)


def test_the_users_exception_comes_out_as_it_is(log: Log) -> None:
    async def body(init: RunInit) -> None:
        raise AssertionError("the user's verdict")

    with pytest.raises(AssertionError, match="the user's verdict"):
        in_run(body)


def test_cancellation_leaves_nothing(log: Log) -> None:
    async def main() -> None:
        with trio.move_on_after(DEADLINE_S) as scope:
            async with open_run_init(label="test-cancel") as init:
                process = await init.spawn("x", ["sleep", "1000"], log=log.fd)
                scope.cancel()
                await process.wait()
        assert scope.cancelled_caught
        assert process.returncode == -signal.SIGKILL

    trio.run(main)

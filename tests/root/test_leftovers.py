"""Which Runs are found, and what clean may remove."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from qemunet.host.launch import own_identity
from qemunet.host.leftovers import Leftover, leftovers, running_runs
from qemunet.host.run_init import RunInit
from qemunet.process import process_alive, process_start_ticks
from tests.root.runs import Controller, Log, Watch, find_run, in_run

StartController = Callable[..., Controller]

LOSES_ITS_RUN = """
import os, socket, subprocess, sys
from qemunet.host.launch import init_argv, init_environment

# What no controller does: it hands the control socket and a pidfd of somebody else to the init, and dies.
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
other = os.pidfd_open(os.getppid())
subprocess.Popen(init_argv(sys.argv[1]), stdin=theirs, stdout=other, env=init_environment(), start_new_session=True)
ours.recv(65536)
keeper = subprocess.Popen(["sleep", "1000"], pass_fds=[ours.fileno()])
print(keeper.pid, flush=True)
"""


def test_a_run_is_found_with_what_belongs_to_it(log: Log) -> None:
    async def body(init: RunInit) -> None:
        for _ in range(3):
            await init.spawn("x", ["sleep", "1000"], log=log.fd)
        run = find_run("/some where/runs/first (1)/7")
        assert run.init_pid == init.pid
        assert run.controller == own_identity()
        assert not run.orphaned
        assert run.user_id == os.geteuid()
        assert len(run.processes) == 4
        assert run.resident_bytes > 1_000_000
        assert 0 <= run.running_s < 100
        assert json.dumps(asdict(run))
        assert not [leftover for leftover in leftovers() if "first (1)" in leftover.what]

    in_run(body, label="/some where/runs/first (1)/7")


def test_only_inits_are_taken_for_inits() -> None:
    # The same words in another program's command line do not make it a Run.
    words = ["-I", "-S", "/x/qemunet/host/init.py", "fake", str(own_identity())]
    decoys = [
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", *words]),
        subprocess.Popen(["sh", "-c", "read line", "python -I -S qemunet/host/init.py"], stdin=subprocess.PIPE),
    ]
    try:
        assert not [run for run in running_runs() if run.label == "fake"]
    finally:
        for decoy in decoys:
            decoy.kill()
            decoy.wait()


def test_an_orphaned_init_is_found_and_ended(start_controller: StartController) -> None:
    controller = start_controller(LOSES_ITS_RUN, "test-orphan")
    keeper = os.pidfd_open(int(controller.line()))
    try:
        controller.process.wait()
        run = find_run("test-orphan")
        assert run.orphaned
        watch = Watch(run)
        (leftover,) = [each for each in leftovers() if "test-orphan" in each.what]
        assert leftover.kind == "process"
        leftover.remove()
        watch.wait_all_ended()
        leftover.remove()  # nothing happens
    finally:
        signal.pidfd_send_signal(keeper, signal.SIGKILL)
        os.close(keeper)


def test_a_controller_of_another_pid_namespace_is_not_judged(log: Log) -> None:
    async def body(init: RunInit) -> None:
        run = find_run("test-elsewhere")
        elsewhere = replace(run.controller, pid=1 << 30, pid_namespace=1)
        assert not replace(run, controller=elsewhere).orphaned
        assert replace(run, controller=replace(elsewhere, pid_namespace=run.controller.pid_namespace)).orphaned

    in_run(body, label="test-elsewhere")


def test_process_alive_knows_a_reused_number_and_a_zombie() -> None:
    own = own_identity()
    assert process_alive(own.pid, own.start_ticks)
    assert not process_alive(own.pid, own.start_ticks + 1)
    child = subprocess.Popen(["sleep", "1000"])
    ticks = process_start_ticks(child.pid)
    assert ticks is not None
    assert process_alive(child.pid, ticks)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process_alive(child.pid, ticks)
    child.wait()
    assert not process_alive(child.pid, ticks)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for name in (
        "images/.tiny-x.lock",
        "images/.tiny-x.building-abc/kernel",
        "images/tiny-x/kernel",
        "images/tiny-x/.manifest.json.q",
        "packages/lock",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 5000)
    return tmp_path


def test_unfinished_files_are_listed_and_removed(cache: Path) -> None:
    found = [each for each in leftovers(cache=cache, stale_age_s=0) if each.kind == "file"]
    assert sorted(each.what.split(",")[0] for each in found) == [
        f"{cache}/images/.tiny-x.building-abc",
        f"{cache}/images/tiny-x/.manifest.json.q",
    ]
    assert all(each.size_bytes >= 5000 for each in found)
    for each in found:
        each.remove()
        each.remove()
    left = sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())
    assert left == ["images/.tiny-x.lock", "images/tiny-x/kernel", "packages/lock"]


def test_what_a_build_may_still_be_writing_is_left_alone(cache: Path) -> None:
    with (cache / "images" / ".tiny-x.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        young: list[Leftover] = leftovers(cache=cache)
    assert not [each for each in young if each.kind == "file"]


def test_an_abandoned_build_is_a_leftover_at_once_and_a_running_one_is_not(tmp_path: Path) -> None:
    (tmp_path / ".tiny-x86_64.building-abc").mkdir()
    with (tmp_path / ".tiny-x86_64.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert leftovers(cache=tmp_path) == []
    (found,) = leftovers(cache=tmp_path)
    found.remove()
    assert [path.name for path in tmp_path.iterdir()] == [".tiny-x86_64.lock"]

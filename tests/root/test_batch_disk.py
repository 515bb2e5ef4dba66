"""A batch on a disk that gets full: a clear error, an index that is whole, and the rest later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import ctypes, os, sqlite3, sys
from pathlib import Path

import trio

from qemunet.batch.recovery import recover
from qemunet.batch.index import check_room, open_index
from qemunet.batch.schedule import Schedule
from qemunet.errors import HostError
from tests.batches import Recorder, a_sweep, executor, new_index

disk = Path(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b"none", bytes(disk), b"tmpfs", 0, b"size=12m") == 0, os.strerror(ctypes.get_errno())
sweep = a_sweep(points=6)
index = new_index(disk, sweep)
check_room(disk)

def fill(left):
    "Leave so many bytes on the disk."
    state = os.statvfs(disk)
    with open(disk / ".ballast", "ab") as file:
        file.write(b"x" * max(0, state.f_bavail * state.f_bsize - left))

class Filling:
    "Fills the disk when the third run has ended."
    name, capacity = "local", 1
    inner = executor(1)
    count = 0

    async def execute(self, job):
        attempt = await self.inner.execute(job)
        self.count += 1
        if self.count == 3:
            fill(0)
        return attempt

async def go(executor):
    with trio.fail_after(60):
        await recover(index, sweep.retry, say=print)
        await Schedule(sweep, index, executor, view=Recorder()).run()

def whole():
    with sqlite3.connect(disk / "index.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()

try:
    trio.run(go, Filling())
    raise AssertionError("a full disk went unnoticed")
except HostError as error:
    print(error.message)
    assert "--resume" in error.hint
index.close()
index = open_index(disk)
assert index.states()["done"] in (2, 3), index.states()
try:
    # Every byte of the index that is written now has no place.
    for number in range(1000):
        index.begin(6, executor="local")
    raise AssertionError("a full disk went unnoticed")
except HostError as error:
    print(error.message)
index.close()
whole()
(disk / ".ballast").unlink()
index = open_index(disk)
trio.run(go, executor(2))
assert index.statuses() == {"passed": 6}, index.statuses()
counted = index.counted()
assert len({row.run for row in counted}) == 6
assert {row.status for row in index.attempts()} <= {"passed", "cut"}, index.attempts()
index.close()
whole()
print("went on")
"""


def test_a_full_disk(tmp_path: Path) -> None:
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    done = subprocess.run(
        [*namespace, "--propagation", "private", sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "went on" in done.stdout
    assert "has no room for another run" in done.stdout or "disk is full" in done.stdout
    assert list(tmp_path.iterdir()) == []

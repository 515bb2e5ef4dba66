"""Standard streams that are closed, full, or read by nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

QEMUNET = f"{sys.executable} -m qemunet.cli.main"


def shell(text: str, directory: Path) -> tuple[int, str, str]:
    done = subprocess.run(["sh", "-c", text], check=False, cwd=directory, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    (tmp_path / "t.txt").write_text("node a container\nnode b container\nlink a b\n")
    return tmp_path


def test_standard_output_that_takes_no_more_is_the_hosts(pair: Path) -> None:
    status, _, said = shell(f"{QEMUNET} check t.txt >/dev/full", pair)
    assert status == 3
    assert "standard output cannot be written: No space left on device" in said


def test_streams_that_are_closed(pair: Path) -> None:
    for closed in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        assert shell(f"{QEMUNET} check t.txt {closed}", pair)[0] == 0, closed
    assert shell(f"{QEMUNET} convert t.txt out.json >&- 2>&-", pair)[0] == 0
    assert (pair / "out.json").read_text().startswith("{")


def test_standard_error_that_takes_no_more_ends_nothing(pair: Path) -> None:
    program = (
        "import os, sys; from qemunet.cli.streams import open_standard_streams; open_standard_streams()\n"
        "from qemunet.progress import open_progress; progress = open_progress()\n"
        "with progress.step('a'): progress.say('b' * 100_000)\n"
        "progress.close(); print('went on'); sys.exit(7)"
    )
    (pair / "p.py").write_text(program)
    assert shell(f"{sys.executable} p.py 2>/dev/full", pair) == (7, "went on\n", "")
    status, out, _ = shell(f"{{ {sys.executable} p.py 2>&1 >out; echo $? >status; }} | true", pair)
    assert (status, out) == (0, "")
    assert (pair / "status").read_text() + (pair / "out").read_text() == "7\nwent on\n"
    assert shell(f"{QEMUNET} check none.txt 2>/dev/full", pair)[0] == 2
    # What it can take, it gets.
    assert "b" * 100_000 in shell(f"{sys.executable} p.py", pair)[2]

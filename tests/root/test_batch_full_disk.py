"""A batch on a disk that becomes full, and has room again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """\
mount -t tmpfs -o size=6m none disk || exit 99
"$@" batch s.yaml --runs-dir disk --jobs 2
echo "status $?"
"$@" results disk --json >before.json
mount -o remount,size=60m disk
"$@" batch s.yaml --runs-dir disk --jobs 2 --resume
echo "status $?"
"$@" results disk --json >after.json
umount disk
"""
EXPERIMENT = """\
from qemunet import Task

async def experiment(bed):
    await bed.run(Task("fill", {"a": "head -c 200000 /dev/urandom | base64"}))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of the test's own is mounted")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "t.txt").write_text(
        "option lag_max=60s\noption lag_p99=60s\nnode a container\nnode b container\nlink a b\n"
    )
    (tmp_path / "e.py").write_text(EXPERIMENT)
    (tmp_path / "s.yaml").write_text("topology: t.txt\nexperiment: e.py\nrepeat: 16\n")
    # The mount is in a namespace of the shell's own and ends with it.
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", SCRIPT, "sh", sys.executable, "-m", "qemunet.cli.main"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("status")] == ["status 3", "status 0"], said
    assert "No space left on device" in done.stderr
    before = json.loads((tmp_path / "before.json").read_text())
    assert 0 < len(before) < 16, said
    after = json.loads((tmp_path / "after.json").read_text())
    assert [each["status"] for each in after] == ["passed"] * 16
    assert [each for each in after if each["run"] in {one["run"] for one in before}] == before

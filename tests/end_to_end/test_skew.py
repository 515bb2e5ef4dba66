"""The benchmark of the start skew, briefly: it measures all that it promises, and ratios that leave much room hold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from .conftest import DEADLINE_S, MARK, ROOT, Bench

pytestmark = [
    pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"),
    pytest.mark.skipif(not (shutil.which("socat") and shutil.which("cc")), reason="socat or cc is not installed"),
]


def test_skew_benchmark_over_containers(bench: Bench) -> None:
    output = bench.directory / "skew.json"
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "benchmarks" / "skew.py", "--kind", "container", "--guests", "4"),
            *("--tasks", "60", "--output", output),
        ],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env={**os.environ, MARK: bench.mark},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())["container"]
    ways = ["qemunet", "C loop", "pexpect, no delay", "pexpect"]
    rounds = {way: result["written"][way]["rounds"] for way in ways}
    assert rounds == {"qemunet": 60, "C loop": 60, "pexpect, no delay": 60, "pexpect": 6}
    assert [result["overhead"][way]["rounds"] for way in ways if way != "C loop"] == [60, 60, 6]
    # pexpect sleeps 50 ms before each line; all the rest of its work, and of ours, is some microseconds.
    assert result["written"]["qemunet"]["p50"] * 100 < result["written"]["pexpect"]["p50"]
    assert len(result["bounds"]) == 6
    for bound in result["bounds"]:
        assert bound["what"] in done.stdout

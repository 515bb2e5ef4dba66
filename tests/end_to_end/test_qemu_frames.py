"""The benchmark of frames between machines, briefly: all that it promises is measured, and ratios with much room hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from .conftest import DEADLINE_S, MARK, ROOT, Bench

pytestmark = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)


def test_the_native_way_carries_a_machines_frame_for_less(bench: Bench) -> None:
    output = bench.directory / "frames.json"
    brief = ("--rounds", "1", "--floods", "3", "--seconds", "0.5", "--way", "native, wire", "--output", output)
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "qemu_frames.py", *brief],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env={**os.environ, MARK: bench.mark},
    )
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(output.read_text())
    assert list(result["runs"]) == ["stock, csma", "native, wire"]
    for floods in result["runs"].values():
        assert len(floods) == 3
        for flood in floods:
            cost = flood["us_per_frame"]
            assert flood["frames"] > 100
            assert cost["outside"] == pytest.approx(cost["machines"] + cost["simulator"])
            assert min(cost["machines"], cost["simulator"], cost["vcpu"]) > 0
    ratios = {each["what"]: each["median"] for each in result["ratios"]}
    assert ratios["native, wire: cost, stock to this"] > 1
    for what in ratios:
        assert what in done.stdout

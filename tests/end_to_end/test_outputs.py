"""Long outputs in the run directory: streamed, limited, marked where they are cut, and a valid prefix after kill -9."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from .conftest import Bench, wait_for

needs_tun = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)

LONG = """\
from qemunet import Daemon, Task

async def experiment(bed):
    done = await bed.run(
        Task("t", {"a": ["yes | head -c 3000000", "yes | head -c 1000000", "echo short"],
                   "b": Daemon("yes | head -c 2000000; exec sleep 600")})
    )
    cut, whole, short = done["a"]
    assert cut.dropped_bytes == 3_000_000 - 2**20 and cut.output_bytes[: 2**20] == b"y\\n" * 2**19
    assert whole.output_bytes == b"y\\n" * 500_000
    assert short.output_path is None
    return {"end": cut.tail(70), "path": str(cut.output_path.relative_to(bed.directory)), "b": done["b"].size_bytes}
"""


@pytest.mark.parametrize("kind", [pytest.param("container", marks=needs_tun), "qemu"])
def test_long_outputs_are_in_files(bench: Bench, kind: str) -> None:
    topology = bench.file("t.txt", f"option output_limit=1MiB\nnode a {kind}\nnode b {kind}\nlink a b\n")
    done, record = bench.run(topology, bench.file("e.py", LONG))
    assert record["verdict"] == "passed", done.stderr
    directory = Path(record["directory"])
    mark = f"\n[qemunet: cut here; {3_000_000 - 2**20} more bytes came and were dropped]\n"
    assert mark.endswith(record["metrics"]["end"][-len(mark) + 1 :])
    commands = [json.loads(line) for line in (directory / "tasks.jsonl").read_text().splitlines()]
    by_command = {line["command"]: line for line in commands}
    cut = by_command["yes | head -c 3000000"]
    assert (cut["output"], cut["output_path"], cut["output_bytes"]) == (None, record["metrics"]["path"], 2**20)
    assert (cut["cut"], cut["dropped_bytes"]) == (True, 3_000_000 - 2**20)
    assert (directory / cut["output_path"]).read_bytes() == b"y\n" * 2**19 + mark.encode()
    whole = by_command["yes | head -c 1000000"]
    assert (whole["output_bytes"], "cut" in whole) == (1_000_000, False)
    assert (directory / whole["output_path"]).read_bytes() == b"y\n" * 500_000
    assert (by_command["echo short"]["output"], by_command["echo short"]["output_bytes"]) == ("short\n", 6)
    daemon = by_command["yes | head -c 2000000; exec sleep 600"]
    assert daemon["cut"]
    assert len({line["output_path"] for line in (cut, whole, daemon)}) == 3


COUNTER = """\
from qemunet import Task

async def experiment(bed):
    await bed.run(Task("t", {"a": "seq 1 1000000000"}))
"""


@needs_tun
def test_a_killed_run_leaves_a_prefix(bench: Bench) -> None:
    process = bench.start(bench.file("t.txt", "node a container\n"), bench.file("e.py", COUNTER))

    def long() -> bool:
        assert process.poll() is None
        return any(path.stat().st_size > 1_000_000 for path in bench.runs.glob("*/*/outputs/*.out"))

    wait_for(long, lambda: "no output came")
    process.kill()
    process.communicate(timeout=60)
    (path,) = bench.runs.glob("*/*/outputs/*.out")
    assert path.name == "00001-a.out"
    *numbers, rest = path.read_bytes().split(b"\n")
    assert numbers == [b"%d" % number for number in range(1, len(numbers) + 1)]
    assert (b"%d" % (len(numbers) + 1)).startswith(rest)

"""Outputs in memory and in files, their limit, and what a full disk does to them."""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path

import pytest
import trio

from qemunet import Task
from qemunet.errors import CommandFailed
from qemunet.guest.output import INLINE_BYTES, FileOutput, Output
from qemunet.tasks.engine import Engine
from qemunet.tasks.verbs import GuestVerbs
from tests.pure.shells import SHELLS, HostClock, open_terminal


def fill(output: Output, data: bytes, *, seed: int = 1) -> None:
    """Append ``data`` in pieces of random lengths."""
    lengths = random.Random(seed)
    while data:
        length = lengths.choice((1, 100, 4096, 65536))
        output.append(data[:length])
        data = data[length:]


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 3_000_000])
@pytest.mark.parametrize("named", [True, False])
def test_all_of_it_comes_back(size: int, named: bool, tmp_path: Path) -> None:
    data = random.Random(size).randbytes(size)
    output = Output((lambda: tmp_path / "out") if named else None)
    fill(output, data)
    for _ in range(2):
        assert output.data() == data
        assert output.data(100) == data[-100:]
        assert (output.size_bytes, output.dropped_bytes) == (size, 0)
        assert output.path == (tmp_path / "out" if named and size > INLINE_BYTES else None)
        output.close()
    output.append(b"late")
    assert output.data() == data
    if output.path:
        assert output.path.read_bytes() == data


def test_what_is_in_the_file_is_a_prefix_at_any_instant(tmp_path: Path) -> None:
    data = random.Random(2).randbytes(300_000)
    output = Output(lambda: tmp_path / "out")
    for at in range(0, len(data), 1000):
        output.append(data[at : at + 1000])
        written = (tmp_path / "out").read_bytes() if output.path else b""
        assert written == (data[: at + 1000] if at + 1000 > INLINE_BYTES else b"")
    output.close()


@pytest.mark.parametrize("limit", [0, 10, INLINE_BYTES, INLINE_BYTES + 10, 200_000])
def test_a_limit_is_marked(limit: int, tmp_path: Path) -> None:
    data = random.Random(3).randbytes(300_001)
    output = Output(lambda: tmp_path / "out", limit_bytes=limit)
    fill(output, data)
    mark = f"\n[qemunet: cut here; {len(data) - limit} more bytes came and were dropped]\n".encode()
    assert output.data() == data[:limit] + mark
    output.close()
    assert output.data() == data[:limit] + mark
    assert [output.data(last) for last in (5, len(mark), len(mark) + 5)] == [
        (data[:limit] + mark)[-last:] for last in (5, len(mark), len(mark) + 5)
    ]
    assert (output.size_bytes, output.dropped_bytes) == (limit, len(data) - limit)
    if output.path:
        assert output.path.read_bytes() == output.data()


@pytest.mark.parametrize("place", ["/dev/full", "/proc/nowhere/out"])
def test_a_full_disk_loses_no_more_than_it_must(place: str) -> None:
    data = random.Random(4).randbytes(300_000)
    output = Output(lambda: Path(place))
    fill(output, data)
    output.close()
    assert output.error is not None
    assert output.path is None
    assert 0 < output.size_bytes <= INLINE_BYTES
    assert output.dropped_bytes == len(data) - output.size_bytes
    said = f"{output.dropped_bytes} more bytes came and were dropped: {os.strerror(output.error.errno or 0)}]\n"
    assert output.data() == data[: output.size_bytes] + b"\n[qemunet: cut here; " + said.encode()


def test_a_disk_that_fills_up_later(tmp_path: Path) -> None:
    data = random.Random(5).randbytes(300_000)
    output = Output(lambda: tmp_path / "out")
    fill(output, data[:100_000])
    full = os.open("/dev/full", os.O_WRONLY)
    assert output._file is not None
    os.dup2(full, output._file.fileno())
    os.close(full)
    fill(output, data[100_000:])
    output.close()
    assert (output.size_bytes, output.dropped_bytes) == (100_000, 200_000)
    assert output.data().startswith(data[:100_000] + b"\n[qemunet: cut here; 200000 more bytes")


def test_output_to_a_descriptor(tmp_path: Path) -> None:
    told: list[int] = []
    with (tmp_path / "f").open("wb") as file, open("/dev/full", "wb", buffering=0) as full:
        output, failing = FileOutput(file.fileno(), told.append), FileOutput(full.fileno(), told.append)
        for each in (output, failing):
            each.append(b"abc")
            each.append(b"de")
    assert (tmp_path / "f").read_bytes() == b"abcde"
    assert told == [3, 5, 0, 0]
    assert (failing.error is not None, failing.dropped_bytes) == (True, 5)


def test_long_outputs_of_commands(tmp_path: Path) -> None:
    """A shell that spools: the record holds no bytes of a long output, and errors read it when they are asked."""
    number = 0

    def place() -> Path:
        nonlocal number
        number += 1
        return tmp_path / f"{number}.out"

    async def main() -> None:
        with trio.fail_after(60):
            outputs = partial(Output, place, limit_bytes=1_000_000)
            async with open_terminal(SHELLS[0], tmp_path, node="n0", outputs=outputs) as terminal:
                shell = terminal.shell
                clock = HostClock(terminal)
                engine, verbs = Engine({"n0": shell}, clock), GuestVerbs(shell, clock)
                done = (await engine.run(Task("t", {"n0": "yes | head -c 700000"}))).results["n0"]
                assert (done.output_path, done.size_bytes) == (tmp_path / "1.out", 700_000)
                assert done.output_bytes == b"y\n" * 350_000
                assert done.output_path is not None
                assert done.output_path.read_bytes() == done.output_bytes
                assert done.tail(4) == "y\ny\n"
                cut = await verbs.run("yes | head -c 1700000")
                assert (cut.size_bytes, cut.dropped_bytes) == (1_000_000, 700_000)
                assert cut.output.endswith("y\n\n[qemunet: cut here; 700000 more bytes came and were dropped]\n")
                assert (await verbs.run("echo short")).output_path is None
                with pytest.raises(CommandFailed, match=r"it wrote:\n\.\.\.\ny\ny") as caught:
                    await verbs.succeed("yes | head -c 300000; exit 3")
                assert caught.value.output == "y\n" * 150_000

    trio.run(main)

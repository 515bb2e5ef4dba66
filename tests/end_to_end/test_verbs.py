"""What an experiment can do with a guest besides Tasks."""

from __future__ import annotations

import pytest

from .conftest import Bench

TOPOLOGY = "param kind = qemu\nnode a ${kind} arch=aarch64\nnode b ${kind}\nlink a b delay=1ms\n"

COPIES = """\
import hashlib, os, random
from pathlib import Path

from qemunet import Task
from qemunet.errors import CommandFailed, GuestError

def refused(call, kind):
    async def check():
        try:
            await call
        except kind as error:
            return str(error)
        raise AssertionError("it was not refused")
    return check()

async def experiment(bed):
    a, here = bed.guests["a"], bed.directory / "copies"
    (here / "folder/deep").mkdir(parents=True)
    big = random.Random(1).randbytes(5_000_000) + bytes(range(256)) * 100
    (here / "big file").write_bytes(big)
    (here / "folder/empty").write_bytes(b"")
    (here / "folder/deep/run.sh").write_text("#!/bin/sh\\necho ran\\n")
    os.chmod(here / "folder/deep/run.sh", 0o755)
    (here / "folder/link").symlink_to("deep/run.sh")

    await a.copy_to(here / "big file", "/tmp/new/big")                    # a new name in a new folder
    assert (await a.succeed("sha256sum </tmp/new/big")).split()[0] == hashlib.sha256(big).hexdigest()
    await a.copy_to(here / "folder", "/tmp")                              # into a folder
    assert await a.succeed("/tmp/folder/link; ls -A /tmp") == "ran\\nfolder\\nnew\\n"
    await a.succeed("echo mine >/tmp/folder/mine")
    await a.copy_to(here / "folder", "/tmp")                              # once more: content is added
    assert await a.succeed("cat /tmp/folder/mine") == "mine\\n"

    assert await a.copy_from("/tmp/new/big", here / "back") == here / "back"
    assert (here / "back").read_bytes() == big
    await a.copy_from("/tmp/folder", here / "new/copy")
    assert (here / "new/copy/deep/run.sh").stat().st_mode & 0o777 == 0o755
    assert os.readlink(here / "new/copy/link") == "deep/run.sh"
    # Links stay links wherever they lead, but what is named itself is what is copied.
    await a.succeed("ln -s /etc/passwd /tmp/folder/far; mkfifo /tmp/folder/pipe; ln -s folder/mine /tmp/alias")
    await a.copy_from("/tmp/folder", here / "new/again")
    assert os.readlink(here / "new/again/far") == "/etc/passwd"
    assert (here / "new/again/pipe").is_fifo()
    assert await a.copy_from("/tmp/alias", here / "new") == here / "new/alias"
    assert (here / "new/alias").read_text() == "mine\\n"
    assert not (here / "new/alias").is_symlink()
    (here / "named").symlink_to("new/alias")
    await a.copy_to(here / "named", "/tmp")
    assert await a.succeed("cat /tmp/named") == "mine\\n"

    assert "no such file" in await refused(a.copy_from("/tmp/none", here), CommandFailed)
    assert "cannot be read" in await refused(a.copy_to(here / "none", "/tmp"), GuestError)
    assert "could not be written" in await refused(a.copy_to(here / "big file", "/proc/new/x"), GuestError)
    await a.copy_to(here / "back", "/tmp/again")                          # and it still works
    return {"size": int(await a.succeed("wc -c </tmp/again"))}
"""

OPEN = """\
import trio

from qemunet import Task

async def experiment(bed):
    a = bed.guests["a"]
    async with a.open() as second, a.open() as third:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bed.run, Task("wait", {"a": "until [ -e /tmp/go ]; do :; done", "b": "true"}))
            terminal = "cut -d' ' -f7 /proc/self/stat"
            assert await second.succeed(terminal) != await third.succeed(terminal)
            await third.succeed("touch /tmp/go")
        for signal in ("INT", "QUIT", "TERM"):  # What is ignored where a shell starts cannot be trapped.
            assert await second.succeed(f"trap 'echo {signal}' {signal}; kill -{signal} $$") == f"{signal}\\n"
    async with a.open() as again:
        return {"said": await again.succeed("printf 'x\\\\r\\\\ny'")}
"""


@pytest.mark.parametrize("kind", ["qemu", "container"])
def test_copies_are_exact(bench: Bench, kind: str) -> None:
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), bench.file("e.py", COPIES), "-p", f"kind={kind}")
    assert record["verdict"] == "passed", done.stderr
    assert record["metrics"]["size"] == 5_025_600


@pytest.mark.parametrize("kind", ["qemu", "container"])
def test_second_shell_is_independent(bench: Bench, kind: str) -> None:
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), bench.file("e.py", OPEN), "-p", f"kind={kind}")
    assert record["verdict"] == "passed", done.stderr
    assert record["metrics"]["said"] == "x\r\ny"

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

UNUSUAL_COPIES = """\
import os, socket
import trio

from qemunet.errors import GuestError
from qemunet.guest import transfer

async def refused(call):
    try:
        await call
    except GuestError as error:
        return str(error)
    raise AssertionError("it was not refused")

async def experiment(bed):
    a, here = bed.guests["a"], bed.directory / "copies"
    here.mkdir()
    # What a full disk does not take is no shell's to read.
    (here / "lines").write_bytes(b"\\n:>/tmp/done\\n" * 200_000)
    await a.succeed("mkdir /tmp/small; mount -t tmpfs -o size=100k tmpfs /tmp/small")
    assert "could not be written" in await refused(a.copy_to(here / "lines", "/tmp/small/lines"))
    assert await a.succeed("umount /tmp/small; rmdir /tmp/small; ls -A /tmp") == ""
    send = transfer.send
    with trio.CancelScope() as given_up:
        transfer.send = lambda *what: send(*what[:3], lambda *passed: given_up.cancel())
        await a.copy_to(here / "lines", "/tmp/lines")
    assert given_up.cancelled_caught
    transfer.send = send
    assert await a.succeed("ls -A /tmp") == ""

    (here / "folder").mkdir()
    (here / "folder/file").write_text("whose\\n")
    if os.getuid() == 0:
        os.chown(here / "folder/file", 1234, 1234)
    os.chdir(here)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("folder/socket")
    await a.copy_to(here / "folder", "/tmp/folder")
    assert (await a.succeed("ls -n /tmp/folder/file")).split()[2:4] == ["0", "0"]
    assert "socket" in await refused(a.copy_to(here / "folder/socket", "/tmp"))
    await a.copy_to(here / "folder/file", "-name")
    assert (await a.copy_from("-name", here / "name")).read_text() == "whose\\n"
    for path in ("", "a\\0b", "\\ud800"):
        assert "can be no path" in await refused(a.copy_to(here / "folder", path))
        assert "can be no path" in await refused(a.copy_from(path, here / "none"))
    assert await a.copy_from("/tmp/folder/.", here / "dot") == here / "dot"
    assert os.listdir(here / "dot") == ["file"]
    # What tar says on the way is not in what it packs.
    bind = 'import socket; socket.socket(socket.AF_UNIX).bind("/tmp/folder/socket")'
    await a.run(f"command -v python3 && python3 -c '{bind}' || {{ nc -lU /tmp/folder/socket & sleep 1; kill $!; }}")
    await a.copy_from("/tmp/folder", here / "back")
    assert (here / "back/file").read_text() == "whose\\n"
"""

GIVEN_UP = """\
import trio

async def experiment(bed):
    a = bed.guests["a"]
    async def give_up():
        with trio.move_on_after(0.05):
            async with a.open():
                raise AssertionError("it has no shell yet")

    async with a._shells.control.lock, trio.open_nursery() as nursery:    # which starts the others
        for _ in range(8):
            nursery.start_soon(give_up)
    async with a.open() as second, a.open() as third:
        return {"said": await second.succeed("echo second") + await third.succeed("echo third")}
"""

FIRED_LATER = """\
import trio

from qemunet import Task

async def experiment(bed):
    for ahead_s in (0.7, 0.05):                                           # the simulator has not been told; it has
        start_s = bed.now_s
        with trio.CancelScope() as given_up:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bed.run, Task("given up", {"a": "sleep 5"}, at_s=start_s + 1))
                await bed.sleep_until(start_s + 1 - ahead_s)
                given_up.cancel()
        done = await bed.run(Task("next", {"a": "true"}, at_s=start_s + 2))
        assert start_s + 2 <= done["a"].fired_s <= done["a"].started_s
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


@pytest.mark.parametrize("kind", ["qemu", "container"])
def test_unusual_copies(bench: Bench, kind: str) -> None:
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), bench.file("e.py", UNUSUAL_COPIES), "-p", f"kind={kind}")
    assert record["verdict"] == "passed", done.stderr


def test_second_shells_that_are_given_up_are_there_for_others(bench: Bench) -> None:
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), bench.file("e.py", GIVEN_UP), "-p", "kind=container")
    assert record["verdict"] == "passed", done.stderr
    assert record["metrics"]["said"] == "second\nthird\n"


def test_a_task_that_is_given_up_starts_nothing_later(bench: Bench) -> None:
    done, record = bench.run(bench.file("t.txt", TOPOLOGY), bench.file("e.py", FIRED_LATER), "-p", "kind=container")
    assert record["verdict"] == "passed", done.stderr

"""The shell on real guests: QEMU's console channels, hvc terminals and busybox, which no pty stands for."""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from qemunet.errors import GuestExitedError
from qemunet.guest.armed import Ended
from qemunet.guest.console import Console
from qemunet.guest.qemu import open_qemu
from qemunet.guest.shell import Shell
from qemunet.plan.model import channel_device
from tests.qemu.support import ARCHES, BOOT_DEADLINE_S, guest_plan, tiny
from tests.spawner import LocalSpawner

PLAN = "node a qemu arch={}\nnode b qemu\nlink a@10.5.0.1/24 b@10.5.0.2/24 wire"


@pytest.mark.parametrize("arch", ARCHES)
def test_a_shell_on_a_guest(arch: str, tmp_path: Path) -> None:
    image = tiny(arch)
    plan = guest_plan(PLAN.format(arch))

    async def main() -> None:
        async with AsyncExitStack() as stack:
            doors = [socket.socketpair(socket.AF_UNIX) for _ in plan.interfaces]
            for pair in doors:
                stack.enter_context(pair[0])
                stack.enter_context(pair[1])
            machine = await stack.enter_async_context(
                open_qemu(
                    plan,
                    spawner=LocalSpawner(),
                    kernel=image.kernel,
                    initrd=image.initrd,
                    accel="tcg",
                    nets=[pair[0].fileno() for pair in doors],
                    directory=tmp_path,
                )
            )

            async def explain() -> GuestExitedError:
                await machine.wait_ended()
                return machine.exited_error()

            consoles = {
                name: await stack.enter_async_context(
                    Console(
                        machine.consoles[name],
                        channel=machine.channels[name],
                        node="a",
                        log=tmp_path / f"{name}.log",
                        explain=explain,
                    )
                )
                for name in ("shell", "control")
            }
            control = Shell(consoles["control"], channel=channel_device("control"), patience=5)
            shell = Shell(
                consoles["shell"], channel=channel_device("shell"), patience=5, stray="/dev/hvc1", control=control
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(control.synchronize, BOOT_DEADLINE_S)
                nursery.start_soon(shell.synchronize, BOOT_DEADLINE_S)
            await exercise(shell, consoles["control"].log)

    async def bounded() -> None:
        with trio.fail_after(3 * BOOT_DEADLINE_S):
            await main()

    trio.run(bounded)


async def exercise(shell: Shell, control_log: Path) -> None:
    async def run(text: str, stdin: bytes | None = None) -> Ended:
        armed = await shell.arm(text, stdin=stdin)
        armed.fire()
        return await armed.ended()

    everything = os.urandom(20_000) + bytes(range(256))
    for text, stdin, status, output in (
        ("echo out; echo err >&2; exit 7", None, 7, b"out\nerr\n"),
        ("cat", everything, 0, everything),
        ("kill -9 $PPID", None, 137, b""),
        ("stty sane </dev/tty", None, 0, b""),
        ("printf 'a\\nb\\r\\n\\003'", None, 0, b"a\nb\r\n\x03"),
    ):
        ended = await run(text, stdin)
        assert (ended.exit_status, ended.output) == (status, output), text

    # Longer than all buffers between the guest and us, and faster than we read.
    digest = (await run("dd if=/dev/urandom of=/tmp/r bs=65536 count=64 2>/dev/null; md5sum </tmp/r")).output.split()[0]
    data = (await run("cat /tmp/r /tmp/r /tmp/r /tmp/r /tmp/r")).output
    assert len(data) == 5 * 64 * 65536
    assert hashlib.md5(data[: 64 * 65536]).hexdigest().encode() == digest
    assert data == data[: 64 * 65536] * 5

    behind = "mkfifo /tmp/go /tmp/gone; (read x </tmp/go; yes stray | head -c 60000; echo end >/tmp/gone) & echo left"
    assert (await run(behind)).output == b"left\n"
    assert (await run("echo now >/tmp/go; read x </tmp/gone; echo $x")).output == b"end\n"
    # What was left behind has written all of it into its pipe; the guest takes its time to pass that on.
    while (strays := (await trio.Path(control_log).read_bytes()).count(b"stray\n")) < 10_000:
        await trio.lowlevel.checkpoint()
    assert strays == 10_000

    shell.grace_s = 1.0
    for text, status in (("", 130), ("trap '' INT;", 131), ("trap '' INT QUIT TERM;", 137)):
        armed = await shell.arm(f"{text} echo ready; exec sleep 1000")
        armed.fire()
        while armed.output() != b"ready\n":
            await trio.lowlevel.checkpoint()
        stopped = await armed.stop()
        assert stopped is not None
        assert (stopped.exit_status, stopped.output) == (status, b"ready\n")

    ended = await run("kill -9 $(cut -d' ' -f6 /proc/self/stat); sleep 1000")
    assert ended.exit_status == 129
    assert (await run("echo back")).output == b"back\n"

    daemon = await shell.arm("echo serving; echo >/tmp/go; exec sleep 1000", daemon=True)
    daemon.fire()
    await daemon.begun()
    assert (await run("read x </tmp/go; echo beside")).output == b"beside\n"
    stopped = await daemon.stop()
    assert stopped is not None
    assert (stopped.exit_status, stopped.output) == (130, b"serving\n")

    armed = await shell.arm("reboot -f; sleep 1000")
    armed.fire()
    with pytest.raises(GuestExitedError) as caught:
        await armed.ended()
    assert caught.value.reason == "reboot"

"""A machine made elsewhere: one serial port, with a login on it and the kernel speaking there as well."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from qemunet.guest.qemu import open_qemu
from qemunet.progress import PlainProgress
from tests.qemu.debian_guest import debian_guest, missing_programs
from tests.qemu.support import console, guest_plan, read_until
from tests.spawner import LocalSpawner

pytestmark = pytest.mark.skipif(
    bool(missing_programs()) or os.geteuid() != 0, reason="needs mmdebstrap, and root to make a Debian"
)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("echo 'Kernel panic - not syncing: said by a process'; reboot -f", "reboot"),
        ("echo c >/proc/sysrq-trigger", "panic"),
    ],
)
def test_login_on_the_one_console(command: str, reason: str, tmp_path: Path) -> None:
    debian = debian_guest(PlainProgress())
    plan = guest_plan(f"node plain qemu {debian.keys}")
    log = tmp_path / "console" / "plain.log"

    async def main() -> None:
        async with open_qemu(
            plan,
            spawner=LocalSpawner(),
            kernel=debian.kernel,
            initrd=debian.initrd,
            accel="tcg",
            nets=[],
            directory=tmp_path,
        ) as machine:
            assert list(machine.consoles) == ["shell"]
            assert machine.kernel_log == log
            async with console(machine.consoles["shell"]) as shell:
                seen = await read_until(shell, b"login: ")
                assert b"Linux version" in seen
                await shell.send_all(b"root\r")
                await read_until(shell, b"Password: ")
                await shell.send_all(debian.password.encode() + b"\r")
                await read_until(shell, b"# ")
                await shell.send_all(b"echo $((6 * 7)) $(hostname)\r")
                await read_until(shell, b"42 plain\r\n")
                await shell.send_all(command.encode() + b"\r")
                with trio.fail_after(60):
                    async for data in shell:
                        seen += data
            log.write_bytes(seen)  # As whoever reads the console does.
            with trio.fail_after(60):
                assert await machine.wait_ended() == reason
            error = machine.exited_error()
            assert (error.node, error.reason) == ("plain", reason)
            assert ("sysrq triggered crash" in error.message.lower()) == (reason == "panic")

    trio.run(main)

"""Clocks of real guests: at boot, after they were put wrong, and after a restore from saved state."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from qemunet.errors import GuestError
from qemunet.guest.clock import GuestClock
from qemunet.guest.console import Console
from qemunet.guest.qemu import QemuMachine, open_qemu
from qemunet.guest.shell import Shell
from qemunet.plan.model import channel_device
from tests.qemu.support import ARCHES, BOOT_DEADLINE_S, guest_plan, tiny
from tests.spawner import LocalSpawner

CLOSE_S = 0.05


@asynccontextmanager
async def booted(arch: str, directory: Path, keys: str = "") -> AsyncIterator[tuple[QemuMachine, Shell]]:
    image = tiny(arch)
    async with (
        open_qemu(
            guest_plan(f"node a qemu arch={arch} {keys}"),
            spawner=LocalSpawner(),
            kernel=image.kernel,
            initrd=image.initrd,
            accel="tcg",
            nets=[],
            directory=directory,
        ) as machine,
        Console(
            machine.consoles["control"],
            channel=machine.channels["control"],
            node="a",
            log=directory / "control.log",
        ) as console,
    ):
        shell = Shell(console, channel=channel_device("control"), patience=5)
        await shell.synchronize(BOOT_DEADLINE_S)
        yield machine, shell


async def run(shell: Shell, text: str) -> str:
    async with shell.lock:
        armed = await shell.arm(text)
        armed.fire()
        return (await armed.ended()).output.decode()


def bounded(main: object) -> None:
    async def limited() -> None:
        with trio.fail_after(3 * BOOT_DEADLINE_S):
            await main()  # type: ignore[operator]

    trio.run(limited)


@pytest.mark.parametrize("arch", ARCHES)
def test_a_clock_is_set_right(arch: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with booted(arch, tmp_path) as (_, shell):
            clock = GuestClock(shell, patience=5)
            for put_wrong in ("", "date -s @1000000000", "date -s @2000000000", "date -s @$(($(date +%s) + 1))"):
                await run(shell, f"{put_wrong} >/dev/null")
                if put_wrong.startswith("date -s @1"):
                    assert (await clock.offset()).offset_s < -1e8
                synced = await clock.sync()
                assert abs(synced.offset_s) + synced.uncertainty_s < CLOSE_S
                before_s = time.time()
                said_s = float(await run(shell, "echo $EPOCHREALTIME"))
                assert before_s - CLOSE_S < said_s < time.time() + CLOSE_S
            # Its pace is what it was: over a second it gains or loses nothing to speak of.
            await run(shell, "e=$((${EPOCHREALTIME%.*} + 2)); while [ ${EPOCHREALTIME%.*} -lt $e ]; do :; done")
            later = await clock.offset()
            assert abs(later.offset_s - synced.offset_s) < 0.02 + later.uncertainty_s + synced.uncertainty_s

            # Who may not set it says so.
            await run(shell, "date -s @1000000000 >/dev/null")
            shell.console.write(b"date() { return 1; }\n")
            with pytest.raises(GuestError, match=r"a cannot set its clock: date -s ended with status 1"):
                await clock.sync()

    bounded(main)


@pytest.mark.parametrize("arch", ARCHES)
def test_a_clock_is_stale_after_a_restore_until_it_is_set(arch: str, tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def main() -> None:
        async with booted(arch, tmp_path) as (machine, shell):
            assert abs((await GuestClock(shell, patience=5).sync()).offset_s) < CLOSE_S
            await machine.qmp("migrate", uri=f"exec:cat>{state}")
            while (status := (await machine.qmp("query_migrate"))["status"]) != "completed":
                assert status != "failed"
            saved_s = time.time()  # It has stood still since before that.
        assert state.stat().st_size > 1_000_000
        started_s = time.time()
        async with booted(arch, tmp_path, f"qemu_args='-incoming \"exec:cat {state}\"'") as (_, shell):
            clock = GuestClock(shell, patience=5)
            stale = await clock.offset()
            assert stale.offset_s - stale.uncertainty_s < saved_s - started_s < 0
            assert stale.offset_s < -0.1  # QEMU's start and the restore take longer.
            synced = await clock.sync()
            assert abs(synced.offset_s) + synced.uncertainty_s < CLOSE_S
            assert await run(shell, "echo alive") == "alive\n"

    bounded(main)

"""Reading clocks over the shells of this computer, whose clock is right by definition."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from qemunet.errors import GuestError
from qemunet.guest.clock import HOST_CLOCK, GuestClock
from tests.pure.shells import SHELLS, open_terminal


@pytest.mark.parametrize("sh", SHELLS)
def test_the_own_clock_is_right_to_what_can_be_measured(sh: str, tmp_path: Path) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with open_terminal(sh, tmp_path) as terminal:
                offset = await GuestClock(terminal.shell).offset()
                assert 0 < offset.uncertainty_s < 1.0
                assert abs(offset.offset_s) <= offset.uncertainty_s + 0.001
                assert (await terminal.run("echo usable")).output == b"usable\n"

    trio.run(main)


def test_a_guest_without_a_clock_that_is_fine_enough_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with open_terminal("dash", tmp_path) as terminal:
                for instead in (b"date() { echo 1000000000.%N; }\n", b"date() { :; }\n"):
                    terminal.console.write(instead)
                    with pytest.raises(GuestError, match="guest cannot tell the time"):
                        await GuestClock(terminal.shell).offset()
                assert (await terminal.run("echo usable")).output == b"usable\n"

    trio.run(main)


def test_a_guest_with_the_hosts_clock_is_right() -> None:
    async def main() -> None:
        clock = GuestClock(None)
        assert await clock.offset() == await clock.sync() == HOST_CLOCK

    trio.run(main)

"""Whether a guest lives: its end and the reason for it, its going down with a command, its hanging."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import trio

from qemunet.errors import GuestError, GuestExitedError, HostError
from qemunet.guest import framing
from qemunet.guest.console import Console
from qemunet.guest.shell import Shell
from qemunet.process import Process

HANG_S = 20.0
"""A guest in use that says nothing at all for so long, times its patience, is given up."""

MOST_HANG_S = 120.0
"""However patient one is: nobody waits longer than this for a guest that says nothing."""

GOING_DOWN_S = 10.0
"""A guest that a command has told to go down has gone within this time, or is asked again by the next command."""

_TELLING_CHARACTERS = 120
"""A longer text, or one of several lines, only happens to speak of a reboot."""

_SIGNS = 4
"""How often a silent guest is asked before it is given up."""

# Where `reboot` and the like stand as a command of their own. In a guest with a full init such a command ends at once,
# well before the guest; it is worth a wait. (With -f it does not return, or its end is seen: Machine.ending.)
_TELLS_TO_GO_DOWN = re.compile(
    r"""(?: ^ | [;&|({!\n] | \b(?:then|do|else|exec|sudo|nohup|setsid|busybox|systemctl|command)\s )
        \s* (?:/\S*/)? (?: (?:reboot|poweroff|halt|shutdown)\b (?!\s*=) | (?:tel)?init\s+[06]\b )
        | /proc/sysrq-trigger""",
    re.VERBOSE,
)


class Machine(Protocol):
    """What a guest runs in: ``QemuMachine`` and ``Container``."""

    @property
    def consoles(self) -> Mapping[str, int]:
        """Descriptors of its consoles: ``shell`` and ``control``."""

    @property
    def channels(self) -> Mapping[str, int]:
        """Descriptors of the channels beside them."""

    @property
    def process(self) -> Process:
        """What it ends with."""

    async def wait_ended(self) -> str:
        """Wait until it ends and return why."""

    def ending(self) -> bool:
        """Whether it has ended, or certainly will."""

    def exited_error(self) -> GuestExitedError:
        """The error that says how it ended; for after its end."""


class Life:
    """What is known of whether a guest lives.

    Args:
        node: The guest's name.
        machine: What it runs in.
        patience: Factor on our own time-outs.
    """

    def __init__(self, node: str, machine: Machine, patience: float) -> None:
        self._node = node
        self._machine = machine
        self._patience = patience
        self._given_up: GuestExitedError | None = None

    def ending(self) -> bool:
        """Whether it has ended, or certainly will."""
        return self._given_up is not None or self._machine.ending()

    async def ended(self) -> GuestError:
        """Wait until it has ended; returns the error that says why."""
        await self._machine.wait_ended()
        return self._given_up or self._machine.exited_error()

    async def outlived(self, command: str) -> None:
        """For after the end of a command: return if the guest goes on. It costs some microseconds.

        Only a guest that is seen to end, or a command that tells it to, is worth waiting for.

        Args:
            command: Its text; empty if it was stopped.

        Raises:
            GuestExitedError: the guest went down with it.
        """
        tells = len(command) <= _TELLING_CHARACTERS and "\n" not in command and _TELLS_TO_GO_DOWN.search(command)
        if self.ending() or tells:
            with trio.move_on_after(GOING_DOWN_S):
                raise await self.ended()

    async def watch(
        self, control: Shell, consoles: Callable[[], Sequence[Console]], in_use: Callable[[], bool]
    ) -> None:
        """Ask the guest for a sign of life as long as somebody waits on it, and give it up when there is none.

        Whoever waits on one of its consoles, now or later, then gets a GuestExitedError with reason ``hang``, and the
        machine is killed. Time in which this process itself was stopped does not count against the guest.

        Args:
            control: The shell that is asked.
            consoles: All that are open; a word on any of them is a sign.
            in_use: Whether somebody waits on the guest.
        """
        deadline_s = min(HANG_S * self._patience, max(HANG_S, MOST_HANG_S))
        pause_s = deadline_s / _SIGNS
        silences = 0
        while silences < _SIGNS:
            if silences == 0:
                await trio.sleep(pause_s)
            if not in_use():
                silences = 0
                continue
            asked_ns = time.monotonic_ns()
            with trio.move_on_after(pause_s):
                try:
                    await _sign_of_life(control)
                except GuestError:
                    return  # It has gone, and everyone is told so.
            heard = any(console.heard_ns > asked_ns for console in consoles())
            silences = 0 if heard else silences + 1
        await self._give_up(deadline_s, consoles())

    async def _give_up(self, silent_s: float, consoles: Sequence[Console]) -> None:
        if self._machine.ending():
            return
        self._given_up = GuestExitedError(
            f"guest {self._node} hangs: it has said nothing for {silent_s:g} s, although it was asked",
            node=self._node,
            reason="hang",
            hint="its processor or its control shell stands still; see its logs in console/",
        )
        for console in consoles:
            console.fail(self._given_up)
        with suppress(HostError):  # The Run's init has died, and the guest with it.
            await self._machine.process.kill()


async def _sign_of_life(control: Shell) -> None:
    """Wait for an answer; a question that is given up is answered later, to nobody."""
    async with control.lock:
        nonce = framing.new_nonce()
        watch = control.console.watch({"sign": nonce})
        control.console.write(framing.probe(nonce))
        await watch.reached("sign")

"""A guest's wall clock: how far it is from this host's, and setting it right.

A guest knows the time to a second when it boots (and as it was saved, when it is restored). Its clock is read through
its shell: the truth lies between the question and its answer, and the quickest of a few answers says it best. POSIX has
no way to set a clock but ``date``, to a whole second where it is busybox's. So the command is sent just as long before
a second begins as it takes to take effect, which is rehearsed. That is good to some 20 ms on an emulated machine, whose
programs take so long to start. What is left is made up for by a faster or slower pace where there is ``adjtimex``: a
tenth, so that the time that a program takes to start makes a tenth of the error only.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import trio

from qemunet.errors import GuestError
from qemunet.guest import framing
from qemunet.guest.shell import Shell
from qemunet.guest.watch import Hit

CLOSE_S = 0.003
"""A clock this close to the host's, in seconds, is left alone."""

_READINGS = 5
_ROUNDS = 4
_REPLY_S = 10.0
_PACE = 0.1
#: As much as is made up for in less than the time to the next second.
_MOST_BY_PACE_S = 0.06

# A shell that knows the time itself (bash, busybox) needs no program for it, which would take longer to start than the
# console takes to carry the answer. Whatever else comes instead of a number is no time.
_READ = (
    "q_t=${EPOCHREALTIME:-$(date +%s.%N)}; case $q_t in *[!0-9.]*|'') q_t=-;; esac; "
    r"printf '\036q%s %s\n' {nonce} $q_t"
)
_SET = r"date -u -s @{second} >/dev/null 2>&1; printf '\036q%s %s\n' {nonce} $?"
# Takes as long as the one above.
_REHEARSE = _SET.replace("-s", "-d")
# In microseconds; an unchanged tick is 10 ms, whatever the kernel's clock runs at.
_CHANGE_PACE = (
    "adjtimex -q -t {tick} && sleep {sleep_s}; q_t=$?; adjtimex -q -t 10000 && [ $q_t = 0 ]; "
    r"printf '\036q%s %s\n' {nonce} $?"
)


@dataclass(frozen=True)
class ClockOffset:
    """How far a guest's wall clock is from the host's.

    Attributes:
        offset_s: The guest's time less the host's, in seconds; positive where the guest is ahead.
        uncertainty_s: The truth is no further than this from ``offset_s``, in seconds.
    """

    offset_s: float
    uncertainty_s: float


HOST_CLOCK = ClockOffset(0.0, 0.0)
"""Of a guest that has the host's own clock."""


def unix_s(host_ns: int) -> float:
    """Unix time, in seconds, by the host's realtime clock, at an instant of its monotonic clock."""
    return (host_ns + time.time_ns() - time.monotonic_ns()) / 1e9


class GuestClock:
    """The wall clock of one guest.

    Args:
        shell: A shell of the guest that is idle most of the time; None for a guest that has the host's own clock.
        patience: Factor on the time within which it answers.
    """

    def __init__(self, shell: Shell | None, *, patience: float = 1.0) -> None:
        self._shell = shell
        self._reply_s = _REPLY_S * patience

    async def offset(self) -> ClockOffset:
        """Measure how far it is from the host's; some milliseconds.

        Raises:
            GuestError: it does not tell fractions of a second, or the guest does not answer.
            ConsoleError, GuestExitedError: the guest or its shell is lost.
        """
        if self._shell is None:
            return HOST_CLOCK
        async with self._shell.lock:
            return await self._measure(self._shell)

    async def sync(self, *, close_s: float = CLOSE_S) -> ClockOffset:
        """Bring it to the host's, and measure how far it then is; about a second, four at most.

        Args:
            close_s: Nothing more is done once it is this close, or as close as can be measured, in seconds.

        Raises:
            GuestError: it cannot be told or set, or the guest does not answer.
            ConsoleError, GuestExitedError: the guest or its shell is lost.
        """
        if self._shell is None:
            return HOST_CLOCK
        async with self._shell.lock:
            return await self._bring_close(self._shell, close_s)

    async def _bring_close(self, shell: Shell, close_s: float) -> ClockOffset:
        offset = await self._measure(shell)
        delay_s: float | None = None
        by_pace = True
        for _ in range(_ROUNDS):
            if abs(offset.offset_s) <= max(close_s, offset.uncertainty_s):
                break
            if delay_s is None:
                delay_s = min([await self._rehearse(shell) for _ in range(_READINGS)])
            if by_pace and abs(offset.offset_s) <= _MOST_BY_PACE_S:
                by_pace = await self._change_pace(shell, offset.offset_s, delay_s)
            else:
                await self._set(shell, delay_s)
            offset = await self._measure(shell)
        return offset

    async def _measure(self, shell: Shell) -> ClockOffset:
        return min([await self._read(shell) for _ in range(_READINGS)], key=lambda each: each.uncertainty_s)

    async def _read(self, shell: Shell) -> ClockOffset:
        written_ns, hit = await self._ask(shell, _READ)
        try:
            guest_s = float(hit.words[0])
        except ValueError:
            raise GuestError(
                f"guest {shell.node} cannot tell the time: it has no date that knows %N", node=shell.node
            ) from None
        half_s = (hit.read_ns - written_ns) / 2e9
        return ClockOffset(guest_s - unix_s(written_ns) - half_s, half_s)

    async def _rehearse(self, shell: Shell) -> float:
        """About how long after its key stroke ``date`` takes effect, in seconds."""
        written_ns, hit = await self._ask(shell, _REHEARSE.replace("{second}", "0"))
        return (hit.read_ns - written_ns) / 1e9

    async def _set(self, shell: Shell, delay_s: float) -> None:
        """Set it to a second that begins when the command takes effect, ``delay_s`` after it was typed."""
        now_s = time.time()
        second = int(now_s + delay_s) + 1
        await trio.sleep(second - delay_s - now_s)
        _, hit = await self._ask(shell, _SET.replace("{second}", str(second)))
        if hit.words != ("0",):
            raise GuestError(
                f"guest {shell.node} cannot set its clock: date -s ended with status {' '.join(hit.words)}",
                node=shell.node,
            )

    async def _change_pace(self, shell: Shell, offset_s: float, delay_s: float) -> bool:
        """Let it run faster or slower for as long as makes up for an offset; False if that cannot be done there."""
        pace = -_PACE if offset_s > 0 else _PACE
        # While it sleeps the guest counts by the changed pace, and one program more has to start before that ends.
        sleep_s = max(0.0, -offset_s / pace - delay_s) * (1 + pace)
        line = _CHANGE_PACE.replace("{tick}", f"{10_000 * (1 + pace):.0f}").replace("{sleep_s}", f"{sleep_s:.3f}")
        _, hit = await self._ask(shell, line)
        return hit.words == ("0",)

    async def _ask(self, shell: Shell, line: str) -> tuple[int, Hit]:
        """Type a line and wait for the mark with the nonce in it; returns host monotonic time of the typing, and that."""
        nonce = framing.new_nonce()
        watch = shell.console.watch({"told": nonce})
        written_ns = shell.console.write(f"{line.replace('{nonce}', nonce)}\n".encode())
        with trio.move_on_after(self._reply_s):
            return written_ns, await watch.reached("told")
        raise GuestError(f"guest {shell.node} does not say what time it is", node=shell.node)

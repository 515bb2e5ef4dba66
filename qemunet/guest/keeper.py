"""The keeper of a console's shells: found or made by a greeting, it brings a fresh shell whenever the last has died."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from qemunet.guest import framing
from qemunet.guest.console import Console
from qemunet.guest.login import Login
from qemunet.guest.watch import Watch


class Keeper:
    """Brings fresh shells on a console.

    Args:
        console: An open console.
        sh: The shell in the guest.
        login: Says who we are where the terminal asks.
        start_s: An image of ours that has not said within this time that its shells start is greeted all the same; 0 for
            any other image.

    Attributes:
        nonce: By which it says that it has started a shell; "" as long as there is none.
    """

    def __init__(self, console: Console, *, sh: str, login: Login | None, start_s: float) -> None:
        self.nonce = ""
        self._console = console
        self._sh = sh
        self._login = login
        self._start_s = start_s

    async def fresh_shell(self, *, reply_s: float, mend: Callable[[], Awaitable[object]] | None) -> str:
        """Have a fresh shell on the terminal; returns what ``nonce`` is to be if that shell is of use.

        Args:
            reply_s: A shell that reads its terminal answers within this time.
            mend: Sets the terminal's modes right from outside, if somebody can.
        """
        # Where a terminal asks who is there, no shell reads it.
        asked = self._login is not None and self._login.asked(self._console)
        # A command may have told the terminal to make something else of a newline: a shell would not read a line then.
        if self.nonce and mend is not None:
            await mend()
        if self.nonce and not asked and await self._renewed(reply_s):
            return self.nonce
        return await self._greet(reply_s, mend, asked=asked)

    async def _renewed(self, reply_s: float) -> bool:
        """Whether the keeper that was greeted before, if it is there, has brought another shell.

        A greeting would do as well, but leave one more keeper below it each time.
        """
        watch = self._console.watch({"hello": self.nonce})
        self._console.write(framing.leave())
        with trio.move_on_after(reply_s / 40):
            await watch.reached("hello")
            return True
        return False

    async def _greet(self, reply_s: float, mend: Callable[[], Awaitable[object]] | None, *, asked: bool) -> str:
        """Greet until a keeper answers; returns the nonce by which it does."""
        console = self._console
        patience_s, attempt = reply_s / 40, 0
        if self._start_s and not self.nonce:
            await self._started()
        # Only the answer to the last attempt counts: of what was typed after an earlier one nobody knows which shell
        # has read it.
        while True:
            if self._login is not None and (attempt or asked or not self.nonce):
                await self._login.log_in(console, quiet_s=patience_s)
            if attempt == 1 and mend is not None:
                await mend()
            hello, alerts = framing.new_nonce(), console.alerts
            watch = console.watch({"hello": hello})
            console.write(framing.greeting(hello, attempt, sh=self._sh))
            with trio.move_on_after(patience_s):
                if await self._greeted(watch, alerts):
                    return hello
                asked = True
                continue
            patience_s, attempt = min(patience_s * 1.5, reply_s / 2), attempt + 1

    async def _started(self) -> None:
        """Wait for the word of our images that a shell starts: what is typed before may be read in pieces."""
        with trio.move_on_after(self._start_s):
            while self._console.alerts == 0:
                await self._console.said()

    async def _greeted(self, watch: Watch, alerts: int) -> bool:
        """Wait for the answer to a greeting; False if meanwhile another shell said that it is there, so greet again."""
        while "hello" not in watch.hits:
            if watch.error is not None:
                raise watch.error
            if self._console.alerts != alerts:
                return False
            await watch.changed()
        return True

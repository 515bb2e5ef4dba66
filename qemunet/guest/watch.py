"""What is waited for on a console: marks, and the bytes between them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import trio

from qemunet.errors import GuestError
from qemunet.guest.encoding import Decoder
from qemunet.guest.output import Output


@dataclass(frozen=True)
class Hit:
    """A mark that was read.

    Attributes:
        read_ns: Host monotonic time right after the read that completed it.
        words: What it says.
        translated: The terminal made its newline into carriage return and newline.
    """

    read_ns: int
    words: tuple[str, ...]
    translated: bool


class Watch:
    """Marks that are waited for, each by a name; the bytes between ``begin`` and ``end`` are kept.

    ``hits`` and ``output`` are filled by the console's threads.

    Attributes:
        echoed: What is typed comes back: the terminal's echo is on.
        decoder: Undoes what the guest does to its output, None where it comes as it is.
    """

    def __init__(
        self,
        token: trio.lowlevel.TrioToken,
        marks: Mapping[str, str],
        output: Output | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        self.names = {nonce.encode(): name for name, nonce in marks.items()}
        self.hits: dict[str, Hit] = {}
        self.output = output or Output()
        self.decoder = decoder
        self.echoed = False
        self.error: GuestError | None = None
        self._token = token
        self._changed = trio.Event()

    def add(self, name: str, nonce: str) -> None:
        """Wait for one more mark."""
        self.names[nonce.encode()] = name

    def take(self, data: bytes) -> None:
        """Bytes of the output's stream that are no mark of this watch (its thread)."""
        if "begin" in self.hits and "end" not in self.hits:
            self.output.append(data if self.decoder is None else self.decoder.feed(data))
            if self.decoder is not None and self.decoder.complete:
                self.announce()

    def look_for_echo(self, data: bytes) -> None:
        """Bytes of the terminal (its thread)."""
        if not self.hits:
            self.echoed = self.echoed or b"q_a " in data

    def hit(self, nonce: bytes, hit: Hit) -> None:
        """A mark of this watch was read (a console's thread)."""
        self.hits[self.names[nonce]] = hit
        self.announce()

    def fail(self, error: GuestError) -> None:
        """Nothing more will come (any thread)."""
        if self.error is None:
            self.error = error
        self.announce()

    def announce(self) -> None:
        """Wake whoever waits (any thread)."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._wake)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def changed(self) -> None:
        """Wait for news; look before you wait, and wait before anything else can run."""
        await self._changed.wait()

    async def reached(self, *names: str) -> Hit:
        """Wait for the first of some marks.

        Raises:
            ConsoleError, GuestExitedError: it cannot come any more.
        """
        while True:
            for name in names:
                if name in self.hits:
                    await trio.lowlevel.checkpoint()
                    return self.hits[name]
            if self.error is not None:
                raise self.error
            await self.changed()

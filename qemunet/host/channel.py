"""The controller's end of the control socket: requests with their answers, and events."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from qemunet.errors import HostError
from qemunet.host.messages import (
    ANCILLARY_BYTES,
    MAX_BYTES,
    Message,
    ancillary_of,
    close_all,
    decode,
    descriptors_of,
    encode,
)

ANSWER_DEADLINE_S = 60.0


@dataclass
class _Pending:
    """A request that waits for its answer."""

    take: Callable[[Message], None] | None
    answered: trio.Event = field(default_factory=trio.Event)
    message: Message | None = None
    descriptors: list[int] = field(default_factory=list)


class Channel:
    """Speaks to the init while somebody runs ``listen``.

    Args:
        control: The SEQPACKET socket to the init; owned from here on.
        on_event: Called with each event and the descriptors beside it, which it then owns.

    Attributes:
        ended: Set when there is no init any more.
    """

    def __init__(self, control: socket.socket, on_event: Callable[[Message, list[int]], None]) -> None:
        self.ended = trio.Event()
        self._control = trio.socket.from_stdlib_socket(control)
        self._on_event = on_event
        # Two tasks may not wait for room in the socket at once, and many may have requests.
        self._sending = trio.Lock()
        self._next_id = 0
        self._pending: dict[int, _Pending] = {}

    async def request(
        self,
        message: dict[str, Any],
        descriptors: Sequence[int] = (),
        *,
        take: Callable[[Message], None] | None = None,
    ) -> tuple[Message, list[int]] | None:
        """Send a request and return its answer with the descriptors beside it, now the caller's; None if the init died.

        Not interrupted by cancellation, so that what the answer brings always has an owner.

        Args:
            message: The request, without its id.
            descriptors: Sent along; they stay the caller's.
            take: Called with the answer before the next message is read.

        Raises:
            HostError: it could not be sent, or not answered within ``ANSWER_DEADLINE_S``.
        """
        identity, self._next_id = self._next_id, self._next_id + 1
        packet = encode({"id": identity, **message})
        pending = self._pending[identity] = _Pending(take)
        try:
            with trio.CancelScope(deadline=trio.current_time() + ANSWER_DEADLINE_S, shield=True):
                if not self.ended.is_set():
                    await self._send(packet, descriptors)
                    await pending.answered.wait()
                return None if pending.message is None else (pending.message, pending.descriptors)
        finally:
            del self._pending[identity]
        raise HostError(f"The Run's init did not answer to {message['op']!r} within {ANSWER_DEADLINE_S:g} s.")

    async def _send(self, packet: bytes, descriptors: Sequence[int]) -> None:
        try:
            async with self._sending:
                await self._control.sendmsg([packet], ancillary_of(list(descriptors)))
        except (BrokenPipeError, ConnectionResetError):
            await self.ended.wait()
        except OSError as error:
            raise HostError(
                f"A request of {len(packet)} bytes to the Run's init could not be sent: {error.strerror}."
            ) from error

    async def listen(self) -> None:
        """Take in what the init says until it has ended; then the caller calls ``end``."""
        try:
            while True:
                packet, ancillary, _, _ = await self._control.recvmsg(
                    MAX_BYTES, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
                if not packet:
                    return
                message, descriptors = decode(packet), descriptors_of(ancillary)
                if "event" in message:
                    self._on_event(message, descriptors)
                else:
                    self._answer(message, descriptors)
        except (OSError, trio.ClosedResourceError):
            return  # a reset is an end as well

    def _answer(self, message: Message, descriptors: list[int]) -> None:
        pending = self._pending.get(message["id"])
        if pending is None:
            close_all(descriptors)
            return
        if pending.take is not None:
            pending.take(message)
        pending.message, pending.descriptors = message, descriptors
        pending.answered.set()

    def end(self) -> None:
        """Wake whoever waits for an answer: none comes any more."""
        self.ended.set()
        for pending in self._pending.values():
            pending.answered.set()

    def hang_up(self) -> None:
        """Tell the init that the Run is over; what it still says is heard."""
        try:
            self._control.shutdown(socket.SHUT_WR)
        except OSError:
            self._control.close()  # it is gone already

    def close(self) -> None:
        """Close the socket."""
        self._control.close()

"""Containers: started from a plan, watched, ended; what ``qemu`` is for machines."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import trio

from qemunet.errors import GuestExitedError, HostError
from qemunet.plan.model import GuestPlan
from qemunet.process import ContainerInterface, ContainerStarter, Process, StartedContainer, process_stat

EndReason = Literal["reboot", "shutdown", "crash"]

_TUNSETCARRIER = 0x400454E2
#: ioctl that names a terminal's session; the termios module of Python 3.11 has no name for it.
_TIOCGSID = 0x5429
#: Where in process_stat, and how, a process shows that it ends: the kernel's PF_EXITING, a SIGKILL on its way.
_STATE, _PARENT, _FLAGS, _PENDING = 0, 1, 6, 28
_PF_EXITING, _SIGKILL_PENDING = 0x4, 1 << (signal.SIGKILL - 1)
_END_TIMEOUT_S = 5.0
# What the kernel makes of reboot(2) in a PID namespace.
_REASONS: Mapping[int, EndReason] = {-signal.SIGHUP: "reboot", -signal.SIGINT: "shutdown"}
_WORDS: Mapping[EndReason, str] = {"reboot": "rebooted", "shutdown": "shut itself down"}


class Container:
    """A running container.

    Attributes:
        node: Name of its node.
        process: Its PID 1.
        consoles: Masters of its terminals (``shell``, ``control``, ``spare1`` and on), which stay ours to close.
        channels: Our ends of the channels beside them; likewise.
        taps: The descriptor of its interface, by number of the door; they stay ours to close.
        writing: As ``process.StartedContainer`` says it.
        ended: Set when it has ended.
        first_process: Its PID 1, as it is called here; None if that cannot be seen.
    """

    def __init__(self, plan: GuestPlan, started: StartedContainer) -> None:
        self.node = plan.node
        self.process: Process = started.process
        self.consoles = started.consoles
        self.channels = started.channels
        native = [interface.door for interface in plan.interfaces if interface.host_veth is None]
        self.taps = dict(zip(native, started.taps, strict=True))
        self.writing = started.writing
        self.ended = trio.Event()
        self.first_process = _first_process(started.consoles["control"])

    def ending(self) -> bool:
        """Whether it has ended, or certainly will: some microseconds' look at its PID 1.

        Who calls reboot(2) in a container ends at once, with status 0, and PID 1 is killed just before that: whatever is
        heard of the caller's end, PID 1 shows by then what is to become of it.
        """
        if self.ended.is_set() or self.process.returncode is not None:
            return True
        if self.first_process is None:
            return False
        stat = process_stat(self.first_process)
        if stat is None or stat[_STATE] in "ZX":
            return True
        return bool(int(stat[_FLAGS]) & _PF_EXITING or int(stat[_PENDING]) & _SIGKILL_PENDING)

    async def wait_ended(self) -> EndReason:
        """Wait until it ends and return why: ``reboot``, ``shutdown`` or ``crash``."""
        await self.ended.wait()
        return self._reason()

    def exited_error(self) -> GuestExitedError:
        """The error that says how it ended; for after its end."""
        reason = self._reason()
        what = _WORDS.get(reason, f"ended: its PID 1 has exit status {self.process.returncode}")
        return GuestExitedError(f"guest {self.node} {what}", node=self.node, reason=reason)

    def _reason(self) -> EndReason:
        return _REASONS.get(self.process.returncode or 0, "crash")

    async def _follow(self) -> None:
        with suppress(HostError):  # The Run's init has died, and whoever needs it says so.
            await self.process.wait()
        for tap in self.taps.values():
            # Whoever holds a tap holds its network with it, which would go on to answer for a container that is dead.
            with suppress(OSError):
                fcntl.ioctl(tap, _TUNSETCARRIER, struct.pack("i", 0))
        self.ended.set()


def _first_process(terminal: int) -> int | None:
    """What PID 1 is called outside: the parent of whoever leads a terminal's session; None if that cannot be seen."""
    with suppress(OSError):
        (leader,) = struct.unpack("i", fcntl.ioctl(terminal, _TIOCGSID, bytes(4)))
        stat = process_stat(leader) if leader > 0 else None
        if stat is not None and int(stat[_PARENT]) > 1:
            return int(stat[_PARENT])
    return None


@asynccontextmanager
async def open_container(plan: GuestPlan, *, starter: ContainerStarter) -> AsyncIterator[Container]:
    """Start a container, and end it when the context ends, whatever happened.

    Args:
        plan: Of the guest.
        starter: Starts it in the Run.

    Raises:
        MissingRequirement: /dev/net/tun is missing.
        HostError: the kernel refused something; the message names it.
    """
    started = await starter.start_container(
        plan.node,
        root=Path(plan.root or "/"),
        disk_mib=plan.disk_mib,
        interfaces=[ContainerInterface(each.name, each.mac, each.host_veth) for each in plan.interfaces],
    )
    container = Container(plan, started)
    # A system task, and no nursery: errors of the caller's block leave it as they are, in no ExceptionGroup.
    trio.lowlevel.spawn_system_task(container._follow, name=f"container {plan.node}")
    try:
        yield container
    finally:
        with trio.CancelScope(shield=True):
            # Its taps are about to be closed, which does what taking their carrier away would.
            container.taps.clear()
            with trio.move_on_after(_END_TIMEOUT_S):
                with suppress(HostError):
                    await started.process.kill()
                await container.ended.wait()
            # The kernel takes some 30 ms over each of them, but it takes them over many at the same time.
            descriptors = [*started.consoles.values(), *started.channels.values(), *started.taps]
            await trio.to_thread.run_sync(_close_all, descriptors, limiter=trio.CapacityLimiter(1))


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)

"""QEMU machines: started from a plan, watched, ended.

Everything a machine talks through is a socket pair made here, of which QEMU inherits one end: nothing is bound to a
path, and whoever ends first, the other one sees it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import socket
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import trio

from qemunet.errors import (
    GuestBootTimeout,
    GuestError,
    GuestExitedError,
    MissingRequirement,
    QemunetError,
    install_command,
)
from qemunet.guest.qmp import Event, Qmp, QmpFailed
from qemunet.plan.model import GuestPlan
from qemunet.process import Process, Spawner

EndReason = Literal["reboot", "shutdown", "panic", "crash"]

_FIRST_FD = 10
_GREETING_TIMEOUT_S = 60.0
_QUIT_TIMEOUT_S = 2.0
_KILL_TIMEOUT_S = 3.0
_DRAIN_TIMEOUT_S = 2.0
_TAIL_BYTES = 65536
_PANIC = b"Kernel panic - not syncing"
# What a kernel says when it is told to restart. After words like a panic's it shows that they were a process's.
_RESTARTS = (b"reboot: Restarting system", b"sysrq: Resetting")
_POLL_S = 0.005
_PROGRAM_PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-i386": "qemu-system-x86",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-ppc64": "qemu-system-ppc",
    "qemu-system-mips64el": "qemu-system-mips",
}


def machine_argv(
    plan: GuestPlan, *, kernel: Path | None, initrd: Path | None, accel: str, descriptors: Mapping[str, int]
) -> list[str]:
    """The plan's command line with its placeholders replaced.

    Args:
        plan: Of the guest.
        kernel: Of the image.
        initrd: Of the image.
        accel: ``kvm`` or ``tcg``.
        descriptors: QEMU's number of each descriptor by its name.

    Raises:
        GuestError: A placeholder is unknown, or stands for what the guest does not have.
    """
    values: dict[str, str] = {"accel": accel, "cpu": "host" if accel == "kvm" else plan.emulated_cpu}
    # In QEMU's option lists a comma is doubled, but -kernel and -initrd take plain paths.
    values |= {name: str(path) for name, path in (("kernel", kernel), ("initrd", initrd)) if path is not None}
    values |= {f"fd:{name}": str(number) for name, number in descriptors.items()}

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise GuestError(
                f"the command line of {plan.node} has the placeholder {match[0]}, for which nothing is given",
                node=plan.node,
            )
        return values[match[1]]

    return [re.sub(r"\$\{([^}]*)\}", value, word) for word in plan.argv]


def require_qemu(program: str) -> None:
    """Check that a QEMU is installed.

    Raises:
        MissingRequirement: It is not; the hint is the command that brings it.
    """
    if shutil.which(program) is None:
        package = _PROGRAM_PACKAGES.get(program, "qemu-system-misc")
        raise MissingRequirement(f"the program {program} is not installed", hint=install_command(package))


class QemuMachine:
    """A running machine.

    Attributes:
        node: Name of its node.
        argv: Its command line.
        process: Its QEMU.
        consoles: Our ends of its consoles, named by the plan's ``console_names``: stream sockets, which stay ours to close.
        channels: Likewise of the channels beside them, which only our images have.
        kernel_log: File with all that its kernel has written; with ``console="serial"`` the log of its console, which
            whoever reads the console writes.
        events: All QMP events so far.
        ended: Set when QEMU has ended and everything it said has been read.
    """

    def __init__(
        self,
        node: str,
        argv: Sequence[str],
        process: Process,
        qmp: Qmp,
        consoles: Mapping[str, int],
        channels: Mapping[str, int],
        kernel_log: Path,
    ) -> None:
        self.node = node
        self.argv = list(argv)
        self.process = process
        self.consoles = consoles
        self.channels = channels
        self.kernel_log = kernel_log
        self.events: list[Event] = []
        self.ended = trio.Event()
        self._qmp = qmp

    async def qmp(self, command: str, **arguments: Any) -> Any:
        """Run a QMP command (``_`` in its name stands for ``-``) and return its result.

        Raises:
            GuestExitedError: The machine has ended.
            GuestError: QEMU refused the command.
        """
        try:
            return await self._qmp.execute(command.replace("_", "-"), arguments)
        except QmpFailed as error:
            if self.process.returncode is not None or self.ended.is_set():
                await self.ended.wait()
                raise self.exited_error() from error
            raise GuestError(f"QEMU of {self.node} refused '{command}': {error}", node=self.node) from error

    async def wait_ended(self) -> EndReason:
        """Wait until the machine ends and return why: ``reboot``, ``shutdown``, ``panic`` or ``crash``."""
        await self.ended.wait()
        return self._reason()

    def ending(self) -> bool:
        """Whether it has ended, or certainly will."""
        told = any(event.name in ("SHUTDOWN", "GUEST_PANICKED") for event in self.events)
        return told or self.ended.is_set() or self.process.returncode is not None

    def exited_error(self) -> GuestExitedError:
        """The error that says how the machine ended; for after its end."""
        status = self.process.returncode
        reason = self._reason()
        what = {
            "reboot": "rebooted",
            "shutdown": "shut itself down",
            "panic": "had a kernel panic",
            "crash": f"ended: its QEMU has exit status {status}",
        }[reason]
        message = f"guest {self.node} {what}"
        if reason == "panic" and (line := self._panic_line()):
            message += f": {line}"
        return GuestExitedError(message, node=self.node, reason=reason, hint=f"see {self.kernel_log}")

    def _panic_line(self) -> str:
        """What the kernel said of its panic; empty if its last words were others."""
        try:
            with self.kernel_log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                tail = log.read()
        except FileNotFoundError:  # Nobody has read its console.
            return ""
        start = tail.rfind(_PANIC)
        if start < 0 or any(words in tail[start:] for words in _RESTARTS):
            return ""
        return tail[start:].split(b"\r")[0].split(b"\n")[0].decode(errors="replace")

    def _reason(self) -> EndReason:
        """Why it ended, from what it said until then."""
        reasons = [str(event.data.get("reason", "")) for event in self.events if event.name == "SHUTDOWN"]
        reason = reasons[-1] if reasons else ""
        panicked = any(event.name == "GUEST_PANICKED" for event in self.events) or reason == "guest-panic"
        # -no-reboot makes the restart after a panic an end like that of a reboot; the kernel's log tells them apart.
        if panicked or (reason == "guest-reset" and self._panic_line()):
            return "panic"
        if reason == "guest-reset":
            return "reboot"
        return "shutdown" if reason == "guest-shutdown" else "crash"


@asynccontextmanager
async def open_qemu(
    plan: GuestPlan,
    *,
    spawner: Spawner,
    kernel: Path | None,
    initrd: Path | None,
    accel: str,
    nets: Sequence[int],
    directory: Path,
) -> AsyncIterator[QemuMachine]:
    """Start a machine, and end it when the context ends, whatever happened.

    QEMU's own messages go to ``qemu/<node>.log`` in ``directory``, the kernel's to ``console/<node>.kernel.log`` or, of a
    machine with ``console="serial"``, to its console, whose log is ``console/<node>.log``.

    Args:
        plan: Of the guest.
        spawner: Starts the process.
        kernel: Of the image, for ``${kernel}``.
        initrd: Of the image, for ``${initrd}``.
        accel: ``kvm`` or ``tcg``.
        nets: Our descriptors for the interfaces, in order; they stay ours.
        directory: The run directory.

    Raises:
        MissingRequirement: There is no such QEMU.
        GuestExitedError: QEMU ended before it took commands (``reason="launch"``); the message has its command line,
            its status and what it wrote.
        GuestBootTimeout: It neither ended nor took commands.
    """
    require_qemu(plan.argv[0])
    log_path = directory / "qemu" / f"{plan.node}.log"
    serial = plan.console == "serial"
    kernel_path = directory / "console" / f"{plan.node}{'' if serial else '.kernel'}.log"
    for path in (log_path, kernel_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    sockets = ("qmp", *(() if serial else ("kernel",)), *plan.console_names, *plan.channel_names.values())
    pairs = {name: socket.socketpair() for name in sockets}
    failure: BaseException | None = None
    try:
        sources = {name: pair[1].fileno() for name, pair in pairs.items()}
        sources |= {f"net{index}": fd for index, fd in enumerate(nets)}
        numbers = {name: _FIRST_FD + index for index, name in enumerate(sources)}
        argv = machine_argv(plan, kernel=kernel, initrd=initrd, accel=accel, descriptors=numbers)
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fds = {numbers[name]: source for name, source in sources.items()}
            process = await spawner.spawn(f"qemu {plan.node}", argv, fds=fds, log=log)
        finally:
            os.close(log)
            for name, pair in pairs.items():
                if name not in plan.console_names:
                    pair[1].close()
        qmp = await Qmp.open(pairs["qmp"][0], plan.node)
        consoles = {name: pairs[name][0].fileno() for name in plan.console_names}
        channels = {name: pairs[channel][0].fileno() for name, channel in plan.channel_names.items()}
        machine = QemuMachine(plan.node, argv, process, qmp, consoles, channels, kernel_path)
        # The body's exception is carried past the nursery, which would wrap it in a group.
        try:
            async with trio.open_nursery() as nursery:
                watch = _Watch(machine, qmp)
                nursery.start_soon(watch.keep, watch.follow_process)
                if serial:
                    nursery.start_soon(watch.keep, partial(watch.follow_console, pairs["shell"][0]))
                else:
                    kernel_stream = trio.SocketStream(trio.socket.from_stdlib_socket(pairs["kernel"][0]))
                    nursery.start_soon(watch.keep, partial(watch.follow_kernel, kernel_stream))
                try:
                    await _greet(machine, qmp, watch, log_path)
                    # A virtconsole drops what its socket does not take at once (QEMU's flush_buf in hw/char); a port
                    # that is no console waits. QEMU has made its ends non-blocking by now; those of the consoles are
                    # made blocking again, so that it waits there as well.
                    for name in plan.console_names:
                        pairs[name][1].setblocking(True)
                        pairs[name][1].close()
                    nursery.start_soon(watch.keep, watch.follow_events)
                    yield machine
                except BaseException as error:  # noqa: BLE001 (raised again below)
                    failure = error
                with trio.CancelScope(shield=True):
                    await _end(machine, qmp, watch)
                watch.stop()
        finally:
            if failure is not None:
                raise failure
    finally:
        for ours, theirs in pairs.values():
            ours.close()
            theirs.close()


class _Watch:
    """What runs beside a machine: reading its kernel's log and its events, waiting for its end."""

    def __init__(self, machine: QemuMachine, qmp: Qmp) -> None:
        self._machine = machine
        self._qmp = qmp
        self._kernel_read = trio.Event()
        self._events_read = trio.Event()
        self._events_read.set()
        self._scopes: list[trio.CancelScope] = []
        self.exited = trio.Event()

    async def keep(self, follow: Callable[[], Awaitable[None]]) -> None:
        """Run one of the below until ``stop``: a cancelled machine must be watched until it has ended."""
        with trio.CancelScope(shield=True) as scope:
            self._scopes.append(scope)
            await follow()

    def stop(self) -> None:
        """End whatever still runs."""
        for scope in self._scopes:
            scope.cancel()

    async def follow_process(self) -> None:
        """Until QEMU has ended and everything it said has been read."""
        await self._machine.process.wait()
        self.exited.set()
        # What it wrote last is in the sockets still. The deadline is for a child of it that holds their other ends.
        with trio.move_on_after(_DRAIN_TIMEOUT_S):
            await self._kernel_read.wait()
            await self._events_read.wait()
        self._machine.ended.set()

    async def follow_events(self) -> None:
        """Take events as they come, until QEMU closes the channel."""
        self._events_read = trio.Event()
        try:
            with suppress(QmpFailed):
                while await self._qmp.readable():
                    self._machine.events += await self._qmp.events()
                self._machine.events += await self._qmp.last_events()
        finally:
            self._events_read.set()

    async def follow_kernel(self, stream: trio.SocketStream) -> None:
        """Write the kernel's log to its file."""
        try:
            with self._machine.kernel_log.open("ab", buffering=0) as log, suppress(trio.BrokenResourceError):
                async for data in stream:
                    log.write(data)
        finally:
            self._kernel_read.set()

    async def follow_console(self, console: socket.socket) -> None:
        """Wait until whoever reads the console, on which the kernel speaks as well, has read all of it."""
        await self.exited.wait()
        waiting = bytearray(4)
        # There is no event for a socket that becomes empty.
        while fcntl.ioctl(console, termios.FIONREAD, waiting) == 0 and any(waiting):  # noqa: ASYNC110
            await trio.sleep(_POLL_S)
        self._kernel_read.set()


async def _greet(machine: QemuMachine, qmp: Qmp, watch: _Watch, log_path: Path) -> None:
    """Wait until QEMU takes commands."""
    refused = False
    with trio.move_on_after(_GREETING_TIMEOUT_S) as deadline:
        try:
            await _killing_if_cancelled(machine, qmp.connect)
        except QmpFailed:
            refused = True
    command = shlex.join(machine.argv)
    if deadline.cancelled_caught:
        raise GuestBootTimeout(
            f"QEMU of {machine.node} did not answer within {_GREETING_TIMEOUT_S:g} s: {command}", node=machine.node
        )
    if refused:
        with trio.move_on_after(_KILL_TIMEOUT_S):
            await watch.exited.wait()
        said = (await trio.Path(log_path).read_text(errors="replace")).strip()[-4000:] or "(it wrote nothing)"
        raise GuestExitedError(
            f"QEMU of {machine.node} ended at once with status {machine.process.returncode}\n"
            f"  command: {command}\n  it wrote: {said}",
            node=machine.node,
            reason="launch",
            hint="the command line comes from the node's keys in the topology (machine, cpu, kernel, qemu_args, ...)",
        )


async def _killing_if_cancelled(machine: QemuMachine, call: Callable[[], Awaitable[object]]) -> None:
    """Make a call that sits in a thread, where only the end of QEMU can cut it short."""
    done = False

    async def kill_if_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            if not done:
                with trio.CancelScope(shield=True), suppress(QemunetError):
                    await machine.process.kill()

    failure: QmpFailed | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kill_if_cancelled)
        try:
            await call()
        except QmpFailed as error:
            failure = error
        done = True
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _end(machine: QemuMachine, qmp: Qmp, watch: _Watch) -> None:
    """End QEMU, kindly if it listens, and close the channel; within a deadline."""
    if not watch.exited.is_set():
        with trio.move_on_after(_QUIT_TIMEOUT_S):
            with suppress(QmpFailed):
                await _killing_if_cancelled(machine, partial(qmp.execute, "quit", {}))
            await watch.exited.wait()
    if not watch.exited.is_set():
        with suppress(QemunetError):
            await machine.process.kill()
    with trio.move_on_after(_KILL_TIMEOUT_S):
        await machine.ended.wait()
    await qmp.close()

"""An init in waiting: forked beforehand, while its controller still has a single thread, instead of executed later.

A controller that was forked from a template has loaded everything that an init needs, and ns-3 as well: an init forked
from it saves the start of two interpreters and, for the ns-3 worker, which it forks in its turn, the loading of ns-3.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence

import trio

from qemunet.host import linux
from qemunet.host.messages import ANCILLARY_BYTES, ancillary_of, close_all, decode, descriptors_of, encode
from qemunet.host.title import show_command_line


class ForkedProcess:
    """A child of this process that was forked and not executed; what of trio.Process a Run needs.

    Attributes:
        pid: Its process id.
        returncode: Exit status, minus the signal's number if a signal ended it, or None until ``wait`` has seen its end.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._pidfd = os.pidfd_open(pid)
        self._waiting = trio.Lock()  # a descriptor can be waited on by one task only

    async def wait(self) -> int:
        """Wait for its end and return ``returncode``."""
        async with self._waiting:
            if self.returncode is None:
                await trio.lowlevel.wait_readable(self._pidfd)
                # It has ended: this does not block.
                self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, os.WNOHANG)[1])  # noqa: ASYNC222
                os.close(self._pidfd)
        return self.returncode


class SpareInit:
    """An init that waits to be told of its Run; it ends with this process if it is told nothing."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self._pid = pid
        self._channel = channel

    def start(
        self, argv: Sequence[str], environment: Mapping[str, str], *, stdin: int, stdout: int, stderr: int
    ) -> ForkedProcess:
        """Let it be what executing ``argv`` with these standard descriptors, in a session of its own, would be.

        Raises:
            OSError: it cannot be told.
        """
        told = os.memfd_create("qemunet-spare")
        try:
            with open(told, "wb", closefd=False) as file:
                file.write(encode({"argv": list(argv), "environment": dict(environment), "directory": os.getcwd()}))
            with self._channel:
                self._channel.sendmsg([b"start"], ancillary_of([stdin, stdout, stderr, told]))
        finally:
            os.close(told)
        return ForkedProcess(self._pid)


_waiting: list[SpareInit] = []


def prepare_spare() -> None:
    """Fork an init that the next Run of this process takes; to be called before there is a second thread."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _be_spare(theirs, parent)
    theirs.close()
    _waiting.append(SpareInit(pid, ours))


def take_spare() -> SpareInit | None:
    """The init in waiting, if there is one."""
    return _waiting.pop() if _waiting else None


def _be_spare(channel: socket.socket, parent: int) -> None:
    """Wait, and be the init. Never returns."""
    from qemunet.host import init

    status = 1
    try:
        _waiting.clear()
        # The channel's end alone would not tell: the controller's other children may hold it as well.
        linux.die_with_parent(parent)
        packet, ancillary, _, _ = channel.recvmsg(64, ANCILLARY_BYTES)
        descriptors = descriptors_of(ancillary)
        if not packet:
            os._exit(0)
        with open(descriptors.pop(), "rb") as file:
            file.seek(0)
            told = decode(file.read())
        channel.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number, inheritable=False)
        close_all(descriptors)
        os.setsid()
        os.chdir(told["directory"])
        os.environ.clear()
        os.environ.update(told["environment"])
        os.environ.pop("QEMUNET_INIT_PATH", None)
        show_command_line(told["argv"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        init.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - nothing may leave into what this was forked from
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)

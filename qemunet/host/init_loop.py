"""PID 1 of a Run: one poll loop over the control socket, the end of children, and helpers at work."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from qemunet.host import linux, network
from qemunet.host.children import SpawnError, spawn_child
from qemunet.host.container_start import be_starter
from qemunet.host.messages import (
    ANCILLARY_BYTES,
    MAX_BYTES,
    Message,
    ancillary_of,
    close_all,
    decode,
    descriptors_of,
    encode,
    failure_of,
)


class InitLoop:
    """Serves the controller until it ends.

    Args:
        control: The SEQPACKET socket to the controller.
        watched: pidfds of processes whose end is the end of the Run.
        namespaces: Names of the namespaces made, told to the controller.
    """

    def __init__(self, control: socket.socket, watched: tuple[int, ...], namespaces: list[str]) -> None:
        self._control = control
        self._watched = watched
        self._namespaces = namespaces
        self._poll = select.poll()
        self._children: set[int] = set()
        self._helpers: dict[int, tuple[int, bytearray]] = {}
        self._starters: dict[int, tuple[int, socket.socket]] = {}
        self._unclaimed: dict[int, int] = {}
        # A controller that does not read must not stop this loop: it would miss the controller's end.
        self._outgoing: deque[tuple[bytes, list[int]]] = deque()
        self._operations: dict[str, Callable[[Message, list[int]], None]] = {
            "spawn": self._spawn,
            "kill": self._kill,
            "open_tap": self._open_tap,
            "build": self._build,
            "container": self._container,
        }

    def serve(self) -> None:
        """Serve until the control socket ends or a watched process has ended."""
        self._control.setblocking(False)
        wakeup, wakeup_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wakeup_end, warn_on_full_buffer=False)
        self._poll.register(wakeup, select.POLLIN)
        for pidfd in self._watched:
            self._poll.register(pidfd, select.POLLIN)
        own = os.pidfd_open(os.getpid())
        self._send({"event": "ready", "namespaces": self._namespaces}, [own])
        while True:
            wanted = select.POLLIN | (select.POLLOUT if self._outgoing else 0)
            self._poll.register(self._control, wanted)
            for descriptor, _ in self._poll.poll():
                if descriptor in self._watched:
                    return
                if descriptor == wakeup:
                    os.read(wakeup, 4096)
                    self._reap()
                elif descriptor in self._helpers:
                    self._read_helper(descriptor)
                elif descriptor in self._starters:
                    self._read_starter(descriptor)
                elif not self._flush() or not self._receive():
                    return

    def _send(self, message: Message, descriptors: list[int] | None = None) -> None:
        """Queue a message; its descriptors are closed here once they are sent."""
        self._outgoing.append((encode(message), descriptors or []))
        self._flush()

    def _flush(self) -> bool:
        """Send what the socket takes; False if there is nobody any more."""
        while self._outgoing:
            packet, descriptors = self._outgoing[0]
            try:
                self._control.sendmsg([packet], ancillary_of(descriptors))
            except BlockingIOError:
                return True
            except (BrokenPipeError, ConnectionResetError):
                return False
            self._outgoing.popleft()
            close_all(descriptors)
        return True

    def _receive(self) -> bool:
        """Take one request; False at the end of the control socket."""
        try:
            packet, ancillary, _, _ = self._control.recvmsg(MAX_BYTES, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        if not packet:
            return False
        descriptors = descriptors_of(ancillary)
        try:
            request = decode(packet)
            self._answer(request, descriptors)
        finally:
            close_all(descriptors)
        return True

    def _answer(self, request: Message, descriptors: list[int]) -> None:
        try:
            self._operations[request["op"]](request, descriptors)
        except OSError as error:
            stage = error.stage if isinstance(error, SpawnError) else request["op"]
            self._send({"id": request["id"], "failure": failure_of(error, stage)})

    def _reap(self) -> None:
        """Collect every ended process, orphans included, and report those that the controller started."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._children:
                self._ended(pid, os.waitstatus_to_exitcode(status))
            elif self._starters:
                # It may be a container whose starter has not told of it yet.
                self._unclaimed[pid] = os.waitstatus_to_exitcode(status)

    def _ended(self, pid: int, status: int) -> None:
        self._children.remove(pid)
        self._send({"event": "exit", "pid": pid, "status": status})

    def _spawn(self, request: Message, descriptors: list[int]) -> None:
        *passed, log = descriptors
        pid = spawn_child(
            request["argv"],
            env={**os.environ, **request["env"]},
            fds=dict(zip(request["fds"], passed, strict=True)),
            log=log,
            paths=request["paths"],
        )
        self._children.add(pid)
        self._send({"id": request["id"], "pid": pid})

    def _kill(self, request: Message, descriptors: list[int]) -> None:
        # The number is safe to use: a child that has not been reaped here keeps it.
        if request["pid"] in self._children:
            os.killpg(request["pid"], request["signal"])
        self._send({"id": request["id"]})

    def _open_tap(self, request: Message, descriptors: list[int]) -> None:
        self._send({"id": request["id"]}, [linux.open_tap(request["name"])])

    def _build(self, request: Message, descriptors: list[int]) -> None:
        self._help(request["id"], lambda: network.build(request["bridges"], request["taps"], request["veths"]))

    def _container(self, request: Message, descriptors: list[int]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            be_starter(request["container"], theirs)
        theirs.close()
        self._starters[ours.fileno()] = (request["id"], ours)
        self._poll.register(ours, select.POLLIN)

    def _read_starter(self, descriptor: int) -> None:
        identity, channel = self._starters.pop(descriptor)
        self._poll.unregister(descriptor)
        with channel:
            packet, ancillary, _, _ = channel.recvmsg(MAX_BYTES, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        lost = {"failure": {"stage": "helper", "what": "starter of a container", "errno": 0, "error": "it died"}}
        answer: Message = decode(packet) if packet else lost
        pid = answer.get("pid")
        if pid is not None:
            self._children.add(pid)
        self._send({"id": identity, **answer}, descriptors_of(ancillary))
        if pid in self._unclaimed:
            self._ended(pid, self._unclaimed[pid])
        if not self._starters:
            self._unclaimed.clear()

    def _help(self, identity: int, work: Callable[[], None]) -> None:
        """Have ``work`` done by a forked helper; ``_read_helper`` answers the request when it has ended."""
        result, result_end = os.pipe2(os.O_CLOEXEC)
        if os.fork() == 0:
            _be_helper(work, result_end)
        os.close(result_end)
        self._helpers[result] = (identity, bytearray())
        self._poll.register(result, select.POLLIN)

    def _read_helper(self, descriptor: int) -> None:
        identity, report = self._helpers[descriptor]
        part = os.read(descriptor, 65536)
        if part:
            report += part
            return
        self._poll.unregister(descriptor)
        os.close(descriptor)
        del self._helpers[descriptor]
        lost = {"failure": {"stage": "helper", "what": "network helper", "errno": 0, "error": "it died"}}
        answer: dict[str, Any] = json.loads(report) if report else lost
        self._send({"id": identity, **answer})


def _be_helper(work: Callable[[], None], result: int) -> None:
    """Do ``work`` and write the answer. Never returns; the init's end of the control socket is of no use here."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        answer: dict[str, Any] = {}
        try:
            work()
        except OSError as error:
            answer = {"failure": failure_of(error, "network")}
        except ImportError as error:
            answer = {"failure": {"stage": "import", "what": error.name or "", "errno": 0, "error": str(error)}}
        os.write(result, encode(answer))
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(0)

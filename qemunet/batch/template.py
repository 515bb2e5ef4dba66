"""The template of warm runs: a process that has loaded Python's modules and ns-3, and forks itself for each run.

Started by ``warm.py`` as ``python -m qemunet.batch.template PROGRAM SOCKET ROOM``; SOCKET is a descriptor of a SEQPACKET socket. It
loads and forks and does nothing else: it has one thread, no experiment, no topology and no simulation ever come into it,
so a run finds nothing of an earlier one, and whatever becomes of a run, it does not become of the template.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

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
from qemunet.host.programs import LOADED, python_signals
from qemunet.host.spare import prepare_spare
from qemunet.host.title import show_command_line

WORKER = "qemunet.simulation.worker"
"""The program in which the simulation runs; loaded here, it is forked by a Run's init as well."""

# What a run imports only when it comes to need it.
_MODULES = (
    "email.parser",
    "encodings.ascii",
    "encodings.idna",
    "qemunet.cli.run",
    "qemunet.host.init",
    "qemunet.run",
    "qemunet.testbed",
)


class Template:
    """Forks runs until its control socket ends.

    Args:
        control: The socket to the batch.
        program: The module whose ``main`` a run calls.
    """

    def __init__(self, control: socket.socket, program: str) -> None:
        self._control = control
        self._program = program
        self._runs: dict[int, int] = {}
        self._wakeup, self._wakeup_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def load(self) -> None:
        """Load what runs need, and say that runs may be asked for."""
        importlib.import_module(self._program)
        for name in _MODULES:
            importlib.import_module(name)
        worker = importlib.import_module(WORKER)
        LOADED["-P", "-m", WORKER] = worker.main
        importlib.import_module("qemunet.simulation.native").load()
        # Copies share these objects' memory as long as no garbage collection writes into it.
        gc.collect()
        gc.freeze()
        self._control.send(encode({"event": "ready"}))

    def serve(self) -> Callable[[], int] | None:
        """Fork runs; returns in each of them what it is to do, and None in the template when its socket has ended."""
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wakeup_end, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._wakeup:
                    os.read(self._wakeup, 4096)
                    self._reap()
                    continue
                packet, ancillary, _, _ = self._control.recvmsg(MAX_BYTES, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
                if not packet:
                    return None
                run = self._fork(decode(packet), descriptors_of(ancillary))
                if run is not None:
                    return run

    def _fork(self, request: Message, descriptors: list[int]) -> Callable[[], int] | None:
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError as error:
            close_all(descriptors)
            self._control.send(encode({"id": request["id"], "failure": error.strerror or str(error)}))
            return None
        if pid == 0:
            self._control.close()
            os.close(self._wakeup)
            return lambda: _be_run(self._program, request, descriptors)
        close_all(descriptors)
        self._runs[pid] = request["id"]
        pidfd = os.pidfd_open(pid)
        self._say({"id": request["id"], "pid": pid}, [pidfd])
        os.close(pidfd)
        return None

    def _reap(self) -> None:
        while self._runs:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            # Before it is reaped: until then its number, and that of its group, is nobody else's.
            with suppress(ProcessLookupError):
                os.killpg(ended.si_pid, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(ended.si_pid, 0)[1])
            self._say({"event": "exit", "id": self._runs.pop(ended.si_pid), "status": status})

    def _say(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        try:
            self._control.sendmsg([encode(message)], ancillary_of(list(descriptors)))
        except (BrokenPipeError, ConnectionResetError):
            return  # nobody is left to hear it; the end of the socket comes next


def _be_run(program: str, request: Message, descriptors: list[int]) -> int:
    """Be what ``python -m PROGRAM WORDS`` would be, in a session of its own; working directory and environment are ours."""
    python_signals()
    os.setsid()
    _place(descriptors)
    words = request["words"]
    show_command_line([sys.executable, "-m", program, *words])
    sys.argv = [program, *words]
    prepare_spare()
    main: Callable[[Sequence[str]], int] = sys.modules[program].main
    return main(words)


def _place(descriptors: Sequence[int]) -> None:
    """Number descriptors from 0, the standard ones first, and close every other one."""
    above = max(len(descriptors), *descriptors) + 1
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above) for descriptor in descriptors]
    for number, copy in enumerate(moved):
        os.dup2(copy, number, inheritable=True)
    os.closerange(len(descriptors), os.sysconf("SC_OPEN_MAX"))


def end_program(main: Callable[[], int]) -> None:
    """Call ``main`` and end this process as the end of a program would, but for destructors of C++. Never returns."""
    status = 1
    try:
        try:
            status = main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:  # noqa: BLE001 - nothing may leave into the template
            traceback.print_exc()
        for thread in threading.enumerate():
            if not thread.daemon and thread is not threading.current_thread():
                thread.join()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def main() -> None:
    """Be the template, and then each of its runs. Never returns."""
    python_signals()
    control = socket.socket(fileno=int(sys.argv[2]))
    control.set_inheritable(False)
    program = sys.argv[1]
    template = Template(control, program)
    template.load()
    show_command_line([sys.executable, "-m", "qemunet.batch.template", program])
    # Runs that go on when the template ends notice the end of their batch by themselves.
    end_program(template.serve() or (lambda: 0))


if __name__ == "__main__":
    main()

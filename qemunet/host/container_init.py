"""PID 1 of a container: it finishes the container from inside, keeps a shell on each terminal, and reaps.

A copy of the Run's init, not a program of its own: a fork takes a millisecond, a new interpreter twenty. Never returns.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import resource
import signal
import socket
import sys
import termios
import time
import traceback
from contextlib import suppress
from typing import Any, TypedDict

from qemunet.host import linux, mounts
from qemunet.host.messages import ancillary_of, encode, failure_of
from qemunet.host.programs import reset_signals

MOST_PROCESSES = 1024
"""Processes and threads of one container: what bounds a fork bomb."""

SHELL = "/bin/sh"
CHANNEL = 3
"""Descriptor by which what a shell's commands write comes."""
CONSOLES = ("shell", "control", "spare1", "spare2", "spare3", "spare4")
KEPT = 2
"""The first consoles have a shell at once; the others when somebody inside sends SIGUSR1 to PID 1."""

_ENVIRONMENT = {
    "HOME": "/root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": "dumb",
}
_READY = b"qemunet-ready\n"
_RETRY_S = 0.1
_OOM_SCORE = "500"
USUAL_DESCRIPTORS = 1024
_LIMITS = {
    resource.RLIMIT_NPROC: MOST_PROCESSES,
    # 1 and not 0: the kernel then hands no core to a collector, which would be the host's.
    resource.RLIMIT_CORE: 1,
    # Where they are not 0, a container could outrank the simulator.
    resource.RLIMIT_RTPRIO: 0,
    resource.RLIMIT_NICE: 0,
}


class Inside(TypedDict):
    """What PID 1 is told.

    Attributes:
        hostname: Of the container.
        root: Where its file system has been mounted.
    """

    hostname: str
    root: str


def be_container_init(told: Inside, channel: socket.socket) -> None:
    """Finish the container, send the masters of its terminals through ``channel``, and keep it. Never returns."""
    try:
        try:
            shells = _finish(told, channel)
        except OSError as error:
            channel.send(encode({"failure": failure_of(error, "container")}))
        else:
            shells.keep()
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)


def _finish(told: Inside, channel: socket.socket) -> _Shells:
    """Everything up to the first shells; returns them."""
    reset_signals()
    os.setsid()
    os.umask(0o022)
    _become_root()
    socket.sethostname(told["hostname"])
    _enter_root(told["root"])
    terminals = [_open_terminal(number) for number in range(len(CONSOLES))]
    channels = [socket.socketpair() for _ in CONSOLES]
    _limit()
    masters, slaves = ([terminal[side] for terminal in terminals] for side in (0, 1))
    ours, theirs = ([pair[side].detach() for pair in channels] for side in (0, 1))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGUSR1])
    shells = _Shells(dict(zip(slaves, theirs, strict=True)))
    shells.start()
    channel.sendmsg([encode({})], ancillary_of([*masters, *ours]))
    # What is closed below is closed behind the back of its owners: none of them may be collected, and close it again.
    gc.disable()
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1):
        os.dup2(null, number, inheritable=False)
    # Standard error stays that of the Run's init, for this process's own last words. Of all else that the init
    # holds, nothing may be left in a process of the container.
    kept = sorted([*slaves, *theirs])
    for number, following in zip([2, *kept], [*kept, os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(number + 1, following)
    return shells


def _become_root() -> None:
    """Until now this process has the user of the Run's init, who is nobody here."""
    with suppress(PermissionError):  # An ordinary user's Run may not give groups up.
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _enter_root(root: str) -> None:
    """Make the prepared file system the only one, such that nothing can be taken away that hides something."""
    linux.unshare(linux.CLONE_NEWNS, "mount namespace of a container")
    # A bind of its own: the mounts made outside are locked here, all together may be taken, one by one they may not.
    new_root = "/proc"
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("proc", f"{root}/proc", "proc", flags)
    with suppress(PermissionError):  # Where the host's is partly hidden, as in a container of another kind.
        linux.mount("sysfs", f"{root}/sys", "sysfs", flags | linux.MS_RDONLY)
    linux.mount("devpts", f"{root}/dev/pts", "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, "mode=620,ptmxmode=666")
    linux.mount(root, new_root, None, linux.MS_BIND | linux.MS_REC)
    mounts.change_root(new_root)
    # No new cgroup namespaces: an ordinary user's cgroups, which are the host's, could be reached by one.
    with suppress(OSError), open("/proc/sys/user/max_cgroup_namespaces", "w", encoding="ascii") as setting:
        setting.write("0")
    linux.drop_capability(linux.CAP_SYS_RESOURCE)


def _open_terminal(number: int) -> tuple[int, int]:
    """The master and the slave of terminal ``number``, which is /dev/pts/``number``."""
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    linux.check(linux.libc.unlockpt(master), "/dev/ptmx")
    return master, os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def _limit() -> None:
    for limit, value in _LIMITS.items():
        _, hard = resource.getrlimit(limit)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (bound, bound))
    # The Run has raised its own: programs in here get what programs usually get, and may raise theirs.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(USUAL_DESCRIPTORS, hard), hard))
    # If memory runs out, it is not the host's processes that are to go.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as setting:
        setting.write(_OOM_SCORE)


class _Shells:
    """A shell on each of some terminals, given by their slaves; on the spare ones when they are asked for.

    Args:
        channels: By the slave: the shell's end of the channel beside it.
    """

    def __init__(self, channels: dict[int, int]) -> None:
        slaves = list(channels)
        self._channels = channels
        self._slaves, self._spare = slaves[:KEPT], slaves[KEPT:]
        self._running: dict[int, int] = {}
        self._started_s: dict[int, float] = {}

    def start(self) -> None:
        """Start what is missing.

        Raises:
            OSError: one could not be executed, or there are too many processes.
        """
        for slave in self._slaves:
            # One that ends at once must not keep a processor busy.
            if slave not in self._running.values() and time.monotonic() >= self._started_s.get(slave, 0) + _RETRY_S:
                self._started_s[slave] = time.monotonic()
                self._running[_start_shell(slave, self._channels[slave])] = slave

    def keep(self) -> None:
        """Start them again whenever one has ended, and reap everything. Never returns."""
        while True:
            with suppress(OSError):  # It is tried again.
                self.start()
            self._reap()

    def _reap(self) -> None:
        """Reap until a shell has ended; not for long if one is missing."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if self._running.pop(pid, None) is not None:
                return
            if pid == 0:
                if len(self._running) == len(self._slaves):
                    if signal.sigwait([signal.SIGCHLD, signal.SIGUSR1]) == signal.SIGUSR1:
                        self._slaves, self._spare = self._slaves + self._spare, []
                        return
                elif signal.sigtimedwait([signal.SIGCHLD], _RETRY_S) is None:
                    return


def _start_shell(slave: int, channel: int) -> int:
    """Start a shell that reads the terminal as its script, with its channel as descriptor 3; returns its process id.

    Raises:
        OSError: it could not be executed, or there are too many processes.
    """
    report, report_end = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
        if pid == 0:
            _be_shell(slave, channel, report_end)
    except OSError:
        os.close(report)
        raise
    finally:
        os.close(report_end)
    with open(report, "rb") as words:
        said = words.read()
    if said:
        os.waitpid(pid, 0)
        raise OSError(int(said), os.strerror(int(said)), SHELL)
    return pid


def _be_shell(slave: int, channel: int, report: int) -> None:
    """Become the shell, or report why not. Never returns."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(slave, number)
        # Descriptor 3 may be the one that is copied, or needed still.
        channel, report = (fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, CHANNEL + 1) for each in (channel, report))
        _set_raw(slave)
        os.write(1, _READY)
        with suppress(OSError):
            os.chdir(_ENVIRONMENT["HOME"])
        name = os.ttyname(0)
        os.dup2(channel, CHANNEL)
        os.execve(SHELL, ["sh", name], _ENVIRONMENT)
    except OSError as error:
        os.write(report, b"%d" % (error.errno or errno.EINVAL))
    finally:
        os._exit(127)


def _set_raw(terminal: int) -> None:
    """Every byte passes as it is; only the keys of SIGINT and SIGQUIT stay keys."""
    modes: list[Any] = termios.tcgetattr(terminal)
    modes[0], modes[1], modes[2], modes[3] = 0, 0, termios.CS8 | termios.CREAD, termios.ISIG
    for key, character in ((termios.VINTR, b"\x03"), (termios.VQUIT, b"\x1c"), (termios.VSUSP, b"\0")):
        modes[6][key] = character
    modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
    termios.tcsetattr(terminal, termios.TCSANOW, modes)

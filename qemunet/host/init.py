"""The Run's init: the program that owns everything a Run starts.

Started by ``run_init.py`` as ``python -I -S .../qemunet/host/init.py LABEL CONTROLLER``: a fresh interpreter, hence
single-threaded whatever the controller is, and without the start-up cost of ``site``. Its standard input is the
control socket, its standard output a pidfd of the controller, its standard error a file in memory.

The outer process makes the namespaces, forks PID 1 of the Run (``init_loop``) and waits for it. PID 1 ends when the
control socket ends, when the controller has died although something still holds that socket, or when the outer
process has died; with PID 1 the kernel ends every process, tap, bridge and mount of the Run.
"""

from __future__ import annotations

import os
import sys
import types

if __name__ == "__main__":
    # What the package offers to experiments (and loads for it) is none of an init's business: only its modules are.
    _package = types.ModuleType("qemunet")
    _package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    sys.modules["qemunet"] = _package
    # -I -S leave nothing but the standard library in sys.path. The controller's entries come after it, so that
    # nothing in site-packages can take the place of a standard module.
    sys.path.extend(filter(None, os.environ.pop("QEMUNET_INIT_PATH", "").split(os.pathsep)))

import fcntl
import signal
import socket
import traceback

from qemunet.host import linux
from qemunet.host.init_loop import InitLoop
from qemunet.host.messages import encode, failure_of
from qemunet.host.network import silence_ipv6

_NAMESPACES = (
    (linux.CLONE_NEWNS, "mount"),
    (linux.CLONE_NEWUTS, "uts"),
    (linux.CLONE_NEWNET, "net"),
    (linux.CLONE_NEWPID, "pid"),
)


def main() -> None:
    """Be the outer process; its exit status is PID 1's."""
    # A controller may block or ignore signals, which exec keeps; an ignored SIGCHLD would take the ends of children.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    control = socket.socket(fileno=_take_over(0))
    controller = _take_over(1)
    try:
        namespaces = _unshare_all()
        outer = os.pidfd_open(os.getpid())
        pid = os.fork()
    except OSError as error:
        control.send(encode({"event": "failed", "failure": failure_of(error, "unshare")}))
        sys.exit(1)
    if pid == 0:
        _be_pid_one(control, (controller, outer), namespaces)
    # From here on only PID 1 holds the control socket: the controller sees its end when PID 1 ends.
    control.close()
    os.close(controller)
    os.close(outer)
    # Ctrl-C at the terminal does not come here (own session); whoever signals this process by hand ends the Run.
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.exit(status if status >= 0 else 128 - status)


def _take_over(number: int) -> int:
    """Move standard descriptor ``number`` out of the way of the children and leave /dev/null there."""
    moved = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, number, inheritable=False)
    os.close(null)
    return moved


def _unshare_all() -> list[str]:
    """Enter new namespaces, one call each so that a refusal names the one refused; return their names."""
    made = []
    if not linux.may_make_namespaces():
        uid, gid = os.geteuid(), os.getegid()
        linux.unshare(linux.CLONE_NEWUSER, "user namespace")
        # A group map may be written without privileges only after setgroups() has been given up.
        for file, line in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{file}", "w", encoding="ascii") as setting:
                setting.write(line)
        made.append("user")
    for flag, name in _NAMESPACES:
        linux.unshare(flag, f"{name} namespace")
        made.append(name)
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    return made


def _be_pid_one(control: socket.socket, watched: tuple[int, ...], namespaces: list[str]) -> None:
    """Set the namespaces up and serve. Never returns."""
    status = 1
    try:
        try:
            # A signal from a child of the Run must not end it; from outside, only SIGKILL reaches a PID 1.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
            linux.set_loopback_up()
            silence_ipv6()
        except OSError as error:
            control.send(encode({"event": "failed", "failure": failure_of(error, "set-up")}))
        else:
            InitLoop(control, watched, namespaces).serve()
            status = 0
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()

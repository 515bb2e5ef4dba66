"""Starts a process of the Run: fork, descriptors, mount view, exec (or, where it is loaded already, a call).

Runs in the Run's init, which is single-threaded: only there may Python code run between fork and exec.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence

from qemunet.host import linux
from qemunet.host.programs import LOADED, python_signals, reset_signals
from qemunet.host.title import show_command_line

_VIEW_ROOT = "/sys"
_VIEW_FLAGS = linux.MS_NOSUID | linux.MS_NODEV


class SpawnError(OSError):
    """A child that could not be started; ``stage`` says how far it came: fork, view, descriptors or exec."""

    stage = "fork"


def spawn_child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    fds: Mapping[int, int],
    log: int,
    paths: Mapping[str, str],
) -> int:
    """Start a program and return its process id once it has been executed.

    The child leads a session and process group of its own, has default signals, reads /dev/null, writes ``log`` and
    has no descriptor beyond these and ``fds``.

    Args:
        argv: Program, looked up in the PATH of ``env``, and arguments.
        env: Its whole environment.
        fds: Its number -> ours.
        log: Ours; becomes its standard output and standard error.
        paths: Files that this child sees besides the host's own (see ``enter_view``).

    Raises:
        SpawnError: with the stage that failed and the kernel's reason.
    """
    report, report_end = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
        if pid == 0:
            _become(argv, env=env, fds=fds, log=log, paths=paths, report=report_end)
    except OSError as error:
        os.close(report)
        raise SpawnError(error.errno, error.strerror) from error
    finally:
        os.close(report_end)
    with open(report, "rb") as lines:
        # The end comes without a word when exec closes the child's copy: CLOEXEC is the success report.
        words = lines.read().decode("utf-8", "surrogateescape").split("\n", 2)
    if len(words) < 3:
        return pid
    os.waitpid(pid, 0)
    refusal = SpawnError(int(words[1]), os.strerror(int(words[1])), words[2])
    refusal.stage = words[0]
    raise refusal


def _become(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    fds: Mapping[int, int],
    log: int,
    paths: Mapping[str, str],
    report: int,
) -> None:
    """Turn the forked child into the program. Never returns."""
    stage = "view"
    try:
        os.setsid()
        reset_signals()
        if paths:
            enter_view(paths)
        stage = "descriptors"
        report = _place_descriptors(fds, log, report)
        stage = "exec"
        loaded = LOADED.get(tuple(argv[1:]))
        if loaded is not None:
            os.close(report)
            _be_loaded(loaded, argv, env)
        os.execvpe(argv[0], list(argv), dict(env))
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        culprit = error.filename if isinstance(error, OSError) and stage != "exec" else argv[0]
        text = f"{stage}\n{number or errno.EINVAL}\n{culprit}"
        os.write(report, text.encode("utf-8", "surrogateescape"))
    finally:
        os._exit(127)


def _be_loaded(main: Callable[[], int], argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Be a program that is loaded already. Never returns."""
    status = 1
    try:
        python_signals()
        os.environ.clear()
        os.environ.update(env)
        show_command_line(argv)
        status = main()
    except BaseException:  # noqa: BLE001 - nothing may leave into what this was forked from
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _place_descriptors(fds: Mapping[int, int], log: int, report: int) -> int:
    """Give each descriptor the number the child knows it by; return the report pipe's new number.

    All of ours are moved above the highest wanted number first, so that no step overwrites what a later one needs.
    """
    wanted = {1: log, 2: log, **fds}
    above = max(wanted) + 1
    report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, above)
    moved = {number: fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, above) for number, ours in wanted.items()}
    moved[0] = fcntl.fcntl(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), fcntl.F_DUPFD_CLOEXEC, above)
    for number, copy in moved.items():
        os.dup2(copy, number, inheritable=True)
    # What the init holds is close-on-exec; this also covers what a library may have opened without it.
    numbers = sorted(moved)
    for number, following in zip(numbers, [*numbers[1:], report], strict=True):
        os.closerange(number + 1, following)
    os.closerange(report + 1, os.sysconf("SC_OPEN_MAX"))
    return report


def enter_view(paths: Mapping[str, str]) -> None:
    """Give this process a file system of its own: the host's, and ``paths`` (path -> file it leads to) besides.

    The root is a small tmpfs in a mount namespace of this process alone; every entry of the host's root is bound
    into it, so nothing is written to the host's file systems. The first component of each path belongs to the view:
    an entry of the host's root by that name is not seen.

    Raises:
        OSError: a mount was refused.
    """
    linux.unshare(linux.CLONE_NEWNS, "mount namespace of a child")
    directory = os.getcwd()
    own = {path.split("/")[1] for path in paths}
    # Opened first: the new root is mounted over one of these entries, and descriptors still lead to what was there.
    entries = {
        name: os.open(f"/{name}", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        for name in os.listdir("/")
        if name not in own
    }
    linux.mount("qemunet-view", _VIEW_ROOT, "tmpfs", _VIEW_FLAGS, "mode=755,size=1m")
    for name, entry in entries.items():
        target = f"{_VIEW_ROOT}/{name}"
        mode = os.fstat(entry).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(f"/{name}"), target)
        else:
            if stat.S_ISDIR(mode):
                os.mkdir(target)
            else:
                os.close(os.open(target, os.O_CREAT | os.O_CLOEXEC))
            linux.mount(f"/proc/self/fd/{entry}", target, None, linux.MS_BIND | linux.MS_REC)
        os.close(entry)
    for path, leads_to in paths.items():
        os.makedirs(os.path.dirname(_VIEW_ROOT + path), exist_ok=True)
        os.symlink(leads_to, _VIEW_ROOT + path)
    # A file written into the root would vanish with the child: refuse it as a read-only root does.
    linux.mount(None, _VIEW_ROOT, None, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _VIEW_FLAGS)
    os.chroot(_VIEW_ROOT)
    os.chdir(directory)

"""Programs of ours that are loaded already, and the signals with which a program starts.

Imported by the Run's init, which must start fast: nothing but small modules of the standard library.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

LOADED: dict[tuple[str, ...], Callable[[], int]] = {}
"""Arguments after the interpreter's name -> ``main`` of a program that this process has loaded.

A Run's init that was forked from here forks these once more, where it would execute them otherwise.
"""


def reset_signals() -> None:
    """Undo what Python does to signals: an ignored one would stay ignored across exec."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def python_signals() -> None:
    """Take the signals of a Python program that has just been executed."""
    reset_signals()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

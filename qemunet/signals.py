"""SIGINT and SIGTERM as the cancellation of a run, also while an experiment blocks in code that trio cannot cancel.

The end of who started a run, a batch, is taken as a SIGTERM.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import trio

ANSWER_S = 2.0
"""Whoever has not let trio go on this long after a signal gets a KeyboardInterrupt where it is."""

ORPHAN_END_S = 60.0
"""A run whose batch is gone has this long to end in order."""


def end_with_pipe(descriptor: int) -> None:
    """End this process when the other end of a pipe is closed, as it is when who held it has died.

    It ends as by SIGTERM, and after ``ORPHAN_END_S`` by SIGKILL. Nobody writes into the pipe. If it is closed already the
    process ends here and now.

    Args:
        descriptor: The end to read from; programs started from here do not inherit it.
    """
    os.set_inheritable(descriptor, False)
    poll = select.poll()
    poll.register(descriptor, 0)  # the hang-up is always reported
    if poll.poll(0):
        os.kill(os.getpid(), signal.SIGTERM)

    def watch() -> None:
        poll.poll()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_END_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end-with-pipe", daemon=True).start()


@contextmanager
def signals_cancel(scope: trio.CancelScope, note: Callable[[int], None]) -> Iterator[None]:
    """Cancel ``scope`` at the first SIGINT or SIGTERM and ``note`` its number; what blocks is interrupted.

    Python delivers signals to the main thread only; in another one nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    token = trio.lowlevel.current_trio_token()
    seen = False

    def answer(number: int) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        note(number)
        scope.cancel()

    def take(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        if not seen:
            seen = True
            signal.setitimer(signal.ITIMER_REAL, ANSWER_S)
            token.run_sync_soon(answer, number)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    handlers = {signal.SIGINT: take, signal.SIGTERM: take, signal.SIGALRM: interrupt}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)

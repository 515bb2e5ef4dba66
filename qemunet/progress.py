"""Progress to the person who waits: a Step is something that takes time and has a name.

Steps go to standard error only: a live list with bars on a terminal, one plain line at the start and the end of each
step elsewhere, nothing with NoProgress.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
PLAIN_INTERVAL_S = 5.0
"""Without a terminal, a step that goes on prints at most one line in this time."""


class Step(Protocol):
    """A running step."""

    def update(self, *, done: float | None = None, total: float | None = None, text: str | None = None) -> None:
        """Say how far the step is: ``done`` of ``total`` (any unit), and what it is doing now."""


class Progress(Protocol):
    """Where steps are shown; its methods and those of its steps may be called from any thread."""

    def step(self, name: str, *, total: float | None = None) -> AbstractContextManager[Step]:
        """Show a step while the context lasts; an exception that leaves it marks the step as failed."""

    def say(self, text: str) -> None:
        """Show one line of news that is no step."""

    def close(self) -> None:
        """End the display."""


class NoProgress:
    """Shows nothing."""

    def step(self, name: str, *, total: float | None = None) -> AbstractContextManager[Step]:
        """Show nothing."""
        return _silent()

    def say(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """End nothing."""


class _SilentStep:
    def update(self, *, done: float | None = None, total: float | None = None, text: str | None = None) -> None:
        """Show nothing."""


@contextmanager
def _silent() -> Iterator[Step]:
    yield _SilentStep()


def one_line(text: str) -> str:
    """A text as it can be shown in one line: names may hold what a terminal takes for commands."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


class PlainProgress:
    """Plain lines, each with the seconds since the start, for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._start_s = time.monotonic()
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Print one line."""
        with self._lock:
            print(f"[{time.monotonic() - self._start_s:7.2f} s] {one_line(text)}", file=self._stream, flush=True)

    @contextmanager
    def step(self, name: str, *, total: float | None = None) -> Iterator[Step]:
        """Print a line at the start, at the end, and now and then between."""
        self.say(f"{name} ...")
        start_s = time.monotonic()
        try:
            yield _PlainStep(self, name, total)
        except BaseException:
            self.say(f"{name}: did not end well, after {time.monotonic() - start_s:.2f} s")
            raise
        self.say(f"{name}: done in {time.monotonic() - start_s:.2f} s")

    def close(self) -> None:
        """Nothing is open."""


class _PlainStep:
    def __init__(self, progress: PlainProgress, name: str, total: float | None) -> None:
        self._progress = progress
        self._name = name
        self._total = total
        self._done: float | None = None
        self._text = ""
        self._printed_s = time.monotonic()

    def update(self, *, done: float | None = None, total: float | None = None, text: str | None = None) -> None:
        self._done = done if done is not None else self._done
        self._total = total if total is not None else self._total
        self._text = text if text is not None else self._text
        now_s = time.monotonic()
        if now_s - self._printed_s < PLAIN_INTERVAL_S:
            return
        self._printed_s = now_s
        share = f" {100 * self._done / self._total:.0f} %" if self._done is not None and self._total else ""
        self._progress.say(f"{self._name}:{share} {self._text}".rstrip())


class LiveProgress:
    """A live list on a terminal: a spinner and a bar for each running step, a line for each ended one."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, highlight=False)
        self._live: RichProgress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._live.start()

    def say(self, text: str) -> None:
        """Print one line above the list."""
        self._live.console.print(one_line(text), markup=False)

    @contextmanager
    def step(self, name: str, *, total: float | None = None) -> Iterator[Step]:
        """Show the step in the list while it runs, then one line."""
        name = one_line(name)
        task = self._live.add_task(name, total=total, text="")
        start_s = time.monotonic()
        mark, style = "✗", "red"
        try:
            yield _LiveStep(self._live, int(task))
            mark, style = "✓", "green"
        finally:
            from rich.text import Text

            self._live.remove_task(task)
            line = Text.assemble((mark, style), f" {name} ", (f"{time.monotonic() - start_s:.2f} s", "dim"))
            self._live.console.print(line)

    def close(self) -> None:
        """Remove the list."""
        self._live.stop()


class _LiveStep:
    def __init__(self, live: RichProgress, task: int) -> None:
        self._live = live
        self._task = task

    def update(self, *, done: float | None = None, total: float | None = None, text: str | None = None) -> None:
        from rich.progress import TaskID

        task = TaskID(self._task)
        self._live.update(task, completed=done, total=total)
        if text is not None:
            self._live.update(task, text=one_line(text))


def open_progress() -> Progress:
    """The display that fits standard error: live on a terminal, plain lines elsewhere."""
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()

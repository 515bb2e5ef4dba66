"""How a batch that goes on is shown: one step with a bar, what became of the runs so far, and the time that is left."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterable

from qemunet.batch.index import AttemptRow
from qemunet.batch.model import PlannedRun
from qemunet.progress import Progress, Step

STATUSES = ("passed", "failed", "unfaithful", "error", "lost", "interrupted")


class BatchView:
    """Shows a batch on a Progress; implements ``schedule.View``.

    Args:
        progress: Takes news.
        step: The batch's.
        total: How many runs are planned.
        statuses: Of the runs that were done before.
        durations_s: Of attempts that ended before.
        jobs: How many run at a time.
    """

    def __init__(
        self,
        progress: Progress,
        step: Step,
        *,
        total: int,
        statuses: Counter[str],
        durations_s: Iterable[float],
        jobs: int,
    ) -> None:
        self._progress = progress
        self._step = step
        self._total = total
        self._statuses = Counter(statuses)
        self._durations_s = list(durations_s)
        self._jobs = jobs
        self._began_s: dict[int, float] = {}
        self._repeated = 0
        self._show()

    def began(self, run: PlannedRun, attempt: int) -> None:
        """An attempt begins."""
        self._began_s[run.run] = time.monotonic()
        self._show()

    def ended(self, run: PlannedRun, row: AttemptRow, *, counts: bool) -> None:
        """An attempt has ended; what is no pass is told in a line of its own."""
        begun_s = self._began_s.pop(run.run, None)
        if row.status != "cut" and begun_s is not None:
            self._durations_s.append(time.monotonic() - begun_s)
        if counts:
            self._statuses[row.status] += 1
        else:
            self._repeated += 1
        if row.status != "passed":
            values = ", ".join(f"{name}={text}" for name, text in run.parameters.items())
            named = f"run {run.run} ({values})" if values else f"run {run.run}"
            again = "" if counts else " (again later)"
            self._progress.say(f"{named}, attempt {row.attempt}: {row.status}{again}: {row.why}")
        self._show()

    def planned(self, runs: int) -> None:
        """So many runs were added by the stopping rule."""
        self._total += runs
        self._show()

    def warn(self, text: str) -> None:
        """Told in a line of its own."""
        self._progress.say(f"warning: {text}")

    def _show(self) -> None:
        done = self._statuses.total()
        parts = [f"{self._statuses[status]} {status}" for status in STATUSES if self._statuses[status]]
        if self._repeated:
            parts.append(f"{self._repeated} repeated")
        parts.append(f"{len(self._began_s)} running")
        left = time_left(self._total - done, self._durations_s, self._jobs)
        if left and done < self._total:
            parts.append(left)
        self._step.update(done=done, total=self._total, text=f"{done} of {self._total}: {', '.join(parts)}")


def time_left(runs: int, durations_s: Iterable[float], jobs: int) -> str:
    """How long so many runs will take, by the median of those that ended; empty if none has."""
    lengths_s = list(durations_s)
    if not lengths_s:
        return ""
    seconds = runs * statistics.median(lengths_s) / max(1, jobs)
    for size_s, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size_s:
            return f"about {seconds / size_s:.1f} {word} left"
    return f"about {seconds:.0f} s left"

"""How the worker's failures become errors."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path

from qemunet.errors import QemunetError, SimulationError
from qemunet.simulation.report import SimulationReport

#: What NS_FATAL_ERROR, NS_ABORT and NS_ASSERT print.
_NS3_MESSAGE = re.compile(r'(?:^|\s)(?:msg|cond)=".*?file=\S+, line=\d+', re.DOTALL | re.MULTILINE)
#: Lines of a C++ stack trace, as cppyy prints them by the hundred.
_STACK_TRACE = re.compile(r"^\s*(#\d+ |entry=| \*\*\* Break)|\bat [./]\S+:\d+$|^\w+=")
_TAIL_BYTES = 256 * 1024
_TAIL_LINES = 5


class ExtendError(QemunetError):
    """The experiment's ``extend`` failed; the message ends in its traceback.

    Attributes:
        traceback: Of the worker, as text.
        report: The simulation's report where it failed after the run, else None.
    """

    layer = "experiment"

    def __init__(self, message: str, *, traceback: str, report: SimulationReport | None = None) -> None:
        super().__init__(message, hint="run.json has the traceback")
        self.traceback = traceback
        self.report = report


def from_worker(failure: Mapping[str, str], report: SimulationReport | None = None) -> QemunetError:
    """The error for a failure that the worker reported itself."""
    if failure["layer"] == "experiment":
        return ExtendError(f"extend failed: {failure['message']}", traceback=failure["traceback"], report=report)
    return SimulationError(f"the simulation could not be built: {failure['message']}", hint="see ns3.log")


def from_lateness(lag_ns: int, at_ns: int, limit_ns: int) -> SimulationError:
    """The error for an event that ran later than the hard limit."""
    return SimulationError(
        f"an event of the simulation ran {lag_ns / 1e6:.3g} ms late at simulation time {at_ns / 1e9:.3f} s,"
        f" over the hard limit of {limit_ns / 1e6:.3g} ms",
        hint="the computer could not keep real time: run less on it or in the network, or change option hard_limit",
    )


def from_death(returncode: int | None, log: Path) -> SimulationError:
    """The error for a worker that ended by itself: how, and what ns-3 said last."""
    if returncode is None:
        how = "closed its control socket"
    elif returncode < 0:
        how = f"was ended by {signal.Signals(-returncode).name}"
    else:
        how = f"ended with status {returncode}"
    said = last_words(log)
    return SimulationError(f"the ns-3 worker {how}" + (f": {said}" if said else ""), hint=f"all it wrote is in {log}")


def last_words(log: Path) -> str:
    """The lines of ns3.log that say why: ns-3's own message, or else the last few that are no stack trace."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    messages = _NS3_MESSAGE.findall(text)
    if messages:
        return str(messages[-1]).strip()
    lines = [line for line in text.splitlines() if line.strip() and not _STACK_TRACE.search(line)]
    return "\n".join(lines[-_TAIL_LINES:])

"""What a batch is made of: frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Until:
    """When a point has enough repetitions: its metric's confidence interval is narrow enough.

    Attributes:
        metric: Name of the metric.
        confidence: Of the interval, between 0 and 1.
        relative_error: Largest half width of the interval over the absolute mean, or None.
        absolute_error: Largest half width of the interval in the metric's unit, or None; one of the two is given.
        method: Student's t, or bootstrap.
    """

    metric: str
    confidence: float = 0.95
    relative_error: float | None = None
    absolute_error: float | None = None
    method: Literal["t", "bootstrap"] = "t"


@dataclass(frozen=True)
class Repeat:
    """How often each point is run.

    Attributes:
        minimum: At least so often.
        maximum: At most so often; as ``minimum`` where there is no rule.
        until: The rule between the two.
    """

    minimum: int = 1
    maximum: int = 1
    until: Until | None = None


@dataclass(frozen=True)
class Retry:
    """How often an attempt is repeated that says nothing of the experiment, by the layer that failed."""

    host: int = 1
    guest: int = 1
    simulation: int = 1
    unfaithful: int = 2


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read.

    Attributes:
        topology: Absolute path, or a name such as ``topohub:topozoo/Abilene``.
        experiment: Absolute path.
        names: The parameters, in the file's order.
        points: Each point's parameters, as texts that a user would type with ``-p``; without those excluded.
        repeat: How often each is run.
        retry: How often an attempt is repeated.
        seed: Of all that is random in the batch and its runs.
        order: ``grid``: as the points stand; ``random``: shuffled, which spreads drifts of the machine.
        timeout_s: Bound on each run in seconds, or None.
        jobs: How many runs at a time; ``auto``: as many as fit; None: one.
        places: Where the file names each parameter, as ``file:line:column``.
    """

    topology: str
    experiment: Path
    names: tuple[str, ...] = ()
    points: tuple[Mapping[str, str], ...] = ()
    repeat: Repeat = field(default_factory=Repeat)
    retry: Retry = field(default_factory=Retry)
    seed: int = 1
    order: Literal["grid", "random"] = "grid"
    timeout_s: float | None = None
    jobs: int | Literal["auto"] | None = None
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRun:
    """A run that is to have one counted result.

    Attributes:
        run: Its number, from 1.
        point: Number of its point, from 1.
        repetition: Of the point, from 1.
        seed: Of the run.
        position: In the order of the batch, from 1.
        parameters: Of the point.
    """

    run: int
    point: int
    repetition: int
    seed: int
    position: int
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Job:
    """What an executor is told to do: one attempt at a run.

    Attributes:
        planned: The run.
        attempt: Number of the attempt, from 1.
        topology, experiment: As in the Sweep.
        directory: The batch directory.
        timeout_s: Bound on the run in seconds, or None.
    """

    planned: PlannedRun
    attempt: int
    topology: str
    experiment: Path
    directory: Path
    timeout_s: float | None


@dataclass(frozen=True)
class Attempt:
    """How an attempt ended.

    Attributes:
        directory: Its run directory, None if it made none.
        record: What its run.json says, None if there is none.
        exit_status: Of its process: minus a signal's number if one ended it; None if nobody knows.
        why: For a person, one line.
        executor: Where it ran.
    """

    directory: Path | None
    record: Mapping[str, Any] | None
    exit_status: int | None
    why: str
    executor: str

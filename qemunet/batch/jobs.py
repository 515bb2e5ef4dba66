"""``--jobs auto``: how many runs fit on this computer at once.

Cores and memory bound the number from above. What it really bears is found out: real-time runs must not disturb one
another, so a batch begins with one at a time, adds one while runs stay well inside their fidelity limits, and takes one
away when they do not.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from qemunet.batch.executor import Executor
from qemunet.batch.model import Attempt, Job, Sweep
from qemunet.experiment import load_experiment, split_parameters
from qemunet.host.doctor import memory_available_bytes
from qemunet.plan import Plan, make_plan
from qemunet.results.record import to_json, write_whole
from qemunet.topology import declared_parameters, read_topology, source_directory

MOST_PLANS = 100
"""Of more different topologies, the first so many are looked at."""

RUN_MIB = 160
"""What a run takes beside its guests: controller, init and simulator."""

MACHINE_MIB, CONTAINER_MIB = 64, 16
"""What a guest takes beside its memory (of a machine) or what it writes (of a container): QEMU, shells."""

RESERVE_MIB = 512
"""What stays free."""

WELL, NEAR = 0.5, 0.9
"""Shares of the fidelity limits: below the first there is room for another run, above the second there is none."""

BATCH = "batch.json"


@dataclass(frozen=True)
class Room:
    """How many runs fit at most.

    Attributes:
        cores: Usable ones.
        by_cores: What they allow.
        memory_mib: What is available.
        run_mib: What the largest run takes.
        by_memory: What that allows.
    """

    cores: int
    by_cores: int
    memory_mib: int
    run_mib: int
    by_memory: int

    @property
    def most(self) -> int:
        """The bound."""
        return max(1, min(self.by_cores, self.by_memory))

    def __str__(self) -> str:
        return (
            f"at most {self.most}: {self.cores} cores allow {self.by_cores},"
            f" {self.memory_mib} MiB for runs of {self.run_mib} MiB allow {self.by_memory}"
        )


def find_room(sweep: Sweep) -> Room:
    """How many runs of a sweep this computer has cores and memory for.

    Raises:
        InputError: a topology or the experiment cannot be used.
    """
    plans = list(_plans(sweep))
    return room_for(plans, cores=len(os.sched_getaffinity(0)), memory_mib=memory_available_bytes() >> 20)


def room_for(plans: list[Plan], *, cores: int, memory_mib: int) -> Room:
    """How many runs of the largest of some plans fit."""
    run_mib = max((memory_of(plan) for plan in plans), default=RUN_MIB)
    # A simulator with machines behind it wants a core to itself. One with containers alone often waits, as they do.
    share = 1 if any(guest.type == "qemu" for plan in plans for guest in plan.guests) else 2
    by_memory = max(0, memory_mib - RESERVE_MIB) // run_mib
    return Room(cores, cores * share, memory_mib, run_mib, by_memory)


def memory_of(plan: Plan) -> int:
    """What a run of a plan takes at most, in MiB."""
    machines = [guest.memory_mib + MACHINE_MIB for guest in plan.guests if guest.type == "qemu"]
    containers = [guest.disk_mib + CONTAINER_MIB for guest in plan.guests if guest.type != "qemu"]
    return RUN_MIB + sum(machines) + sum(containers)


def _plans(sweep: Sweep) -> Iterator[Plan]:
    experiment = load_experiment(sweep.experiment)
    declared = declared_parameters(sweep.topology)
    seen: set[tuple[tuple[str, str], ...]] = set()
    for parameters in sweep.points or ({},):
        overrides, _ = split_parameters(parameters, declared, experiment.parameters)
        key = tuple(sorted(overrides.items()))
        if key not in seen and len(seen) < MOST_PLANS:
            seen.add(key)
            topology = read_topology(sweep.topology, parameters=overrides)
            yield make_plan(topology, seed=1, source_directory=source_directory(sweep.topology))


Judgement = Literal["well", "inside", "over"]


def judge(fidelity: Mapping[str, Any] | None) -> Judgement | None:
    """What a run's fidelity says of the number of runs at a time; None if it was not measured."""
    if fidelity is None:
        return None
    limits = fidelity["limits"]
    pairs = [
        (fidelity["lag_ns"]["p99"], limits["lag_p99_ns"]),
        (fidelity["lag_ns"]["max"], limits["lag_max_ns"]),
        (fidelity["start_skew_ns"]["max"], limits["start_skew_ns"]),
    ]
    most = max((value / limit if limit else float(value > 0)) for value, limit in pairs)
    if not fidelity["faithful"] or most > NEAR:
        return "over"
    return "well" if most <= WELL else "inside"


class Governor:
    """Decides how many runs at a time, by how those that end have kept time.

    Args:
        most: It is never more.
    """

    def __init__(self, most: int) -> None:
        self.jobs = 1
        self._most = most
        self._good = 0
        self._epoch = 0
        self._disturbed: Counter[int] = Counter()

    @property
    def epoch(self) -> int:
        """Changes with the number of jobs; a run that began in another one says nothing of the present number."""
        return self._epoch

    def ended(self, judgement: Judgement | None, epoch: int) -> str | None:
        """Take in how a run that began in ``epoch`` has kept time; returns why the number has changed, if it has."""
        if judgement is None or epoch != self._epoch:
            return None
        if judgement == "over":
            self._good = 0
            if self.jobs == 1:
                return None
            self._disturbed[self.jobs] += 1
            self._change(self.jobs - 1)
            return "a run was disturbed"
        # What is inside the limits, but not well inside, is no reason for more and none for less.
        self._good = self._good + 1 if judgement == "well" else 0
        # A number that has disturbed runs before is tried again, but each time after a longer while.
        wanted = (self.jobs + 1) * 4 ** self._disturbed[self.jobs + 1]
        if self.jobs == self._most or self._good < wanted:
            return None
        good = self._good
        self._change(self.jobs + 1)
        return f"{good} runs in a row were well inside their limits"

    def _change(self, jobs: int) -> None:
        self.jobs = jobs
        self._good = 0
        self._epoch += 1


class AutoExecutor:
    """Executes runs in another executor, as many at a time as this computer bears.

    Args:
        inner: Executes them.
        room: What fits at most.
        directory: The batch directory, whose batch.json tells what was decided.
        say: Takes one line for the user with each decision.
    """

    def __init__(self, inner: Executor, room: Room, directory: Path, *, say: Callable[[str], None]) -> None:
        self._inner = inner
        self._room = room
        self._file = directory / BATCH
        self._say = say
        self._governor = Governor(room.most)
        self._decisions: list[dict[str, Any]] = []
        self._ended = 0
        self._decide(f"one at a time to begin with, {room}")

    @property
    def name(self) -> str:
        """What the index calls it."""
        return self._inner.name

    @property
    def capacity(self) -> int:
        """How many runs at a time; changes."""
        return self._governor.jobs

    async def execute(self, job: Job) -> Attempt:
        """Execute one run, and learn from it."""
        epoch = self._governor.epoch
        attempt = await self._inner.execute(job)
        self._ended += 1
        why = self._governor.ended(judge((attempt.record or {}).get("fidelity")), epoch)
        if why is not None:
            self._decide(why)
        return attempt

    def _decide(self, why: str) -> None:
        jobs = self._governor.jobs
        self._decisions.append({"after_runs": self._ended, "jobs": jobs, "why": why})
        self._say(f"jobs: {jobs} at a time: {why}")
        try:
            record = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            record = {}
        record["jobs"] = {"asked": "auto", "jobs": jobs, "room": asdict(self._room), "decisions": self._decisions}
        write_whole(self._file, to_json(record))

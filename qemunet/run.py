"""One run, from its inputs to its finished run directory."""

from __future__ import annotations

import math
import signal
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from qemunet import __version__
from qemunet.errors import (
    CommandFailed,
    CommandTimeout,
    GuestError,
    HostError,
    QemunetError,
    SimulationError,
    TaskError,
    TopologyError,
)
from qemunet.experiment import Experiment, load_experiment, split_parameters
from qemunet.metrics import plain
from qemunet.plan import Plan, make_plan, plan_to_json
from qemunet.progress import Progress
from qemunet.results.fidelity import judge, limits_from_options
from qemunet.results.record import RunDirectory, this_process, to_json
from qemunet.signals import signals_cancel
from qemunet.topology import Topology, declared_parameters, read_topology, source_directory, write_topology
from qemunet.topology.sources import HUB

if TYPE_CHECKING:
    from qemunet.testbed import Testbed

EXIT_PASSED, EXIT_FAILED, EXIT_INPUT, EXIT_HOST, EXIT_EMULATION, EXIT_UNFAITHFUL = 0, 1, 2, 3, 4, 5

_EXIT_BY_LAYER = {
    "experiment": EXIT_FAILED,
    "task": EXIT_FAILED,
    "input": EXIT_INPUT,
    "host": EXIT_HOST,
    "guest": EXIT_EMULATION,
    "simulation": EXIT_EMULATION,
}


class RunTimeoutError(TaskError):
    """The whole run took longer than ``--timeout`` allows."""


class ExperimentLeftError(Exception):
    """The experiment left by SystemExit or KeyboardInterrupt instead of returning."""


@dataclass(frozen=True)
class RunRequest:
    """What a user asks for.

    Attributes:
        topology: A topology file or another source that ``read_topology`` knows.
        experiment: The experiment script.
        parameters: Names to text, of topology and experiment together.
        runs: Where run directories go.
        seed: Of every random stream; None takes the topology's option, else 1.
        timeout_s: Bound on the whole run in seconds, or None.
        keep: Leave the network running after the experiment until a signal comes.
        batch: For a run of a batch, its number (``run``) and which try at it this is (``attempt``), for run.json.
    """

    topology: str
    experiment: Path
    parameters: Mapping[str, str] = field(default_factory=dict)
    runs: Path = Path("runs")
    seed: int | None = None
    timeout_s: float | None = None
    keep: bool = False
    batch: Mapping[str, int] | None = None


@dataclass
class RunOutcome:
    """How a run ended: run.json's content, the exit status, the signal that ended it, the error itself."""

    record: dict[str, Any]
    exit_status: int
    signal: int | None = None
    error: BaseException | None = None


def run_experiment(request: RunRequest, *, progress: Progress) -> RunOutcome:
    """Run an experiment on a topology and leave a complete run directory.

    Raises:
        InputError: the inputs cannot be used; no run directory was made.
        HostError: the run directory cannot be written.
    """
    experiment = load_experiment(request.experiment)
    overrides, parameters = split_parameters(
        request.parameters, declared_parameters(request.topology), experiment.parameters
    )
    topology = read_topology(request.topology, parameters=overrides)
    seed = request.seed if request.seed is not None else int(topology.options.get("seed", 1))
    plan = make_plan(topology, seed=seed, source_directory=source_directory(request.topology))
    parameters = {**parameters, **{name: parameters.get(name, text) for name, text in topology.parameters.items()}}

    directory = RunDirectory.create(
        request.runs.resolve(),
        experiment.name,
        {
            "topology": topology.name,
            "parameters": parameters,
            "seed": seed,
            "request": _request_record(request),
            "batch": None if request.batch is None else dict(request.batch),
            "fidelity": None,
            "links": {},
            "pcaps": {},
            "qemunet": __version__,
            "process": this_process(),
        },
    )
    for warning in plan.warnings:
        progress.say(f"warning: {warning}")
    progress.say(f"run directory: {directory.path}")
    run = _Run(request, experiment, topology, plan, parameters, seed, directory, progress)
    try:
        directory.write("topology.txt", topology.text)
        directory.write("experiment.py", experiment.source)
        with suppress(TopologyError):  # a program may make one that no format can say
            directory.write("network.txt", write_topology(topology))
        directory.write("plan.json", to_json(plan_to_json(plan)))
        trio.run(run.main, restrict_keyboard_interrupt_to_checkpoints=True)
    except BaseException as error:
        # Whatever it was, run.json must tell it; what is not an error of the run's own leaves after that.
        run.caught = run.caught or error
        if not isinstance(error, Exception):
            run.finish()
            raise
    return run.finish()


class _Run:
    """The state of one run while it goes on."""

    def __init__(
        self,
        request: RunRequest,
        experiment: Experiment,
        topology: Topology,
        plan: Plan,
        parameters: dict[str, Any],
        seed: int,
        directory: RunDirectory,
        progress: Progress,
    ) -> None:
        self.request = request
        self.experiment = experiment
        self.topology = topology
        self.plan = plan
        self.parameters = parameters
        self.seed = seed
        self.directory = directory
        self.progress = progress
        self.signal: int | None = None
        self.caught: BaseException | None = None
        self.from_experiment = False
        self.returned = False
        self.metrics: dict[str, Any] = {}
        self.bed: Testbed | None = None

    async def main(self) -> None:
        """Run under the signals and the time-out of the whole."""
        limit_s = self.request.timeout_s if self.request.timeout_s is not None else math.inf
        with trio.CancelScope() as scope, signals_cancel(scope, self._note_signal):
            with trio.move_on_after(limit_s) as bound:
                try:
                    await self._emulate()
                except BaseExceptionGroup as group:
                    raise _main_cause(group) from None
            if bound.cancelled_caught and self.signal is None:
                self.caught = RunTimeoutError(
                    f"the run did not end within {limit_s:g} s", hint="give it more time with --timeout"
                )

    def _note_signal(self, number: int) -> None:
        self.signal = number
        self.progress.say(f"{signal.Signals(number).name}: ending the run")

    async def _emulate(self) -> None:
        from qemunet.testbed import open_testbed

        async with open_testbed(
            self.topology,
            self.plan,
            experiment=self.experiment,
            parameters=self.parameters,
            seed=self.seed,
            directory=self.directory,
            progress=self.progress,
        ) as bed:
            self.bed = bed
            with self.progress.step(f"experiment {self.experiment.name}"):
                try:
                    returned = await self.experiment.run(bed)
                except QemunetError:
                    raise
                except (SystemExit, KeyboardInterrupt) as error:
                    # Of its own making, or what ends blocking code after a signal; neither may end the teardown.
                    self.from_experiment = True
                    raise ExperimentLeftError(f"{type(error).__name__} {error}".rstrip()) from error
                except Exception:
                    self.from_experiment = True
                    raise
            self._take_metrics(returned)
            self.returned = True
            if self.request.keep:
                self.progress.say("--keep: the network stays up until Ctrl-C")
                await trio.sleep_forever()

    def _take_metrics(self, returned: object) -> None:
        if returned is None:
            returned = {}
        problem = None
        if not isinstance(returned, Mapping) or not all(isinstance(name, str) for name in returned):
            odd = [name for name in returned if not isinstance(name, str)] if isinstance(returned, Mapping) else []
            what = f"a dict with the name {odd[0]!r}, which is no text" if odd else type(returned).__name__
            problem = f"experiment returned {what}; a dict of metrics by their names (or nothing) is wanted"
        else:
            for name, value in returned.items():
                try:
                    self.metrics[name] = plain(value)
                except (TypeError, ValueError) as error:
                    problem = f"metric {name} cannot be written as JSON: {error}"
        if problem is not None:
            self.from_experiment = True
            raise TypeError(problem)

    def finish(self) -> RunOutcome:
        """Write the end of the run and say how it ended."""
        error = _main_cause(self.caught) if self.caught is not None else None
        if self.returned and self.request.keep and self.signal is not None:
            self.signal = None  # the signal ended the waiting, not the experiment
        fidelity = None
        passed: dict[str, Any] = {}
        metrics = self.metrics
        if self.bed is not None:
            metrics = {**self.bed.metrics, **metrics, **self.bed.extended}
            if self.bed.report is not None:
                from qemunet.testbed import links_record

                passed["links"] = links_record(self.topology.links, self.bed.report.counters)
                passed["pcaps"] = {name: asdict(pcap) for name, pcap in self.bed.report.pcaps.items()}
            if self.bed.measured is not None:
                fidelity = judge(self.bed.measured, limits_from_options(self.plan.options))
        status, verdict, layer, code = self._judge(error, faithful=fidelity is None or bool(fidelity["faithful"]))
        description = None
        if error is not None and layer is not None:
            description = {
                "layer": layer,
                "type": type(error).__name__,
                "message": _message(error, self.experiment.path),
                "hint": getattr(error, "hint", None),
                "node": getattr(error, "node", None),
            }
            if layer == "experiment":
                description["traceback"] = getattr(error, "traceback", None) or "".join(
                    traceback.format_exception(error)
                )
        self.directory.end(status, verdict=verdict, metrics=metrics, fidelity=fidelity, error=description, **passed)
        return RunOutcome(self.directory.record, code, signal=self.signal, error=error)

    def _judge(self, error: BaseException | None, *, faithful: bool) -> tuple[str, str | None, str | None, int]:
        """Status, verdict, layer of the error and exit status: the table of the README."""
        if self.signal is not None:
            return "interrupted", None, None, 128 + self.signal
        if error is None:
            verdict, layer, code = "passed", None, EXIT_PASSED
        elif isinstance(error, (AssertionError, CommandFailed, CommandTimeout, RunTimeoutError)):
            verdict, layer, code = "failed", "task" if isinstance(error, QemunetError) else "experiment", EXIT_FAILED
        elif isinstance(error, TaskError) or (self.from_experiment and not isinstance(error, QemunetError)):
            # What leaves a nursery of the experiment's own may still be the emulation's.
            return "error", None, "experiment", EXIT_FAILED
        elif isinstance(error, QemunetError):
            return "error", None, error.layer, _EXIT_BY_LAYER.get(error.layer, EXIT_EMULATION)
        else:
            return "error", None, "host", EXIT_EMULATION
        if not faithful:
            return "unfaithful", verdict, layer, EXIT_UNFAITHFUL
        return verdict, verdict, layer, code


def _request_record(request: RunRequest) -> dict[str, Any]:
    """What was asked for, as far as it takes to ask for the same again."""
    from_hub = request.topology.startswith(HUB)
    return {
        "topology": request.topology if from_hub else str(Path(request.topology).resolve()),
        "experiment": str(request.experiment.resolve()),
        "parameters": dict(request.parameters),
        "timeout_s": request.timeout_s,
    }


def _main_cause(error: BaseException) -> BaseException:
    """The exception that tells most of a group: the emulation's own failure before what followed from it."""
    leaves: list[BaseException] = []

    def collect(exception: BaseException) -> None:
        if isinstance(exception, BaseExceptionGroup):
            for inner in exception.exceptions:
                collect(inner)
        else:
            leaves.append(exception)

    collect(error)
    order: Sequence[type[BaseException]] = (SimulationError, HostError, GuestError, BaseException)
    for kind in order:
        for leaf in leaves:
            if isinstance(leaf, kind) and not isinstance(leaf, trio.Cancelled):
                return leaf
    return error


def _message(error: BaseException, experiment: Path) -> str:
    """An error in one line; what left the experiment's file without being qemunet's own says where."""
    if isinstance(error, QemunetError):
        return error.message
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(experiment)]
    where = f"{experiment}:{frames[-1].lineno}: " if frames else ""
    text = str(error) or (frames[-1].line if frames else "") or ""
    return f"{where}{type(error).__name__}: {text}".rstrip(": ")

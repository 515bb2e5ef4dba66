"""An experiment script: loading it, its parameters, its hooks.

The script is the user's: whatever it raises while it is loaded is an ExperimentError that names file, line and
column; what ``experiment(bed)`` raises later is told apart by ``qemunet.run``.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from qemunet.errors import ExperimentError, InputError

PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What -p and a topology's ``param`` take for a name."""


@dataclass(frozen=True)
class Experiment:
    """A loaded experiment script.

    Attributes:
        path: The file.
        name: Its name without ``.py``.
        source: Its text.
        parameters: Its PARAMETERS, names to defaults.
        run: ``async def experiment(bed)``.
        configure: ``def configure(node) -> str | None``, or None.
        extend: Whether it has ``extend(ns, network)``, which the ns-3 worker loads for itself.
    """

    path: Path
    name: str
    source: str
    parameters: Mapping[str, Any]
    run: Callable[[Any], Awaitable[Any]]
    configure: Callable[[Any], str | None] | None
    extend: bool


def load_experiment(path: Path) -> Experiment:
    """Load an experiment script.

    Raises:
        ExperimentError: no such file, a syntax error, an exception while it is loaded, no ``experiment``, PARAMETERS
            that cannot be set.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ExperimentError(f"{path}: cannot be read: {error.strerror}", hint="name an experiment file") from error
    except UnicodeDecodeError as error:
        raise ExperimentError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    spec = importlib.util.spec_from_loader(path.stem, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    # An experiment may import helpers that stand beside it, as a script started by Python may.
    folder = str(path.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102 - the script is the user's own program
    except SyntaxError as error:
        where = f"{error.filename}:{error.lineno or 0}:{error.offset or 0}"
        raise ExperimentError(f"{where}: {error.msg}", hint="mend the Python syntax") from error
    except (Exception, SystemExit) as error:
        line = next(
            (f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(path)), 0
        )
        raise ExperimentError(
            f"{path}:{line or 0}:1: does not load: {type(error).__name__}: {error}", hint="mend the experiment file"
        ) from error
    run = getattr(module, "experiment", None)
    if run is None or not callable(run):
        raise ExperimentError(
            f"{path}: has no function `experiment`", hint="write `async def experiment(bed): ...` in it"
        )
    if not inspect.iscoroutinefunction(run):
        raise ExperimentError(
            f"{path}:{_line(run)}:1: `experiment` is not a coroutine function",
            hint="write `async def experiment(bed):`",
        )
    if len(inspect.signature(run).parameters) != 1:
        raise ExperimentError(
            f"{path}:{_line(run)}:1: `experiment` takes {len(inspect.signature(run).parameters)} arguments, one is given",
            hint="write `async def experiment(bed):`",
        )
    parameters = getattr(module, "PARAMETERS", {})
    if not isinstance(parameters, Mapping) or not all(isinstance(name, str) for name in parameters):
        raise ExperimentError(f"{path}: PARAMETERS is {parameters!r}, a dict of names and defaults is wanted")
    unsettable = [
        f"{path}: PARAMETERS: {problem}"
        for name, default in parameters.items()
        for problem in _unsettable(name, default)
    ]
    if unsettable:
        raise ExperimentError(
            "\n".join(unsettable), hint="what `-p NAME=VALUE` cannot set is no parameter; use a constant"
        )
    configure = getattr(module, "configure", None)
    if configure is not None and not callable(configure):
        raise ExperimentError(f"{path}: `configure` is {configure!r}, a function of a node is wanted")
    return Experiment(
        path=path,
        name=path.stem,
        source=source,
        parameters=dict(parameters),
        run=run,
        configure=configure,
        extend=callable(getattr(module, "extend", None)),
    )


def _unsettable(name: str, default: Any) -> Iterator[str]:
    """Yield why ``-p`` could not set a parameter."""
    if not PARAMETER_NAME.fullmatch(name):
        yield f"{name!r}: a parameter's name has letters, digits and _ and does not begin with a digit"
    # Their very types, for a value given by -p is made by calling its default's. None means text.
    if default is not None and type(default) not in (str, int, float, bool):
        yield f"parameter {name} has a default of type {type(default).__name__}; use str, int, float, bool or None"


def _line(function: Callable[..., Any]) -> int:
    return function.__code__.co_firstlineno if hasattr(function, "__code__") else 1


def split_parameters(
    given: Mapping[str, str],
    topology: Mapping[str, str],
    experiment: Mapping[str, Any],
    places: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, str], dict[str, Any]]:
    """Give every ``-p NAME=VALUE`` to whoever declares NAME.

    Args:
        given: What the user set, as text.
        topology: The topology's parameters and their defaults, as text.
        experiment: The experiment's PARAMETERS.
        places: Where a name was set in a file, for messages.

    Returns:
        What to override in the topology (text), and the experiment's whole set: its own parameters in their default's
        type and those of the topology as text.

    Raises:
        InputError: a name nobody declares, a value that does not fit, two declarations that disagree.
    """
    problems = []
    known = {**topology, **experiment}
    for name in topology.keys() & experiment.keys():
        try:
            same = _convert(name, topology[name], experiment[name]) == experiment[name]
        except InputError:
            same = False
        if not same:
            problems.append(
                f"parameter {name} has default {topology[name]!r} in the topology and {experiment[name]!r} in the experiment"
            )
    values: dict[str, Any] = {**topology, **experiment}
    for name, text in given.items():
        place = f"{places[name]}: " if name in places else ""
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            suggestion = f"; did you mean {near[0]}?" if near else ""
            names = ", ".join(sorted(known)) or "none"
            problems.append(
                f"{place}parameter {name} is declared neither by the topology nor by the experiment{suggestion}"
                f" (known: {names})"
            )
            continue
        try:
            values[name] = _convert(name, text, experiment[name]) if name in experiment else text
        except InputError as error:
            problems.append(f"{place}{error.message}")
    if problems:
        correct = "the sweep" if places else "-p"
        raise InputError("\n".join(problems), hint=f"declare it by `param` or in PARAMETERS, or correct {correct}")
    return {name: text for name, text in given.items() if name in topology}, values


def _convert(name: str, text: str, default: Any) -> Any:
    kind = type(default)
    if default is None or kind is str:
        return text
    if kind is bool:
        words = {
            "yes": True,
            "true": True,
            "1": True,
            "on": True,
            "no": False,
            "false": False,
            "0": False,
            "off": False,
        }
        if text.lower() in words:
            return words[text.lower()]
        raise InputError(f"parameter {name}: {text!r} is neither yes nor no")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise InputError(f"parameter {name}: {text!r} is not {wanted}, as its default {default!r} is") from None
    raise InputError(
        f"parameter {name}: a default of type {kind.__name__} cannot be set by -p", hint="use str, int, float or bool"
    )

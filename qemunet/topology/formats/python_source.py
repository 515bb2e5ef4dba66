"""A topology made by a program: a Python file with ``def topology(**parameters) -> Topology``."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from qemunet.errors import TopologyError
from qemunet.topology.formats.expanded import rows
from qemunet.topology.lexer import Statement, Word
from qemunet.topology.model import Topology
from qemunet.topology.parameters import Parameters
from qemunet.topology.problems import Place, Problems, did_you_mean
from qemunet.topology.read import assemble

_FUNCTION = "topology"


def read(path: Path, text: str, *, parameters: Mapping[str, str]) -> Topology:
    """Run a file's ``topology`` and return what it makes, checked as a file of text would be.

    Raises:
        TopologyError: the file does not load, has no such function, the function fails, or what it returns is wrong.
    """
    function = _function(path, text)
    known = _declared(function)
    if not _takes_any(function):
        problems = Problems()
        given = Parameters(parameters, problems)
        given.values = known
        given.check_given(str(path))
        problems.raise_if_any()
    made = _call(function, path, parameters)
    problems = Problems()
    return assemble(
        _statements(made, Place(str(path), function.__code__.co_firstlineno, 1)),
        name=str(path),
        text=text,
        parameters={**known, **made.parameters, **parameters},
        problems=problems,
        warnings=[],
    )


def declared(path: Path, text: str) -> dict[str, str]:
    """Return the parameters of a file's ``topology`` with their defaults as text; none where it does not load.

    They are its arguments with a default. One that takes ``**parameters`` declares what the Topology says that it makes
    when it is given none.
    """
    try:
        function = _function(path, text)
        known = _declared(function)
        return {**_call(function, path, {}).parameters, **known} if _takes_any(function) else known
    except TopologyError:
        return {}


def _function(path: Path, text: str) -> Callable[..., Any]:
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    # It may import helpers that stand beside it, as a script started by Python may.
    folder = str(path.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with redirect_stdout(sys.stderr):  # standard output carries the results of qemunet's verbs only
            exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - the file is the user's own program
    except SyntaxError as error:
        message = f"{path}:{error.lineno or 1}:{error.offset or 1}: {error.msg}"
        raise TopologyError([message], hint="mend the Python syntax") from error
    except ValueError as error:  # a null byte
        raise TopologyError([f"{path}:1:1: is no Python: {error}"]) from error
    except (Exception, SystemExit) as error:
        raise _failure("does not load", path, error) from error
    function = getattr(module, _FUNCTION, None)
    if not inspect.isfunction(function):
        names = [name for name, value in vars(module).items() if inspect.isfunction(value)]
        near = did_you_mean(_FUNCTION, names)
        raise TopologyError(
            [f"{path}:1:1: has no function {_FUNCTION}{near}"],
            hint="write `def topology(**parameters) -> Topology:` in it",
        )
    return function


def _declared(function: Callable[..., Any]) -> dict[str, str]:
    return {
        name: str(parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty
    }


def _takes_any(function: Callable[..., Any]) -> bool:
    return any(one.kind is one.VAR_KEYWORD for one in inspect.signature(function).parameters.values())


def _call(function: Callable[..., Any], path: Path, parameters: Mapping[str, str]) -> Topology:
    try:
        with redirect_stdout(sys.stderr):
            made = function(**parameters)
    except TopologyError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure(f"{_FUNCTION}() failed", path, error) from error
    if not isinstance(made, Topology):
        place = f"{path}:{function.__code__.co_firstlineno}:1"
        raise TopologyError([f"{place}: {_FUNCTION}() returned {type(made).__name__}; it returns a Topology"])
    return made


def _failure(what: str, path: Path, error: BaseException) -> TopologyError:
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), 1)
    return TopologyError(
        [f"{path}:{line or 1}:1: {what}: {type(error).__name__}: {error}"], hint="mend the topology's program"
    )


def _statements(topology: Topology, function: Place) -> list[Statement]:
    """Return what a topology says as statements, at the places that it knows, else at the function's."""

    def statement(keyword: str, place: Place, words: list[tuple[str, str]], pairs: Mapping[str, str]) -> Statement:
        at = place if place.line else function
        return (
            Word(keyword, at),
            *(Word(text, at, role=role) for role, text in words),
            *(Word(f"{key}={text}", at, role="pair") for key, text in pairs.items()),
        )

    made = [
        statement("option", topology.option_places.get(key, function), [], {key: text})
        for key, text in topology.options.items()
    ]
    for node in topology.nodes.values():
        made.append(statement("node", node.place, [("name", node.name), ("type", node.type)], node.attributes))
    for row in rows(topology):
        link = row.link
        ends = [("name", text) for text in row.ends]
        name = {"name": row.name} if row.name else {}
        if row.is_lan:
            made.append(
                statement("lan", link.place, [("name", link.name), ("type", link.type), *ends], link.attributes)
            )
        else:
            made.append(statement("link", link.place, [*ends, ("type", link.type)], {**name, **link.attributes}))
    return made

"""The user's ``extend(ns, network)``, run inside the worker."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from qemunet.simulation.bindings import Namespace
from qemunet.simulation.builder import BuiltNetwork

_T = TypeVar("_T")


class ExtendNetwork:
    """What ``extend`` gets as ``network``: the plan's names, as objects of ns-3.

    Attributes:
        parameters: The run's parameters.
    """

    def __init__(self, ns: Namespace, built: BuiltNetwork, parameters: Mapping[str, Any]) -> None:
        self._ns = ns
        self._built = built
        self.parameters = parameters

    def node(self, name: str) -> Any:
        """The ns-3 node of this name (``Ptr<Node>``)."""
        return self._ns.NodeList.GetNode(_look_up(self._built.nodes, name, "node"))

    def device(self, name: str) -> Any:
        """The ns-3 device of an interface, named ``node:interface`` (``Ptr<NetDevice>``)."""
        node, index = _look_up(self._built.devices, name, "device")
        return self._ns.NodeList.GetNode(node).GetDevice(index)

    def channel(self, name: str) -> Any:
        """The ns-3 channel of a link (``Ptr<Channel>``)."""
        return self.device(_look_up(self._built.links, name, "link")).GetChannel()


def _look_up(names: Mapping[str, _T], name: str, what: str) -> _T:
    try:
        return names[name]
    except KeyError:
        raise LookupError(f"no {what} {name!r}; there are {', '.join(names) or 'none'}") from None


class Extension:
    """One ``extend``, a plain function or a generator function that yields once.

    Args:
        path: The experiment's file.
        parameters: The run's parameters.
        built: The network to extend.
    """

    def __init__(self, path: Path, parameters: Mapping[str, Any], built: BuiltNetwork) -> None:
        self._generator: Generator[Any, Any, Any] | None = None
        self._returned: Any = None
        extend = _load(path).extend
        ns = Namespace()
        result = extend(ns, ExtendNetwork(ns, built, parameters))
        if inspect.isgenerator(result):
            self._generator = result
            try:
                next(result)
            except StopIteration as end:
                self._generator, self._returned = None, end.value
        else:
            self._returned = result

    def finish(self) -> dict[str, Any]:
        """Run what follows the ``yield`` and return the metrics.

        Raises:
            TypeError: they are no dict.
            Exception: whatever ``extend`` raises.
        """
        if self._generator is not None:
            try:
                next(self._generator)
            except StopIteration as end:
                self._returned = end.value
            else:
                raise TypeError("extend yielded twice: it may yield once, where the run takes place")
        if self._returned is None:
            return {}
        if not isinstance(self._returned, dict):
            raise TypeError(f"extend returned {type(self._returned).__name__}, not a dict of metrics")
        return self._returned


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("qemunet_experiment", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # As for a script: what lies beside it can be imported.
    sys.path.insert(0, str(path.parent))
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module

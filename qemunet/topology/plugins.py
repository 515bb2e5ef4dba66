"""Types of nodes and links that other packages bring, by Python entry points.

A package names its types in the groups ``qemunet.node_types`` and ``qemunet.link_types``; each entry point is an object
of the registry's NodeType or LinkType. Their names are known at once, but a package is imported only when a topology
uses its type.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from functools import cached_property
from typing import Generic, TypeVar

from qemunet.errors import QemunetError

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


class BrokenTypeError(QemunetError):
    """A type that a package brings, and that cannot be used."""


class AnyOf:
    """What is in any of several collections."""

    def __init__(self, *parts: Container[str]) -> None:
        self._parts = parts

    def __contains__(self, name: object) -> bool:
        return any(name in part for part in self._parts)


class Types(Mapping[str, T], Generic[T]):
    """Types by name: the built-in ones, then those of other packages.

    Looking up a name that is another package's imports the package; BrokenTypeError says why that failed.

    Args:
        kind: ``node`` or ``link``.
        of: What an entry point has to be.
        built_in: Those that need no package.
    """

    def __init__(self, kind: str, of: type[T], built_in: Mapping[str, T]) -> None:
        self.group = f"qemunet.{kind}_types"
        self._of = of
        self._built_in = built_in
        self._loaded: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name in self._built_in:
            return self._built_in[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._entry_points

    def __iter__(self) -> Iterator[str]:
        yield from self._built_in
        yield from (name for name in self._entry_points if name not in self._built_in)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def why_not(self, name: str) -> str | None:
        """Why a type that is known cannot be used; None if it can."""
        try:
            self[name]
        except BrokenTypeError as error:
            return error.message
        return None

    def loadable(self) -> Iterator[T]:
        """All that can be used."""
        for name in self:
            if self.why_not(name) is None:
                yield self[name]

    def forget(self) -> None:
        """Look for packages again, as if none had been seen."""
        self._loaded.clear()
        self.__dict__.pop("_entry_points", None)

    @cached_property
    def _entry_points(self) -> Mapping[str, list[tuple[str, object]]]:
        """Name -> each entry point of that name, with the package that it is of."""
        from importlib.metadata import entry_points

        found: dict[str, list[tuple[str, object]]] = {}
        for entry in entry_points(group=self.group):
            package = entry.dist.name if entry.dist is not None else entry.value
            if (package, entry) not in found.setdefault(entry.name, []):
                found[entry.name].append((package, entry))
        return found

    def _load(self, name: str) -> T:
        entries = self._entry_points.get(name)
        if not entries:
            raise KeyError(name)
        package, entry = entries[0]
        what = f"type {name} of package {package} (entry point {getattr(entry, 'value', '')} in group {self.group})"
        if len(entries) > 1:
            packages = ", ".join(sorted(package for package, _ in entries))
            raise BrokenTypeError(f"type {name} is brought by several packages ({packages}); remove all but one")
        if not _NAME.fullmatch(name):
            rule = "a name begins with a letter and has up to 32 letters, digits, - and _"
            raise BrokenTypeError(f"{what} cannot be used: {rule}")
        try:
            loaded = entry.load()  # type: ignore[attr-defined]
        except Exception as error:
            raise BrokenTypeError(f"{what} cannot be loaded: {type(error).__name__}: {error}") from error
        if not isinstance(loaded, self._of):
            raise BrokenTypeError(
                f"{what} is {type(loaded).__name__}, not {self._of.__name__} of qemunet.topology.registry"
            )
        problem = self._problem(loaded)
        if problem:
            raise BrokenTypeError(f"{what} {problem}")
        return loaded

    def _problem(self, loaded: T) -> str | None:
        """What a type lacks that is not built in."""
        build = getattr(loaded, "build", None)
        if not isinstance(build, str) or not re.fullmatch(r"[\w.]+:\w+", build):
            return "has no build: the function that makes it in ns-3, as package.module:function"
        if getattr(loaded, "role", None) == "guest":
            return "has role guest; other packages bring the roles host, router and bridge"
        return None

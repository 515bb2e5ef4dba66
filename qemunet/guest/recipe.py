"""Recipes of guest images: YAML files that say what an image holds, and nothing of how it is built.

The keys are described in ``guest-images/README.md``. A recipe is read strictly: every scalar is text (YAML's ``yes``
and ``010`` stay what was written), an unknown or repeated key is an error, and all mistakes are reported at once with
their line and column.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from qemunet.errors import InputError

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_KEYS = ("description", "architectures", "packages", "modules", "applets", "directories", "links", "files")
_ARCHITECTURE_KEYS = ("debian", "kernel")
_FILE_KEYS = ("text", "source", "mode")


@dataclass(frozen=True)
class Architecture:
    """What an architecture is to Debian.

    Attributes:
        name: qemunet's and QEMU's name: ``x86_64``, ``aarch64``.
        debian: Debian's name: ``amd64``, ``arm64``.
        kernel: Package with the kernel, or one that depends on it.
    """

    name: str
    debian: str
    kernel: str


@dataclass(frozen=True)
class ImageFile:
    """A file written by the recipe itself: ``content`` under ``mode``."""

    content: bytes
    mode: int


@dataclass(frozen=True)
class Recipe:
    """A recipe as read.

    Attributes:
        name: Name of the image.
        path: The file.
        architectures: By name.
        packages: Debian package -> patterns of the files taken from it (paths without a leading ``/``). The shared
            libraries that those need come without being named.
        modules: Kernel modules, with all that they depend on.
        load: Those of ``modules`` that are loaded at boot, in order.
        applets: Path of a busybox; a link stands for each of its applets that no package provides.
        directories: Path -> mode.
        links: Path -> target.
        files: Path -> file.
    """

    name: str
    path: Path
    description: str
    architectures: Mapping[str, Architecture]
    packages: Mapping[str, tuple[str, ...]]
    modules: tuple[str, ...] = ()
    load: tuple[str, ...] = ()
    applets: str | None = None
    directories: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, ImageFile] = field(default_factory=dict)
    digest: str = ""


class _Reader:
    """Walks the nodes of one YAML document and gathers what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []

    def wrong(self, node: yaml.Node, message: str) -> None:
        mark = node.start_mark
        self.problems.append(f"{self.path}:{mark.line + 1}:{mark.column + 1}: {message}")

    def mapping(self, node: yaml.Node, what: str, known: Iterable[str] | None = None) -> dict[str, yaml.Node]:
        """The entries of a mapping; ``known`` are the keys allowed, None for any."""
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"{what} must be a mapping of NAME: VALUE")
            return {}
        names = None if known is None else list(known)
        entries: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = self.text(key_node, f"a key of {what}")
            if key in entries:
                self.wrong(key_node, f"{what}: '{key}' is given twice")
            elif names is not None and key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                also = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(names)}"
                self.wrong(key_node, f"{what}: unknown key '{key}'{also}")
            else:
                entries[key] = value
        return entries

    def text(self, node: yaml.Node, what: str) -> str:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.wrong(node, f"{what} must be plain text")
        return ""

    def words(self, node: yaml.Node, what: str) -> tuple[str, ...]:
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"{what} must be a list")
            return ()
        return tuple(self.text(item, f"an item of {what}") for item in node.value)

    def mode(self, node: yaml.Node, what: str) -> int:
        value = self.text(node, what)
        if not re.fullmatch(r"0?[0-7]{3,4}", value):
            self.wrong(node, f"{what}: '{value}' is no mode; write it in octal, as 0755")
            return 0
        return int(value, 8)

    def place(self, node: yaml.Node, path: str) -> str:
        """A path in the image, checked: relative, without ``..``."""
        if not path or path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
            self.wrong(node, f"'{path}' must be a path without a leading '/', '.' or '..'")
        return path


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        InputError: It cannot be read, or holds mistakes; the message has a line ``file:line:column: …`` for each.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        root = yaml.compose(source.decode(), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text at byte {error.start}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise InputError(f"{path}{place}: not valid YAML: {error.problem}") from error
    if root is None:
        raise InputError(f"{path}: the recipe is empty")
    reader = _Reader(path)
    recipe = _recipe(reader, root, source)
    if reader.problems:
        raise InputError("\n".join(reader.problems), hint="guest-images/README.md describes the keys of a recipe")
    return recipe


def _recipe(reader: _Reader, root: yaml.Node, source: bytes) -> Recipe:
    path = reader.path
    name = path.stem
    if not _NAME.fullmatch(name):
        reader.wrong(root, f"the file's name gives the image's: '{name}' must match {_NAME.pattern}")
    top = reader.mapping(root, "the recipe", _KEYS)
    for key in ("architectures", "packages"):
        if isinstance(root, yaml.MappingNode) and key not in top:
            reader.wrong(root, f"'{key}' is missing")
    architectures: dict[str, Architecture] = {}
    if node := top.get("architectures"):
        for arch, value in reader.mapping(node, "architectures").items():
            entries = reader.mapping(value, arch, _ARCHITECTURE_KEYS)
            texts = {key: reader.text(entry, f"{arch}: {key}") for key, entry in entries.items()}
            for key in _ARCHITECTURE_KEYS:
                if key not in texts:
                    reader.wrong(value, f"{arch}: '{key}' is missing")
            architectures[arch] = Architecture(arch, texts.get("debian", ""), texts.get("kernel", ""))
    packages: dict[str, tuple[str, ...]] = {}
    if node := top.get("packages"):
        for package, value in reader.mapping(node, "packages").items():
            packages[package] = reader.words(value, f"the files of package {package}")
    modules, load = _modules(reader, top.get("modules"))
    directories: dict[str, int] = {}
    if node := top.get("directories"):
        for target, value in reader.mapping(node, "directories").items():
            directories[reader.place(value, target)] = reader.mode(value, f"mode of {target}")
    links: dict[str, str] = {}
    if node := top.get("links"):
        for target, value in reader.mapping(node, "links").items():
            links[reader.place(value, target)] = reader.text(value, f"target of {target}")
    files: dict[str, ImageFile] = {}
    if node := top.get("files"):
        for target, value in reader.mapping(node, "files").items():
            files[reader.place(value, target)] = _file(reader, value, target)
    hasher = hashlib.sha256(source)
    for target in sorted(files):
        hasher.update(f"\0{target}\0{files[target].mode}\0{len(files[target].content)}\0".encode())
        hasher.update(files[target].content)
    return Recipe(
        name=name,
        path=path,
        description=reader.text(top["description"], "description").strip() if "description" in top else "",
        architectures=architectures,
        packages=packages,
        modules=modules,
        load=load,
        applets=reader.text(top["applets"], "applets") if "applets" in top else None,
        directories=directories,
        links=links,
        files=files,
        digest=hasher.hexdigest(),
    )


def _modules(reader: _Reader, node: yaml.Node | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All modules, and those loaded at boot."""
    if node is None:
        return (), ()
    entries = reader.mapping(node, "modules", ("load", "include"))
    load, include = (
        reader.words(entries[key], f"modules: {key}") if key in entries else () for key in ("load", "include")
    )
    return (*load, *include), load


def _file(reader: _Reader, node: yaml.Node, target: str) -> ImageFile:
    entries = reader.mapping(node, target, _FILE_KEYS)
    mode = reader.mode(entries["mode"], f"mode of {target}") if "mode" in entries else 0o644
    if ("text" in entries) == ("source" in entries):
        if isinstance(node, yaml.MappingNode):
            reader.wrong(node, f"{target}: give either 'text' or 'source', a file beside the recipe")
        return ImageFile(b"", mode)
    if "text" in entries:
        return ImageFile(reader.text(entries["text"], f"text of {target}").encode(), mode)
    source = reader.path.parent / reader.text(entries["source"], f"source of {target}")
    try:
        return ImageFile(source.read_bytes(), mode)
    except OSError as error:
        reader.wrong(entries["source"], f"{target}: {source} cannot be read: {error.strerror}")
        return ImageFile(b"", mode)

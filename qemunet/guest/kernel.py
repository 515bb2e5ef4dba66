"""Kernels and their modules, read out of an unpacked Debian kernel package of any architecture."""

from __future__ import annotations

import difflib
import lzma
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qemunet.errors import InputError
from qemunet.guest.elf import module_info


@dataclass(frozen=True)
class KernelModules:
    """Modules as they stand under ``/lib/modules/RELEASE``.

    Attributes:
        release: As ``uname -r`` says it.
        files: Path -> content, uncompressed.
        tables: ``modules.dep``, ``modules.alias``, …: what ``depmod`` would write.
    """

    release: str
    files: Mapping[str, bytes]
    tables: Mapping[str, str]


def kernel_modules(tree: Path, names: Iterable[str], *, recipe: Path) -> KernelModules:
    """Find modules and all that they depend on.

    Args:
        tree: The unpacked package.
        names: Modules wanted; those built into the kernel count as found.
        recipe: For the message.

    Raises:
        InputError: The kernel has no such module.
    """
    base = next(iter([*tree.glob("usr/lib/modules/*"), *tree.glob("lib/modules/*")]), None)
    if base is None:
        raise InputError(f"{recipe}: the kernel's package has no modules")
    paths = {_module_name(path.name): path for path in sorted(base.rglob("*.ko*"))}
    builtin = {_module_name(Path(line).name) for line in (base / "modules.builtin").read_text().split()}
    contents: dict[str, bytes] = {}
    depends: dict[str, tuple[str, ...]] = {}
    aliases: list[str] = []
    waiting = [name.replace("-", "_") for name in names]
    while waiting:
        name = waiting.pop()
        if name in contents or name in builtin:
            continue
        if name not in paths:
            near = difflib.get_close_matches(name, [*paths, *builtin], n=1)
            also = f"; did you mean '{near[0]}'?" if near else ""
            raise InputError(f"{recipe}: kernel {base.name} has no module '{name}'{also}")
        contents[name] = _uncompressed(paths[name])
        info = module_info(contents[name])
        depends[name] = tuple(
            word.replace("-", "_") for line in info.get("depends", ()) for word in line.split(",") if word
        )
        aliases += [f"alias {alias} {name}\n" for alias in info.get("alias", ())]
        waiting += depends[name]
    places = {name: re.sub(r"\.ko\..*$", ".ko", str(paths[name].relative_to(base))) for name in contents}
    dependencies = [
        f"{places[name]}:{''.join(f' {places[other]}' for other in _order(name, depends))}\n"
        for name in sorted(contents)
    ]
    return KernelModules(
        release=base.name,
        files={places[name]: contents[name] for name in sorted(contents)},
        tables={
            "modules.dep": "".join(dependencies),
            "modules.alias": "".join(sorted(aliases)),
            "modules.builtin": (base / "modules.builtin").read_text(),
        },
    )


def _module_name(file: str) -> str:
    return file.split(".ko", 1)[0].replace("-", "_")


def _order(name: str, depends: Mapping[str, tuple[str, ...]]) -> list[str]:
    """All that a module depends on, each before what it depends on itself, as ``modules.dep`` has it."""
    order: list[str] = []

    def visit(module: str) -> None:
        for other in depends.get(module, ()):
            if other in depends:
                if other in order:
                    order.remove(other)
                order.append(other)
                visit(other)

    visit(name)
    return order


def _uncompressed(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name.endswith(".ko"):
        return content
    if path.name.endswith(".ko.xz"):
        return lzma.decompress(content)
    raise InputError(f"{path.name}: this compression of kernel modules is not known; known are .ko and .ko.xz")

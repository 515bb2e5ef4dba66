"""Builds an image from a recipe: Debian packages in, a kernel and an initramfs out.

No root is needed and nothing of the image is run, so that any architecture can be built on any other.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from qemunet.errors import HostError, InputError
from qemunet.guest.apt import Apt, Package
from qemunet.guest.cpio import Archive
from qemunet.guest.elf import read_elf
from qemunet.guest.files import cache_directory, locked, require_program
from qemunet.guest.kernel import kernel_modules
from qemunet.guest.recipe import Architecture, Recipe
from qemunet.progress import Progress

BUILDER_VERSION = "1"
"""Part of each image's hash: to be raised when the same recipe gives another image."""

_MERGED = ("bin", "sbin", "lib", "lib64")


def build(recipe: Recipe, arch: str, *, into: Path, progress: Progress) -> None:
    """Build ``kernel``, ``initrd`` and ``manifest.json`` in the directory ``into``, which must be empty.

    Raises:
        InputError: The recipe asks for what the packages do not have.
        MissingRequirement: A program is missing on the host.
        HostError: A download failed.
    """
    require_program("dpkg-deb", package="dpkg")
    require_program("lz4", package="lz4")
    architecture = recipe.architectures[arch]
    store = cache_directory() / "packages" / architecture.debian
    with locked(store / "lock", f"fetching packages for {architecture.debian}", progress):
        apt = Apt(store, architecture.debian)
        apt.update(progress)
        with progress.step(f"packages that {recipe.name} needs for {architecture.debian}"):
            kernel = _kernel_package(apt, architecture)
            named = apt.find(recipe.packages)
            packages = [*named.values(), *_libraries(apt, named.values())]
        archives = apt.download([kernel, *packages], progress)
        with progress.step(f"image {recipe.name} for {arch}") as step:
            step.update(text="unpacking")
            trees = into / "trees"
            system = _Tree(recipe)
            for package in packages:
                system.add(package.name, _unpack(archives[package.name], trees / package.name))
            kernel_tree = _unpack(archives[kernel.name], trees / kernel.name)
            step.update(text="packing")
            archive = system.select()
            release = _add_modules(archive, recipe, kernel_tree)
            _add_own(archive, recipe, system)
            _write_initrd(archive, into / "initrd")
            shutil.copyfile(kernel_tree / "boot" / f"vmlinuz-{release}", into / "kernel")
            manifest = {
                "image": recipe.name,
                "arch": arch,
                "description": recipe.description,
                "kernel_release": release,
                "packages": {package.name: package.version for package in [kernel, *packages]},
            }
            (into / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
            shutil.rmtree(trees)


def _kernel_package(apt: Apt, architecture: Architecture) -> Package:
    """The package that holds the kernel; Debian's ``linux-image-cloud-amd64`` only depends on it."""
    package = apt.find([architecture.kernel])[architecture.kernel]
    for name in package.depends:
        if re.match(r"linux-image-\d", name):
            return apt.find([name])[name]
    return package


def _libraries(apt: Apt, packages: Iterable[Package]) -> list[Package]:
    """The library packages that these depend on, over any number of steps."""
    known = {package.name for package in packages}
    found: list[Package] = []
    wanted = {name for package in packages for name in package.depends} - known
    while wanted:
        known |= wanted
        libraries = [package for package in apt.show(wanted).values() if package.section == "libs"]
        found += libraries
        wanted = {name for package in libraries for name in package.depends} - known
    return sorted(found, key=lambda package: package.name)


def _unpack(archive: Path, target: Path) -> Path:
    target.mkdir(parents=True)
    done = subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HostError(f"dpkg-deb cannot unpack {archive.name}: {done.stderr.strip()}", hint="is the disk full?")
    return target


def _place(path: str) -> str:
    """Where a package's file stands in the image, in which /bin, /sbin, /lib and /lib64 are links into /usr."""
    path = path.lstrip("/")
    if path.split("/", 1)[0] in _MERGED:
        path = f"usr/{path}"
    return re.sub("^usr/sbin/", "usr/bin/", path)


class _Tree:
    """The files of all unpacked packages, and the choice of those that the image needs."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._files: dict[str, Path] = {}
        self._of_package: dict[str, list[str]] = {}

    def add(self, package: str, root: Path) -> None:
        places = self._of_package.setdefault(package, [])
        for path in sorted(root.rglob("*")):
            if path.is_symlink() or not path.is_dir():
                place = _place(str(path.relative_to(root)))
                # Such as /sbin/ip -> /bin/ip, which are one file here.
                if path.is_symlink() and _place(_resolve(place, str(path.readlink()))) == place:
                    continue
                self._files[place] = path
                places.append(place)

    def select(self) -> Archive:
        """The files that the recipe names, what their links point at, and every library they are linked with."""
        archive = Archive()
        for name in _MERGED:
            archive.link(name, f"usr/{name}")
            archive.directory(f"usr/{name}")
        archive.link("usr/sbin", "bin")
        waiting = self._named()
        libraries = {place.rpartition("/")[2]: place for place in sorted(self._files, reverse=True) if _library(place)}
        while waiting:
            place = waiting.pop()
            if place in archive:
                continue
            path = self._files[place]
            if path.is_symlink():
                target = path.readlink()
                archive.link(place, str(target))
                pointed = _place(_resolve(place, str(target)))
                if pointed in self._files:
                    waiting.append(pointed)
                continue
            content = path.read_bytes()
            archive.file(place, content, path.stat().st_mode & 0o7777)
            waiting += self._needs(place, content, libraries)
        return archive

    def _named(self) -> list[str]:
        found: list[str] = []
        for package, patterns in self._recipe.packages.items():
            for pattern in patterns:
                matches = fnmatch.filter(self._of_package[package], _place(pattern))
                if not matches:
                    raise InputError(f"{self._recipe.path}: package {package} has no file '{pattern}'")
                found += matches
        return found

    def _needs(self, place: str, content: bytes, libraries: Mapping[str, str]) -> list[str]:
        elf = read_elf(content)
        if elf is None:
            return []
        needed = [libraries.get(name) or name for name in elf.needed]
        if elf.interpreter is not None:
            needed.append(_place(elf.interpreter))
        for name in needed:
            if name not in self._files:
                raise InputError(
                    f"{self._recipe.path}: /{place} needs {name}, which none of its library packages has",
                    hint="name the package that has it under 'packages'",
                )
        return needed

    def content(self, place: str) -> bytes | None:
        """Content of a package's file, links followed within the image."""
        for _ in range(10):
            path = self._files.get(place)
            if path is None:
                return None
            if not path.is_symlink():
                return path.read_bytes()
            place = _place(_resolve(place, str(path.readlink())))
        return None


def _write_initrd(archive: Archive, path: Path) -> None:
    """Write the initramfs compressed by lz4: of what the kernel reads, by far the fastest to unpack under emulation."""
    plain = path.with_suffix(".cpio")
    with plain.open("wb") as stream:
        archive.write(stream)
    done = subprocess.run(
        ["lz4", "-q", "-l", "-9", "-f", str(plain), str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise HostError(f"lz4 cannot compress the initramfs: {done.stderr.strip()}", hint="is the disk full?")
    plain.unlink()


def _library(place: str) -> bool:
    """Whether the dynamic loader looks there without being told."""
    return re.fullmatch(r"usr/lib(64)?/([^/]+-linux-gnu[^/]*/)?[^/]+\.so(\.[^/]+)?", place) is not None


def _resolve(place: str, target: str) -> str:
    """A link's target as a path in the image."""
    parts = [] if target.startswith("/") else place.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _add_modules(archive: Archive, recipe: Recipe, kernel_tree: Path) -> str:
    """Put the kernel's modules into the image; returns the kernel's release."""
    modules = kernel_modules(kernel_tree, recipe.modules, recipe=recipe.path)
    base = f"usr/lib/modules/{modules.release}"
    for path, content in modules.files.items():
        archive.file(f"{base}/{path}", content)
    for name, text in modules.tables.items():
        archive.file(f"{base}/{name}", text.encode())
    archive.file("etc/modules", "".join(f"{name}\n" for name in recipe.load).encode())
    return modules.release


def _add_own(archive: Archive, recipe: Recipe, system: _Tree) -> None:
    """What the recipe itself gives: directories, links, files, the links of busybox."""
    for place, mode in recipe.directories.items():
        archive.directory(_place(place), mode)
    for place, target in recipe.links.items():
        archive.link(_place(place), target)
    for place, file in recipe.files.items():
        archive.file(_place(place), file.content, file.mode)
    # The kernel opens it for /init before anything is mounted.
    archive.character_device("dev/console", 5, 1)
    if recipe.applets is not None:
        for applet in _applets(recipe, system):
            if f"usr/bin/{applet}" not in archive:
                archive.link(f"usr/bin/{applet}", f"/{_place(recipe.applets)}")


def _applets(recipe: Recipe, system: _Tree) -> list[str]:
    """The names of busybox's applets, read from the table inside it as it may be for another architecture."""
    content = system.content(_place(recipe.applets or "")) or b""
    start = content.find(b"\0[\0[[\0")
    names = content[start + 1 : content.find(b"\0\0", start)].decode(errors="replace").split("\0") if start >= 0 else []
    if len(names) < 20 or not all(re.fullmatch(r"\[\[?|[a-z0-9_.-]+", name) for name in names):
        raise InputError(f"{recipe.path}: applets: '{recipe.applets}' is no busybox with a table of applets")
    return names

"""The cache of guest images: built once, found again by the hash of what they were built from.

An image stands in ``<cache>/images/<name>-<arch>-<hash>/`` as ``kernel``, ``initrd`` and ``manifest.json``. It gets
its name only when it is whole, so that what is there can be used without looking further, in microseconds and without
a network. All functions may be called from any thread and from any number of processes at once.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from qemunet.errors import HostError, InputError
from qemunet.guest import build as builder
from qemunet.guest.files import cache_directory, locked
from qemunet.guest.recipe import Recipe, read_recipe
from qemunet.progress import NoProgress, Progress


@dataclass(frozen=True)
class ImageFiles:
    """An image that can be booted.

    Attributes:
        digest: Hash of what it was built from, as in the name of its directory.
    """

    kernel: Path
    initrd: Path
    digest: str


@dataclass(frozen=True)
class ImageInfo:
    """What ``qemunet image list`` says of an image.

    Attributes:
        name, arch: Of the image.
        description: From its recipe.
        directory: Where it is, or would be.
        built: Whether it is there.
        size_bytes: 0 if it is not.
    """

    name: str
    arch: str
    description: str
    directory: Path
    built: bool
    size_bytes: int


def recipe_directory() -> Path:
    """The recipes that come with qemunet: in the source tree, or installed beside the package."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "guest-images"
    return installed if installed.is_dir() else package.parent / "guest-images"


def find_recipe(name: str) -> Recipe:
    """The recipe of an image.

    Args:
        name: A name (``tiny``), or the path of a recipe (``my/router.yaml``).

    Raises:
        InputError: There is no such recipe, or it has mistakes.
    """
    if name.endswith((".yaml", ".yml")):
        return read_recipe(Path(name))
    path = recipe_directory() / f"{name}.yaml"
    known = sorted(recipe.stem for recipe in recipe_directory().glob("*.yaml"))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        also = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
        raise InputError(
            f"no image '{name}'; {also}", hint="a recipe of your own is named by its path, ending in .yaml"
        )
    return read_recipe(path)


def image_files(name: str, arch: str, *, progress: Progress) -> ImageFiles:
    """The files of an image, which is built first if it is not there. Blocks: to be called in a thread.

    Raises:
        InputError: There is no such image, or not for this architecture.
        MissingRequirement: A program that building needs is missing.
        HostError: A download failed.
    """
    recipe = find_recipe(name)
    target = _directory(recipe, arch)
    if not target.is_dir():
        _build(recipe, arch, target, progress, again=False)
    return _files(target)


def build_image(name: str, arch: str, *, progress: Progress) -> ImageFiles:
    """Build an image from today's packages even if it is there. Blocks; raises as ``image_files``."""
    recipe = find_recipe(name)
    target = _directory(recipe, arch)
    _build(recipe, arch, target, progress, again=True)
    return _files(target)


def list_images() -> list[ImageInfo]:
    """All images that qemunet has recipes of, by name and architecture."""
    images = []
    for path in sorted(recipe_directory().glob("*.yaml")):
        recipe = read_recipe(path)
        for arch in recipe.architectures:
            directory = _directory(recipe, arch)
            built = directory.is_dir()
            size = sum(file.stat().st_size for file in directory.iterdir()) if built else 0
            images.append(ImageInfo(recipe.name, arch, recipe.description, directory, built, size))
    return images


def architectures(name: str) -> tuple[str, ...]:
    """The architectures that an image can be built for.

    Raises:
        InputError: There is no such image.
    """
    return tuple(find_recipe(name).architectures)


def remove_image(name: str, arch: str | None = None) -> list[Path]:
    """Remove what was built of an image, older states of its recipe included; returns the directories removed.

    Args:
        name: Of the image.
        arch: Only for this architecture.

    Raises:
        InputError: There is no such image.
        HostError: It cannot be removed.
    """
    recipe = find_recipe(name)
    removed = []
    for each in recipe.architectures if arch is None else [arch]:
        with _locked(recipe, each, NoProgress()):
            for path in _images_directory().glob(f"{recipe.name}-{each}-*"):
                if re.fullmatch(r"[0-9a-f]{16}", path.name.rpartition("-")[2]):
                    try:
                        shutil.rmtree(path)
                    except OSError as error:
                        raise HostError(f"{path} cannot be removed: {error.strerror}") from error
                    removed.append(path)
    return sorted(removed)


def _images_directory() -> Path:
    return cache_directory() / "images"


def _directory(recipe: Recipe, arch: str) -> Path:
    if arch not in recipe.architectures:
        raise InputError(
            f"image '{recipe.name}' has no architecture '{arch}'; it has {', '.join(recipe.architectures)}",
            hint=f"add it to {recipe.path}",
        )
    key = f"{builder.BUILDER_VERSION}\0{arch}\0{recipe.digest}".encode()
    return _images_directory() / f"{recipe.name}-{arch}-{hashlib.sha256(key).hexdigest()[:16]}"


def _files(directory: Path) -> ImageFiles:
    return ImageFiles(directory / "kernel", directory / "initrd", directory.name.rpartition("-")[2])


def _locked(recipe: Recipe, arch: str, progress: Progress) -> AbstractContextManager[None]:
    lock = _images_directory() / f".{recipe.name}-{arch}.lock"
    return locked(lock, f"building image {recipe.name} for {arch}", progress)


def _build(recipe: Recipe, arch: str, target: Path, progress: Progress, *, again: bool) -> None:
    with _locked(recipe, arch, progress):
        if target.is_dir() and not again:
            return  # built by the one we waited for
        prefix = f".{recipe.name}-{arch}.building-"
        # We hold the lock: whoever left these is dead.
        for stale in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(stale, ignore_errors=True)
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix))
        try:
            builder.build(recipe, arch, into=work, progress=progress)
            work.chmod(0o755)
            if target.is_dir():
                os.replace(target, work / "replaced")
            os.replace(work, target)
            shutil.rmtree(target / "replaced", ignore_errors=True)
        finally:
            shutil.rmtree(work, ignore_errors=True)

"""Recipes of images: what is read, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from qemunet.errors import InputError
from qemunet.guest.images import find_recipe, list_images
from qemunet.guest.recipe import Recipe, read_recipe

GOOD = """\
description: a router
architectures:
  x86_64: {debian: amd64, kernel: linux-image-cloud-amd64}
packages:
  busybox: [usr/bin/busybox]
modules: {load: [virtio_net], include: [tun]}
links: {bin/yes: no}
directories: {tmp: 1777}
files:
  etc/motd: {text: hello}
  etc/rc: {source: rc, mode: 0755}
"""


def read(tmp_path: Path, text: str, name: str = "router") -> Recipe:
    (tmp_path / "rc").write_text("#!/bin/sh\n")
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return read_recipe(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    return caught.value.message.replace(f"{tmp_path}/", "").splitlines()


def test_what_is_read(tmp_path: Path) -> None:
    recipe = read(tmp_path, GOOD)
    assert recipe.name == "router"
    assert recipe.architectures["x86_64"].debian == "amd64"
    assert recipe.packages == {"busybox": ("usr/bin/busybox",)}
    assert recipe.modules == ("virtio_net", "tun")
    assert recipe.load == ("virtio_net",)
    assert recipe.links == {"bin/yes": "no"}
    assert recipe.directories == {"tmp": 0o1777}
    assert (recipe.files["etc/motd"].content, recipe.files["etc/motd"].mode) == (b"hello", 0o644)
    assert (recipe.files["etc/rc"].content, recipe.files["etc/rc"].mode) == (b"#!/bin/sh\n", 0o755)


def test_digest_covers_the_files(tmp_path: Path) -> None:
    first = read(tmp_path, GOOD).digest
    assert read(tmp_path, GOOD).digest == first
    assert read(tmp_path, GOOD.replace("hello", "hallo")).digest != first
    (tmp_path / "rc").write_text("#!/bin/sh\ntrue\n")
    assert read_recipe(tmp_path / "router.yaml").digest != first


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("packages:", "package:"), "4:1: the recipe: unknown key 'package'; did you mean 'packages'?"),
        (("files:", "links:"), "9:1: the recipe: 'links' is given twice"),
        (("debian: amd64", "debian: amd64, debian: arm64"), "3:27: x86_64: 'debian' is given twice"),
        (("debian: amd64, ", ""), "3:11: x86_64: 'debian' is missing"),
        (("[usr/bin/busybox]", "usr/bin/busybox"), "5:12: the files of package busybox must be a list"),
        (("[tun]", "[[tun]]"), "6:41: an item of modules: include must be plain text"),
        (("mode: 0755", "mode: rwx"), "11:30: mode of etc/rc: 'rwx' is no mode; write it in octal, as 0755"),
        (("etc/motd", "/etc/motd"), "10:14: '/etc/motd' must be a path without a leading '/', '.' or '..'"),
        (("{text: hello}", "{text: hello, source: rc}"), "10:13: etc/motd: give either 'text' or 'source'"),
    ],
)
def test_mistakes(change: tuple[str, str], expected: str, tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD.replace(*change))
    assert any(line.startswith(f"router.yaml:{expected}") for line in found), found


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD.replace("tmp: 1777", "tmp: 9").replace("kernel:", "kernl:"))
    assert len(found) == 3


@pytest.mark.parametrize("text", ["", "just text", "a: [1", "a: b: c", "- a"])
def test_no_recipe_at_all(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text)


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_recipe(tmp_path / "none.yaml")
    assert "router.yaml:11:20: etc/rc:" in problems(tmp_path, GOOD.replace("source: rc", "source: none"))[0]


def test_shipped_recipes() -> None:
    assert {(image.name, image.arch) for image in list_images()} >= {("tiny", "x86_64"), ("tiny", "aarch64")}
    with pytest.raises(InputError, match="did you mean 'tiny'"):
        find_recipe("tinny")


def test_recipe_by_path(tmp_path: Path) -> None:
    read(tmp_path, GOOD)
    assert find_recipe(str(tmp_path / "router.yaml")).name == "router"

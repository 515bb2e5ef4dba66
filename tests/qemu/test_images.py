"""The cache of images: built once however many ask, found without a network, never half there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qemunet.errors import HostError, InputError, MissingRequirement
from qemunet.guest import accel
from qemunet.guest.files import cache_directory
from qemunet.guest.images import build_image, image_files, remove_image
from qemunet.progress import NoProgress, PlainProgress
from tests.qemu.support import tiny

SMALL = """\
architectures:
  x86_64: {debian: amd64, kernel: linux-image-cloud-amd64}
packages:
  busybox: [usr/bin/busybox]
applets: usr/bin/busybox
modules: {load: [virtio_net]}
"""
BUILD = """\
import sys
from qemunet.guest.images import image_files
from qemunet.progress import PlainProgress
print(image_files(sys.argv[1], "x86_64", progress=PlainProgress()).initrd)
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small recipe and an own cache, in which the packages that the real one holds need not be fetched again."""
    tiny("x86_64")
    packages = cache_directory() / "packages"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache_directory().mkdir(parents=True)
    (cache_directory() / "packages").symlink_to(packages)
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_built_once_by_two_and_found_without_a_network(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stale = cache_directory() / "images" / ".small-x86_64.building-dead"
    stale.mkdir(parents=True)
    builders = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, str(recipe)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [builder.communicate() for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], outputs
    assert len({stdout for stdout, _ in outputs}) == 1
    said = [stderr for _, stderr in outputs]
    assert sum("image small for x86_64 ..." in text for text in said) == 1
    assert sum("another process is building image small" in text for text in said) == 1
    assert not stale.exists()
    assert not list((cache_directory() / "images").glob(".*building*"))

    manifest = json.loads((Path(outputs[0][0].strip()).parent / "manifest.json").read_text())
    assert "busybox" in manifest["packages"]
    monkeypatch.setenv("PATH", "")
    files = image_files(str(recipe), "x86_64", progress=NoProgress())
    assert str(files.initrd) == outputs[0][0].strip()

    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = files.initrd.read_bytes()
    build_image(str(recipe), "x86_64", progress=PlainProgress())
    assert files.initrd.read_bytes() == first
    assert remove_image(str(recipe)) == [files.initrd.parent]
    assert not files.initrd.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[usr/bin/busybox]", "[usr/bin/bussybox]"), "has no file 'usr/bin/bussybox'"),
        (("[virtio_net]", "[virtio_ned]"), "did you mean 'virtio_net'"),
        (("applets: usr/bin/busybox", "applets: usr/bin/sh"), "is no busybox"),
    ],
)
def test_recipe_that_asks_for_what_is_not_there(change: tuple[str, str], said: str, recipe: Path) -> None:
    recipe.write_text(SMALL.replace(*change))
    with pytest.raises(InputError, match=said):
        image_files(str(recipe), "x86_64", progress=NoProgress())
    assert not list((cache_directory() / "images").glob("*small*/"))


def test_package_that_does_not_exist(recipe: Path) -> None:
    recipe.write_text(SMALL.replace("  busybox:", "  bussybox-none:"))
    with pytest.raises(HostError, match="no Debian package bussybox-none for amd64"):
        image_files(str(recipe), "x86_64", progress=NoProgress())


def test_architecture_that_a_recipe_lacks(recipe: Path) -> None:
    with pytest.raises(InputError, match="no architecture 'aarch64'; it has x86_64"):
        image_files(str(recipe), "aarch64", progress=NoProgress())


def test_tool_that_is_missing(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingRequirement, match="dpkg-deb") as caught:
        image_files(str(recipe), "x86_64", progress=NoProgress())
    assert "dpkg" in (caught.value.hint or "")


def test_kvm_that_hangs_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hanging = tmp_path / "qemu"
    hanging.write_text(f"#!/bin/sh\necho $$ >{pid}\nexec sleep 1000\n")
    hanging.chmod(0o755)
    proof = accel._boot(str(hanging), "x86_64", tmp_path)
    assert not proof.works
    assert "said nothing within" in proof.reason
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_kvm_that_works_or_fails_is_told(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text("#!/bin/sh\necho '[0.0] Linux version 6'\nexec sleep 1000\n")
    program.chmod(0o755)
    assert accel._boot(str(program), "x86_64", tmp_path).works
    program.write_text("#!/bin/sh\necho no access >&2\nexit 1\n")
    proof = accel._boot(str(program), "x86_64", tmp_path)
    assert not proof.works
    assert "status 1" in proof.reason
    assert "no access" in proof.reason


def test_accelerator_choice() -> None:
    foreign = "aarch64" if os.uname().machine == "x86_64" else "x86_64"
    assert accel.choose_accel(foreign, "auto", progress=NoProgress()).name == "tcg"
    assert accel.choose_accel("x86_64", "tcg", progress=NoProgress()).name == "tcg"
    with pytest.raises(HostError, match="only guests of the host's architecture"):
        accel.choose_accel(foreign, "kvm", progress=NoProgress())
    native = os.uname().machine
    chosen = accel.choose_accel(native, "auto", progress=NoProgress())
    assert accel.choose_accel(native, "auto", progress=NoProgress()) == chosen
    if chosen.name == "tcg":
        assert chosen.reason
        with pytest.raises(HostError) as caught:
            accel.choose_accel(native, "kvm", progress=NoProgress())
        assert chosen.reason in caught.value.message

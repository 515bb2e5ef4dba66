"""What a guest is started and configured with: command line, script, archive, package sources."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qemunet.errors import GuestError, HostError
from qemunet.guest.apt_sources import distribution_sources
from qemunet.guest.configure import configuration_script
from qemunet.guest.cpio import Archive
from qemunet.guest.elf import module_info, read_elf
from qemunet.guest.qemu import machine_argv
from qemunet.plan.model import GuestPlan, InterfacePlan


def plan(*argv: str, bridge: bool = False) -> GuestPlan:
    interfaces = (
        InterfacePlan("eth0", "02:00:00:00:00:01", ("10.0.0.1/24",), 1500, "l", 0, "native"),
        InterfacePlan("eth1", "02:00:00:00:00:02", ("fd00::1/64",), 1400, "m", 1, "native"),
    )
    return GuestPlan(
        node="n-1",
        type="qemu",
        image="tiny",
        arch="x86_64",
        accel="auto",
        memory_mib=128,
        bridge=bridge,
        interfaces=interfaces,
        argv=argv,
        emulated_cpu="max",
    )


def test_placeholders() -> None:
    guest = plan("qemu", "-accel", "${accel}", "-cpu", "${cpu}", "-kernel", "${kernel}", "-x", "fd=${fd:qmp},y=$z")
    arguments = {"kernel": Path("/k v"), "initrd": None, "descriptors": {"qmp": 10}}
    assert machine_argv(guest, accel="tcg", **arguments) == [  # type: ignore[arg-type]
        "qemu", "-accel", "tcg", "-cpu", "max", "-kernel", "/k v", "-x", "fd=10,y=$z",
    ]  # fmt: skip
    assert machine_argv(guest, accel="kvm", **arguments)[4] == "host"  # type: ignore[arg-type]


@pytest.mark.parametrize("placeholder", ["${initrd}", "${fd:net0}", "${nonsense}"])
def test_placeholder_without_a_value(placeholder: str) -> None:
    with pytest.raises(GuestError, match="placeholder") as caught:
        machine_argv(plan("qemu", placeholder), kernel=None, initrd=None, accel="tcg", descriptors={})
    assert placeholder in caught.value.message


@pytest.mark.parametrize("bridge", [False, True])
def test_configuration_is_valid_shell(bridge: bool) -> None:
    script = configuration_script(plan(bridge=bridge))
    subprocess.run(["sh", "-n"], input=script.encode(), check=True)
    device = "br0" if bridge else "eth1"
    assert f"ip address add fd00::1/64 dev {device} nodad" in script
    assert ("master br0" in script) == bridge


def test_configuration_fails_where_an_interface_is_missing() -> None:
    script = configuration_script(plan()).replace("hostname n-1", "true")
    done = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b"no interface with address 02:00:00:00:00:01\n"


def test_archive_is_reproducible_and_root_owned(tmp_path: Path) -> None:
    def made() -> bytes:
        archive = Archive()
        archive.file("etc/x/y", b"abc", 0o600)
        archive.link("bin/sh", "busybox")
        archive.directory("tmp", 0o1777)
        archive.character_device("dev/console", 5, 1)
        stream = io.BytesIO()
        archive.write(stream)
        return stream.getvalue()

    assert made() == made()
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    listed = subprocess.run([busybox, "cpio", "-tv"], input=made(), capture_output=True, check=True).stdout.decode()
    lines = {line.split()[-1] if "->" not in line else line.split()[-3]: line for line in listed.splitlines()}
    assert set(lines) == {"bin", "bin/sh", "dev", "dev/console", "etc", "etc/x", "etc/x/y", "tmp"}
    assert lines["etc/x/y"].startswith("-rw-------")
    assert lines["tmp"].startswith("drwxrwxrwt")
    assert lines["dev/console"].startswith("crw-------")
    assert all(" 0/0 " in line or " root" in line for line in lines.values()), listed


def test_elf_of_this_python() -> None:
    elf = read_elf(Path(sys.executable).resolve().read_bytes())
    assert elf is not None
    assert elf.interpreter is not None
    assert any(name.startswith("libc.so") for name in elf.needed)
    assert read_elf(b"#!/bin/sh\n") is None
    with pytest.raises(ValueError, match="damaged"):
        read_elf(b"\x7fELF\2\1\1" + bytes(10))
    with pytest.raises(ValueError, match="no ELF"):
        module_info(b"")


OWN = "deb [signed-by=/k.gpg arch=amd64] http://mirror.test/debian stable main contrib # ours\n"


def sources(tmp_path: Path, **files: str) -> str:
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        kind = "sources" if text.startswith("Types") else "list"
        (tmp_path / "sources.list.d" / f"{name}.{kind}").write_text(text)
    return distribution_sources(tmp_path)


def test_only_the_distributions_sources(tmp_path: Path) -> None:
    found = sources(
        tmp_path,
        own=OWN,
        browser="deb [arch=amd64] https://browser.test/linux/deb stable main\n",
        node="Types: deb\nURIs: https://node.test/debian\nSuites: nodistro\nComponents: main\n",
        off="Types: deb\nURIs: http://other.test/debian\nSuites: stable\nComponents: main\nEnabled: no\n",
        text="Types: deb deb-src\nURIs: http://two.test/debian\nSuites: stable\nComponents: main\nSigned-By:\n a\n .\n b\n",
    )
    assert [line for line in found.splitlines() if line.startswith("URIs")] == [
        "URIs: http://mirror.test/debian",
        "URIs: http://two.test/debian",
    ]
    assert "Signed-By: /k.gpg" in found
    assert "Signed-By: \n a\n .\n b" in found
    assert "arch" not in found.lower().replace("archive", "")


def test_no_source(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="names no source"):
        sources(tmp_path, node="deb https://node.test/debian nodistro main\n")

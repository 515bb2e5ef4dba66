"""The parts of ``host`` that need no privileges: messages, recognising an init, package names, what an init loads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qemunet.host
from qemunet.errors import HostError, MissingRequirement
from qemunet.host import remedies
from qemunet.host.launch import ControllerIdentity, init_argv, own_identity, parse_init_argv
from qemunet.host.messages import MAX_DESCRIPTORS, Failure, ancillary_of, decode, descriptors_of, encode

DEBIAN_12 = 'ID=debian\nVERSION_ID="12"\n'
DEBIAN_13 = 'ID=debian\nVERSION_ID="13"\n'
UBUNTU_22 = 'ID=ubuntu\nVERSION_ID="22.04"\n'
UBUNTU_24 = 'ID=ubuntu\nVERSION_ID="24.04"\n'


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.binary())
def test_messages_carry_any_text_and_any_file_name(text: str, name: bytes) -> None:
    message = {"op": "spawn", "argv": [text, os.fsdecode(name)]}
    assert decode(encode(message)) == message


@given(st.lists(st.integers(0, 1 << 20), max_size=MAX_DESCRIPTORS))
def test_descriptors_round_trip(numbers: list[int]) -> None:
    assert descriptors_of(ancillary_of(numbers)) == numbers


@given(st.text(), st.integers(1, 1 << 22), st.integers(0), st.integers(1))
def test_an_init_is_recognised_by_its_command_line(label: str, pid: int, ticks: int, namespace: int) -> None:
    identity = ControllerIdentity(pid, ticks, namespace)
    argv = [*init_argv(label)[:-1], str(identity)]
    assert parse_init_argv(argv) == (label, identity)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["python", "-I", "-S", "/x/qemunet/host/init.py", "label"],
        ["python", "-I", "-S", "/x/qemunet/host/init.py", "label", "1:2"],
        ["python", "-I", "-S", "/x/qemunet/host/init.py", "label", "1:2:x"],
        ["python", "-I", "-S", "/x/other/host/init.py", "label", "1:2:3"],
        ["vim", "-I", "/x/qemunet/host/init.py", "-S", "label", "1:2:3"],
    ],
)
def test_other_command_lines_are_not_an_inits(argv: list[str]) -> None:
    assert parse_init_argv(argv) is None


def test_own_identity_is_visible_and_alive() -> None:
    own = own_identity()
    assert own.pid == os.getpid()
    assert own.visible
    assert own.alive
    assert ControllerIdentity.parse(str(own)) == own


@pytest.mark.parametrize(
    ("arch", "release", "package"),
    [
        ("aarch64", DEBIAN_12, "qemu-system-arm"),
        ("aarch64", UBUNTU_24, "qemu-system-arm"),
        ("s390x", DEBIAN_12, "qemu-system-misc"),
        ("s390x", DEBIAN_13, "qemu-system-s390x"),
        ("s390x", UBUNTU_22, "qemu-system-misc"),
        ("riscv64", DEBIAN_13, "qemu-system-riscv"),
        ("x86_64", "", "qemu-system-x86"),
        ("vax", DEBIAN_12, None),
    ],
)
def test_qemu_packages(arch: str, release: str, package: str | None) -> None:
    assert remedies.qemu_package(arch, release) == package


@pytest.mark.parametrize(
    ("failure", "kind", "text"),
    [
        (Failure(stage="exec", what="qemu-img", errno=2, error="No such file"), MissingRequirement, "does not exist"),
        (Failure(stage="exec", what="qemu-img", errno=13, error="Permission denied"), HostError, "may not be executed"),
        (
            Failure(stage="view", what="/sys", errno=1, error="Not permitted"),
            HostError,
            r"\(view\): /sys: Not permitted",
        ),
    ],
)
def test_spawn_errors_name_program_and_reason(failure: Failure, kind: type[HostError], text: str) -> None:
    error = remedies.spawn_error("disk", "qemu-img", failure)
    assert type(error) is kind
    with pytest.raises(HostError, match=text):
        raise error


def test_an_init_loads_nothing_but_small_modules() -> None:
    code = (
        "import sys, types; package = types.ModuleType('qemunet'); package.__path__ = [sys.argv[1]];"
        "sys.modules['qemunet'] = package; import qemunet.host.init; print(*sys.modules)"
    )
    package = os.path.dirname(os.path.dirname(qemunet.host.__file__))
    words = [sys.executable, "-I", "-S", "-c", code, package]
    loaded = set(subprocess.run(words, check=True, capture_output=True, text=True).stdout.split())
    assert loaded.isdisjoint({"trio", "pyroute2", "asyncio", "subprocess", "threading", "typing_extensions", "pathlib"})

"""QEMU takes the command lines that plans hold."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from qemunet.plan import make_plan
from qemunet.plan.model import GuestPlan
from qemunet.topology import parse_topology

MACHINES = {
    "x86_64": "node a qemu",
    "q35": "node a qemu machine=q35 cpu=qemu64 cpus=2",
    "aarch64": "node a qemu arch=aarch64",
    "drive": "node a qemu drive=disk",
    "serial": "node a qemu drive=disk console=serial",
}
# With -S the machine is built and then waits, so a kernel needs no more than the header that QEMU looks at on x86:
# setup sectors, boot flag, magic and protocol version, and where an initial ramdisk may lie.
KERNEL = bytearray(1 << 20)
KERNEL[0x1F1] = 1
KERNEL[0x1FE:0x200] = b"\x55\xaa"
KERNEL[0x202:0x208] = b"HdrS" + (0x20C).to_bytes(2, "little")
KERNEL[0x22C:0x230] = (0x7FFFFFFF).to_bytes(4, "little")

LINKS = {1: "link a b", 30: "chain " + "a b " * 15 + "a"}


def filled(guest: GuestPlan, kernel: Path) -> tuple[list[str], dict[str, socket.socket], list[socket.socket]]:
    """Return the command line with every placeholder filled, our ends of its sockets, and those of QEMU."""
    ours: dict[str, socket.socket] = {}
    theirs: list[socket.socket] = []

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not name.startswith("fd:"):
            known = {"accel": "tcg", "cpu": guest.emulated_cpu, "kernel": str(kernel), "initrd": str(kernel)}
            return known[name]
        ours[name], end = socket.socketpair(socket.AF_UNIX)
        theirs.append(end)
        return str(end.fileno())

    return [re.sub(r"\$\{([^}]*)\}", value, argument) for argument in guest.argv], ours, theirs


@pytest.mark.parametrize("interfaces", LINKS)
@pytest.mark.parametrize("machine", MACHINES)
def test_accepted(machine: str, interfaces: int, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(KERNEL)
    topology = parse_topology(f"{MACHINES[machine]}\nnode b qemu\n{LINKS[interfaces]}")
    guest = make_plan(topology, seed=1, source_directory=tmp_path).guests[0]
    if shutil.which(guest.argv[0]) is None:
        pytest.skip(f"{guest.argv[0]} is not installed")
    argv, ours, theirs = filled(guest, tmp_path / "disk")
    process = subprocess.Popen(
        [*argv, "-S"], pass_fds=[end.fileno() for end in theirs], stderr=subprocess.PIPE, cwd=os.fspath(tmp_path)
    )
    try:
        for end in theirs:
            end.close()
        ours["fd:qmp"].settimeout(60)
        with ours["fd:qmp"].makefile("rw", encoding="utf-8") as qmp:
            greeting = qmp.readline()
            if not greeting:
                assert process.stderr is not None
                pytest.fail(process.stderr.read().decode())
            assert "QMP" in json.loads(greeting)
            qmp.write('{"execute": "qmp_capabilities"}\n{"execute": "query-pci"}\n')
            qmp.flush()
            replies = [json.loads(qmp.readline()) for _ in range(2)]
            devices = replies[1]["return"][0]["devices"]
            ethernet = [d for d in devices if d["class_info"]["class"] == 0x0200]
            assert len(ethernet) == interfaces
            qmp.write('{"execute": "quit"}\n')
            qmp.flush()
            assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
        for end in ours.values():
            end.close()

"""Which accelerator a guest runs under.

KVM is used only where it has proved itself by booting the kernel of the image ``tiny`` to its first log line. That
/dev/kvm is there and opens proves nothing: nested in another machine it may hang every kernel.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import select
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from qemunet.errors import HostError, MissingRequirement
from qemunet.guest.files import atomic_write, cache_directory, locked
from qemunet.guest.images import image_files
from qemunet.guest.qemu import require_qemu
from qemunet.progress import Progress

_KVM = Path("/dev/kvm")
_PROOF_S = 5
_FIRST_LINE = b"Linux version"
_NATIVE: Mapping[str, tuple[str, ...]] = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64",)}
_MACHINES = {"x86_64": ("pc", "ttyS0"), "i386": ("pc", "ttyS0"), "aarch64": ("virt,gic-version=host", "ttyAMA0")}
_REMEDY = "use accel=tcg or accel=auto; `qemunet doctor` says more about KVM"


@dataclass(frozen=True)
class AccelChoice:
    """An accelerator and why it was chosen."""

    name: Literal["kvm", "tcg"]
    reason: str


@dataclass(frozen=True)
class _Proof:
    works: bool
    reason: str


def choose_accel(arch: str, requested: str, *, progress: Progress) -> AccelChoice:
    """Choose the accelerator for guests of an architecture. Blocks for seconds the first time.

    Args:
        arch: Of the guest.
        requested: ``auto``, ``kvm`` or ``tcg``.
        progress: Shows the proof.

    Raises:
        MissingRequirement: kvm was requested, and the host has no /dev/kvm that can be opened.
        HostError: kvm was requested, and does not work.
    """
    if requested == "tcg":
        return AccelChoice("tcg", "asked for")
    host = platform.machine()
    if arch not in _NATIVE.get(host, ()):
        reason = f"KVM runs only guests of the host's architecture, {host}; this one is {arch}"
        if requested == "kvm":
            raise HostError(reason, hint=_REMEDY)
        return AccelChoice("tcg", reason)
    if problem := _device_problem():
        if requested == "kvm":
            raise MissingRequirement(problem, hint="load the module kvm_intel or kvm_amd, or join the group kvm")
        return AccelChoice("tcg", problem)
    proof = _proof(arch, progress)
    if proof.works:
        return AccelChoice("kvm", proof.reason)
    if requested == "kvm":
        raise HostError(f"KVM does not work on this host: {proof.reason}", hint=_REMEDY)
    return AccelChoice("tcg", proof.reason)


def _device_problem() -> str | None:
    try:
        os.close(os.open(_KVM, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{_KVM} cannot be opened: {error.strerror}"
    return None


def _proof(arch: str, progress: Progress) -> _Proof:
    """The proof for this host, from the cache if it is there."""
    program = f"qemu-system-{arch}"
    require_qemu(program)
    facts = {
        "arch": arch,
        "kernel": platform.release(),
        "qemu": _qemu_version(program),
        "cpu": _cpu_model(),
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    path = cache_directory() / "accel" / f"kvm-{key}.json"
    if proof := _read(path):
        return proof
    kernel = image_files("tiny", arch, progress=progress).kernel
    with locked(path.with_suffix(".lock"), "trying KVM", progress):
        if proof := _read(path):
            return proof
        with progress.step(f"trying KVM for {arch}") as step:
            proof = _boot(program, arch, kernel)
            step.update(text=proof.reason)
        entry = {"works": proof.works, "reason": proof.reason, **facts}
        atomic_write(path, (json.dumps(entry, indent=2) + "\n").encode())
    return proof


def _read(path: Path) -> _Proof | None:
    try:
        entry = json.loads(path.read_text())
        return _Proof(bool(entry["works"]), str(entry["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _boot(program: str, arch: str, kernel: Path) -> _Proof:
    """Boot a kernel under KVM until it says something, or the time is over."""
    machine, console = _MACHINES[arch]
    argv = [program, "-machine", machine, "-accel", "kvm", "-cpu", "host", "-m", "128M", "-nodefaults"]
    argv += ["-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", str(kernel)]
    argv += ["-append", f"console={console} panic=-1"]
    # If we are killed meanwhile, the hanging machine goes with the thread that started it, which stays here until its end.
    tied = ["setpriv", "--pdeathsig", "KILL", *argv]
    deadline_s = time.monotonic() + _PROOF_S
    with subprocess.Popen(tied, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as qemu:
        seen = b""
        output = qemu.stdout.fileno() if qemu.stdout else -1
        while _FIRST_LINE not in seen and (left_s := deadline_s - time.monotonic()) > 0:
            if select.select([output], [], [], left_s)[0]:
                data = os.read(output, 4096)
                if not data:
                    break
                seen += data
        late = time.monotonic() >= deadline_s
        if late or _FIRST_LINE in seen:
            qemu.kill()
        status = qemu.wait()
        said = (qemu.stderr.read() if qemu.stderr else b"").decode(errors="replace").strip()
    if _FIRST_LINE in seen:
        return _Proof(True, "KVM has booted a kernel on this host")
    if late:
        return _Proof(False, f"under KVM a kernel said nothing within {_PROOF_S} s")
    last = said.splitlines()[-1] if said else "it said nothing"
    return _Proof(False, f"QEMU with KVM ended with status {status} before the kernel said anything: {last}")


@cache
def _qemu_version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0]


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    found = re.search(r"^(?:model name|CPU part)\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1] if found else platform.processor()

"""Which versions of which software are here, found without importing or starting anything heavy."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

_VERSION_DEADLINE_S = 10.0

TAP_CREATOR_PATH = "/gcl-builds/build/src/tap-bridge/ns3.44-tap-creator"
"""Where the TapBridge of the ns3 wheel looks for its helper: a path of the machine that built the wheel."""


def package_version(name: str) -> str | None:
    """Version of an installed Python distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def package_directory(name: str) -> Path | None:
    """Where a Python package is, without importing it; None if it is not installed."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def tap_creator() -> Path | None:
    """The wheel's tap-creator, or None if the wheel has none."""
    directory = package_directory("ns3")
    if directory is None:
        return None
    return next(iter(sorted(directory.glob("libexec/ns3/ns3*-tap-creator"))), None)


def tap_creator_view() -> dict[str, str]:
    """The paths that a process running the wheel's TapBridge must see, for ``RunInit.with_paths``."""
    helper = tap_creator()
    return {} if helper is None else {TAP_CREATOR_PATH: str(helper)}


def qemu_version(arch: str) -> str | None:
    """Version of ``qemu-system-ARCH``; None if it is not installed or does not start."""
    program = shutil.which(f"qemu-system-{arch}")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_VERSION_DEADLINE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"version (\S+)", done.stdout)
    return found[1] if found else None

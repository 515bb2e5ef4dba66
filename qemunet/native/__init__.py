"""The native library: C++ in ns-3's style, built by CMake; this module only says where it is."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

NAME = "libqemunet-native.so"
WIFI_NAME = "libqemunet-wifi.so"
"""Beside it: what only a Wi-Fi, or nodes that move, need."""


def library_candidates() -> tuple[Path, ...]:
    """Where it may be, best first: named by QEMUNET_NATIVE_LIBRARY, beside this file, in site-packages.

    An editable installation leaves the sources where they are and puts what was built into site-packages.
    """
    named = os.environ.get("QEMUNET_NATIVE_LIBRARY")
    if named:
        return (Path(named),)
    return (Path(__file__).parent / NAME, Path(sysconfig.get_path("platlib")) / "qemunet" / "native" / NAME)


def library() -> Path | None:
    """The library, or None if it is not built."""
    return next((candidate for candidate in library_candidates() if candidate.is_file()), None)

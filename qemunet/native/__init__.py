"""The native library: C++ in ns-3's style, built by CMake; this module only says where it is."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

NAME = "libqemunet-native.so"
WIFI_NAME = "libqemunet-wifi.so"
"""Beside it: what only a Wi-Fi, or nodes that move, need."""
FLOW_NAME = "udp-flow"


def library_candidates() -> tuple[Path, ...]:
    """Where it may be, best first: named by QEMUNET_NATIVE_LIBRARY, beside this file, in site-packages."""
    named = os.environ.get("QEMUNET_NATIVE_LIBRARY")
    return (Path(named),) if named else tuple(directory / NAME for directory in _directories())


def _directories() -> tuple[Path, ...]:
    """An editable installation leaves the sources where they are and puts what was built into site-packages."""
    return Path(__file__).parent, Path(sysconfig.get_path("platlib")) / "qemunet" / "native"


def udp_flow() -> Path:
    """The program ``udp-flow``: a static executable of this machine's architecture that sends or receives datagrams.

    Raises:
        FileNotFoundError: it was not built.
    """
    for directory in _directories():
        if (directory / FLOW_NAME).is_file():
            return directory / FLOW_NAME
    raise FileNotFoundError(f"{FLOW_NAME} is not built; make setup builds it")


def library() -> Path | None:
    """The library, or None if it is not built."""
    return next((candidate for candidate in library_candidates() if candidate.is_file()), None)

"""libqemunet-native.so and the ns-3 libraries of the wheel, loaded by ctypes.

Loading and building by ctypes takes a tenth of the time of cppyy, which comes in only where an experiment extends the
simulation (``bindings.py``).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sysconfig
from pathlib import Path

from qemunet.errors import MissingRequirement

#: In the order in which they depend on each other: what libqemunet-native.so needs.
MODULES = ("core", "stats", "network", "bridge", "traffic-control", "internet", "csma", "tap-bridge")

_LIBRARY = "libqemunet-native.so"


def ns3_directory() -> Path:
    """The ns3 package of this Python environment.

    Raises:
        MissingRequirement: it is not installed.
    """
    spec = importlib.util.find_spec("ns3")
    if spec is None or not spec.submodule_search_locations:
        raise MissingRequirement("the Python package ns3 is not installed", hint="pip install ns3==3.44.post0")
    return Path(next(iter(spec.submodule_search_locations)))


def module_library(module: str) -> Path:
    """The wheel's library of an ns-3 module, such as ``core``.

    Raises:
        MissingRequirement: it is not there.
    """
    directory = ns3_directory() / "lib64"
    found = sorted(directory.glob(f"libns3.*-{module}.so"))
    if not found:
        raise MissingRequirement(f"ns-3's module {module} is not in {directory}")
    return found[0]


def native_library() -> Path:
    """libqemunet-native.so: named by QEMUNET_NATIVE_LIBRARY, or beside this package, or where it was installed to.

    Raises:
        MissingRequirement: it was not built.
    """
    named = os.environ.get("QEMUNET_NATIVE_LIBRARY")
    if named:
        candidates = [Path(named)]
    else:
        package = Path(__file__).resolve().parent.parent
        # An editable install leaves the sources where they are and puts what was built into site-packages.
        candidates = [
            package / "native" / _LIBRARY,
            Path(sysconfig.get_path("platlib")) / "qemunet" / "native" / _LIBRARY,
        ]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise MissingRequirement(
        f"{_LIBRARY} is not built (looked for {', '.join(map(str, candidates))})", hint="make setup builds it"
    )


def load() -> ctypes.PyDLL:
    """Load the library and declare its functions.

    The interpreter's lock stays held in them: events of an experiment's ``extend`` run Python inside ``qemunet_run``.
    """
    for module in MODULES:
        ctypes.CDLL(str(module_library(module)), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.PyDLL(str(native_library()), mode=ctypes.RTLD_GLOBAL)
    text, u16, u32, raw = ctypes.c_char_p, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_char_p
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "qemunet_open": (None, [text, u32, ctypes.c_int]),
        "qemunet_add_node": (u32, [text]),
        "qemunet_add_wire": (u32, [u32, text, u32, text, u16, raw, raw]),
        "qemunet_add_csma": (u32, [u16, raw]),
        "qemunet_add_csma_end": (None, [u32, u32, text]),
        "qemunet_add_door": (None, [u32, u32, u32]),
        "qemunet_add_tap": (None, [u32, u32, text]),
        "qemunet_device_count": (u32, [u32]),
        "qemunet_use_fifo": (ctypes.c_int, [ctypes.c_int]),
        "qemunet_was_demoted": (ctypes.c_int, []),
        "qemunet_run": (ctypes.c_int64, [ctypes.c_int]),
        "qemunet_close": (None, []),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def worker_environment() -> dict[str, str]:
    """Variables that the worker's process needs: the wheel's tap helper, a program, finds its libraries by them."""
    directory = str(ns3_directory() / "lib64")
    present = os.environ.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": f"{directory}:{present}" if present else directory}

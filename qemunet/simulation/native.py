"""libqemunet-native.so and the ns-3 libraries of the wheel, loaded by ctypes.

Loading and building by ctypes takes a tenth of the time of cppyy, which comes in only where an experiment extends the
simulation (``bindings.py``).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qemunet import native
from qemunet.errors import MissingRequirement

#: In the order in which they depend on each other: what libqemunet-native.so needs.
MODULES = (
    "core",
    "stats",
    "network",
    "bridge",
    "traffic-control",
    "internet",
    "csma",
    "tap-bridge",
    "point-to-point",
    "olsr",
)


def ns3_directory() -> Path:
    """The ns3 package of this Python environment.

    Raises:
        MissingRequirement: it is not installed.
    """
    spec = importlib.util.find_spec("ns3")
    if spec is None or not spec.submodule_search_locations:
        raise MissingRequirement("the Python package ns3 is not installed", hint="pip install ns3==3.44.post0")
    return Path(next(iter(spec.submodule_search_locations)))


#: What libqemunet-wifi.so needs: loaded for a Wi-Fi, or nodes that move, only.
WIFI_MODULES = ("antenna", "mobility", "propagation", "energy", "spectrum", "wifi")


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
    """libqemunet-native.so.

    Raises:
        MissingRequirement: it was not built.
    """
    found = native.library()
    if found is None:
        places = ", ".join(map(str, native.library_candidates()))
        raise MissingRequirement(f"{native.NAME} is not built (looked for {places})", hint="make setup builds it")
    return found


#: The fields of the struct Load of the native part, uint64_t each: what a simulation cost.
LOAD_FIELDS = (
    "wall_ns",
    "thread_ns",
    "process_ns",
    "busiest_cpu_ns",
    "busiest_wall_ns",
    "busiest_at_ns",
    "most_drops",
    "most_drops_at_ns",
)


def load() -> ctypes.PyDLL:
    """Load the library and declare its functions.

    The interpreter's lock stays held in them: events of an experiment's ``extend`` run Python inside ``qemunet_run``.
    """
    for module in MODULES:
        ctypes.CDLL(str(module_library(module)), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.PyDLL(str(native_library()), mode=ctypes.RTLD_GLOBAL)
    text, u16, u32, u64, raw = ctypes.c_char_p, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "qemunet_open": (None, [text, u32, ctypes.c_int]),
        "qemunet_add_node": (u32, [text]),
        "qemunet_add_wire": (u32, [u32, text, u32, text, u16, raw, raw]),
        "qemunet_add_csma": (u32, [u16, raw]),
        "qemunet_add_delay": (u32, [raw, u32]),
        "qemunet_add_csma_end": (None, [u32, u32, text]),
        "qemunet_add_point_to_point": (u32, [u32, text, u32, text, u16, raw, raw]),
        "qemunet_add_point_to_point_door": (None, [u32, u32, u32, text, text]),
        "qemunet_add_foreign": (u32, [u16]),
        "qemunet_add_bridge": (u32, [u32]),
        "qemunet_add_stack": (None, [u32, ctypes.c_int, ctypes.c_int, ctypes.c_int, u32, text]),
        "qemunet_add_door": (None, [u32, u32, u32]),
        "qemunet_add_tap": (None, [u32, u32, text]),
        "qemunet_add_pcap": (None, [u32, u32, ctypes.c_int64, text]),
        "qemunet_close_pcap": (None, []),
        "qemunet_pcap_frames": (ctypes.c_uint64, [u32]),
        "qemunet_pcap_dropped": (ctypes.c_uint64, [u32]),
        "qemunet_device_count": (u32, [u32]),
        "qemunet_make": (u32, [text]),
        "qemunet_get_device": (u32, [u32, u32]),
        "qemunet_get_channel": (u32, [u32, u32]),
        "qemunet_get_part": (u32, [u32, text]),
        "qemunet_set": (text, [u32, text, text]),
        "qemunet_set_part": (None, [u32, text, u32]),
        "qemunet_set_default": (text, [text, text, text]),
        "qemunet_use_fifo": (ctypes.c_int, [ctypes.c_int]),
        "qemunet_was_demoted": (ctypes.c_int, []),
        "qemunet_set_timing": (None, [u64, u64, ctypes.c_int]),
        "qemunet_run": (ctypes.c_int64, [ctypes.c_int]),
        "qemunet_missed": (u64, []),
        "qemunet_load": (ctypes.POINTER(u64), []),
        "qemunet_lag_interval_ns": (ctypes.c_uint64, []),
        "qemunet_lag": (u32, [ctypes.POINTER(ctypes.c_uint64 * 3)]),
        "qemunet_close": (None, []),
    }
    _declare(library, signatures)
    return library


def load_modules(modules: Iterable[str]) -> None:
    """Load further modules of ns-3, so that their types are known."""
    for module in modules:
        ctypes.CDLL(str(module_library(module)), mode=ctypes.RTLD_GLOBAL)


def load_wifi() -> ctypes.PyDLL:
    """Load libqemunet-wifi.so, after ``load``, and declare its functions.

    Raises:
        MissingRequirement: it was not built.
    """
    load_modules(WIFI_MODULES)
    path = native_library().with_name(native.WIFI_NAME)
    if not path.is_file():
        raise MissingRequirement(f"{path} is not built", hint="make setup builds it")
    library = ctypes.PyDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    text, u16, u32, real = ctypes.c_char_p, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_double
    _declare(
        library,
        {
            "qemunet_place": (None, [u32, u32, real, real, real, ctypes.POINTER(real)]),
            "qemunet_add_wifi": (u32, [text, text, text, text, u16, u32]),
            "qemunet_add_wifi_loss": (None, [u32, u32]),
            "qemunet_add_wifi_end": (None, [u32, u32, text, text]),
            "qemunet_hold_wifi_end": (None, [u32, u32, u32]),
        },
    )
    return library


def _declare(library: ctypes.PyDLL, signatures: Mapping[str, tuple[Any, list[Any]]]) -> None:
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


def worker_environment() -> dict[str, str]:
    """Variables that the worker's process needs.

    LD_LIBRARY_PATH: by it the wheel's tap helper, a program of its own, finds its libraries. PYTHONPATH: so that the
    worker imports the qemunet that started it, whatever the working directory is and holds.
    """
    root = Path(__file__).resolve().parent.parent.parent
    return {
        "LD_LIBRARY_PATH": _prepend("LD_LIBRARY_PATH", ns3_directory() / "lib64"),
        "PYTHONPATH": _prepend("PYTHONPATH", root),
    }


def _prepend(variable: str, directory: Path) -> str:
    present = os.environ.get(variable)
    return f"{directory}:{present}" if present else str(directory)

"""The ns-3 worker: ``python -m qemunet.simulation.worker``.

Its control socket is descriptor 3, descriptor 4 a file with its configuration as JSON. It builds the network, says that
it is ready, and then no Python runs in it (unless ``extend`` scheduled it) until the controller stops it or is gone.
The last it sends is its report.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from qemunet.metrics import plain
from qemunet.simulation.builder import build, plan_from_json
from qemunet.simulation.messages import MAX_BYTES, Type, pack
from qemunet.simulation.native import LOAD_FIELDS, load

CONTROL_FD = 3
CONFIG_FD = 4

_FIFO_PRIORITY = 50
_MOST_LAG_INTERVALS = 256  # LagTimeline::INTERVALS of the native part
_PIECE_BYTES = MAX_BYTES // 2


def main() -> int:
    """Run the worker; returns its exit status."""
    # Ctrl-C goes to the whole terminal; what it means is the controller's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=CONTROL_FD)
    with open(CONFIG_FD, encoding="utf-8") as file:
        config = json.load(file)
    layer = "simulation"
    try:
        library = load()
        plan = plan_from_json(config["plan"])
        built = build(library, plan, extended=config["extend"] is not None, pcap=Path(config["pcap"]))
        if any(stack.build is not None for stack in plan.stacks):
            from qemunet.simulation.foreign import complete_nodes

            complete_nodes(plan, built.nodes)
        extension = None
        if config["extend"] is not None:
            layer = "experiment"
            # Imported here: this is what brings cppyy in.
            from qemunet.simulation.extension import Extension

            extension = Extension(Path(config["extend"]["path"]), config["extend"]["parameters"], built)
    except Exception as error:  # noqa: BLE001 - whatever it is, the controller has to hear of it
        control.sendall(pack(Type.FAILED, 0, json.dumps(_failure(error, layer)).encode()))
        return 1
    scheduling = _schedule(library, plan.simulator)
    before = resource.getrusage(resource.RUSAGE_SELF)
    stop_id = int(library.qemunet_run(CONTROL_FD))
    after = resource.getrusage(resource.RUSAGE_SELF)
    if stop_id < 0:
        return 1
    library.qemunet_close_pcap()
    report: dict[str, Any] = {
        "pcaps": {
            name: [int(library.qemunet_pcap_frames(number)), int(library.qemunet_pcap_dropped(number))]
            for number, name in enumerate(built.pcaps)
        },
        "scheduling": {**scheduling, "demoted": bool(library.qemunet_was_demoted())},
        "cpu_user_s": after.ru_utime - before.ru_utime,
        "cpu_system_s": after.ru_stime - before.ru_stime,
        "max_rss_mib": after.ru_maxrss / 1024,
        "metrics": {},
        "failure": None,
        "lag": _lag(library),
        "missed": int(library.qemunet_missed()),
        "load": _load(library),
    }
    if extension is not None:
        try:
            report["metrics"] = plain(extension.finish())
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything
            report["failure"] = _failure(error, "experiment")
    _send_report(control, stop_id, report)
    # Closes trace files. After the report: whatever goes wrong in here does not take it away.
    library.qemunet_close()
    return 0


def _lag(library: ctypes.PyDLL) -> dict[str, Any]:
    """How late events ran, by intervals of simulation time."""
    intervals = (ctypes.c_uint64 * 3 * _MOST_LAG_INTERVALS)()
    count = int(library.qemunet_lag(intervals))
    return {
        "interval_ns": int(library.qemunet_lag_interval_ns()),
        "events": [int(intervals[number][0]) for number in range(count)],
        "p99_ns": [int(intervals[number][1]) for number in range(count)],
        "max_ns": [int(intervals[number][2]) for number in range(count)],
    }


def _load(library: ctypes.PyDLL) -> dict[str, int]:
    """What the simulation cost."""
    values = library.qemunet_load()
    return {name: int(values[index]) for index, name in enumerate(LOAD_FIELDS)}


def _schedule(library: ctypes.PyDLL, simulator: str) -> dict[str, Any]:
    """Try SCHED_FIFO for our own simulator and say what came of it."""
    if simulator != "qemunet":
        # Its main thread would keep away the threads that read its taps: round trips were twice as long.
        return {"policy": "SCHED_OTHER", "reason": "simulator=ns3 runs as it comes"}
    error = int(library.qemunet_use_fifo(_FIFO_PRIORITY))
    if error:
        return {"policy": "SCHED_OTHER", "reason": os.strerror(error)}
    return {"policy": "SCHED_FIFO", "reason": None}


def _failure(error: Exception, layer: str) -> dict[str, str]:
    lines = "".join(traceback.format_exception(error))
    # Bounded, so that it fits one message even where JSON writes each character as six.
    return {"layer": layer, "message": f"{type(error).__name__}: {error}"[:800], "traceback": lines[-4000:]}


def _send_report(control: socket.socket, stop_id: int, report: dict[str, Any]) -> None:
    """Send the report in pieces; an empty one ends it."""
    data = json.dumps(report).encode()
    for start in range(0, len(data), _PIECE_BYTES):
        control.sendall(pack(Type.REPORT, stop_id, data[start : start + _PIECE_BYTES]))
    control.sendall(pack(Type.REPORT, stop_id))


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit(): destructors of cling, Python and ns-3 would run in an order that ends in a segmentation fault.
    os._exit(status)

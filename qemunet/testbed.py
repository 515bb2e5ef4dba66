"""The running network: the one place that joins host, simulation, guests and Tasks.

``open_testbed`` takes a Plan to a network at simulation time 0 and, whatever happens, brings everything down again. An
experiment sees the Testbed, its Guests and nothing below them.
"""

from __future__ import annotations

import math
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from qemunet.errors import GuestBootTimeout, GuestError, GuestExitedError, QemunetError, SimulationError, TaskError
from qemunet.experiment import Experiment
from qemunet.plan.model import GuestPlan, InterfacePlan, Plan
from qemunet.progress import Progress
from qemunet.results.fidelity import Measured
from qemunet.results.record import RunDirectory, to_json
from qemunet.topology import Topology

if TYPE_CHECKING:
    import networkx

BOOT_TIMEOUT_S = 30.0
"""A guest with KVM is up within this time or never; emulated ones get more, and more when many share the cores."""

TCG_FACTOR = 4.0
"""How much longer our own time-outs are when QEMU emulates the processor."""

"""A door over a container's tap: what passes, what is refused, what is counted."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from qemunet import native
from qemunet.guest.console import Console
from qemunet.guest.container import open_container
from qemunet.guest.shell import Shell
from qemunet.host.run_init import RunInit
from qemunet.plan import make_plan
from qemunet.plan.model import Plan
from qemunet.simulation.client import Simulation, open_simulation
from qemunet.simulation.messages import DoorCounters
from qemunet.topology import parse_topology
from tests.root.runs import in_run

pytestmark = [
    pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"),
    pytest.mark.skipif(native.library() is None, reason="the native library is not built"),
]

FRAME = b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + bytes(100)


def pair() -> Plan:
    return make_plan(parse_topology("node a container\nnode b qemu\nlink a b"), seed=1, source_directory=None)


async def until(simulation: Simulation, door: int, holds: Callable[[DoorCounters], bool]) -> None:
    """Wait until a door's counters are as wanted; the deadline is the Run's."""
    while not holds((await simulation.counters()).doors[door]):
        pass  # Each look is a round trip to the simulator.


def test_frames_are_taken_counted_and_refused(tmp_path: Path) -> None:
    plan = pair()

    async def body(init: RunInit) -> None:
        async with (
            open_simulation(plan.simulation, spawner=init, directory=tmp_path) as simulation,
            open_container(plan.guests[0], starter=init) as container,
            Console(container.consoles["shell"], node="a", log=tmp_path / "a.log") as console,
        ):
            shell = Shell(console)
            await shell.synchronize()

            async def run(text: str) -> None:
                armed = await shell.arm(text)
                armed.fire()
                ended = await armed.ended()
                assert ended.exit_status == 0, ended.output

            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            with ours, theirs:
                await simulation.attach_door(0, container.taps[0])
                await simulation.attach_door(1, theirs.fileno())
                await simulation.start()
                # The interface is not up: nobody listens, and that is no drop of the door's.
                ours.send(FRAME)
                await until(simulation, 0, lambda door: door.out_unreachable == 1 and door.out_dropped == 0)
                await run("ip link set eth0 mtu 9000 up; ip addr add 10.0.0.1/24 dev eth0")
                ours.send(FRAME)
                await until(simulation, 0, lambda door: door.out_frames == 1)
                await run("ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0")
                await run("bash -c 'printf %01000d 1 >/dev/udp/10.0.0.2/9'")
                await until(simulation, 1, lambda door: door.out_bytes >= 1042)
                # Longer than the link carries: refused whole, not cut.
                await run("bash -c 'printf %05000d 1 >/dev/udp/10.0.0.2/9'")
                await until(simulation, 0, lambda door: door.in_malformed == 1)
                # A burst larger than one turn takes.
                await run("bash -c 'for i in {1..500}; do echo $i; done >/dev/udp/10.0.0.2/9'")
                await until(simulation, 0, lambda door: door.in_frames >= 501)

    in_run(body)

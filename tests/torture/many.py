"""Many guests at once: Tasks over all of them, then long outputs of all of them at the same time. No console starves."""

from __future__ import annotations

import time
from typing import Any

import trio

from qemunet import Daemon, Task
from qemunet.testbed import Testbed

PARAMETERS = {"tasks": 20, "bytes": 1_000_000}  # Tasks; length of each guest's long output


async def experiment(bed: Testbed) -> dict[str, Any]:
    """Run Tasks, floods, and Tasks beside floods."""
    fired = 0
    start_s = time.monotonic()
    for number in range(bed.parameters["tasks"]):
        texts = dict.fromkeys(bed.guests, f"echo {number} $(hostname); exit {number}")
        done = await bed.run(Task(f"task-{number}", texts, check=False))
        for name, ended in done.items():
            assert (ended.output, ended.exit_status) == (f"{number} {name}\n", number), ended
        assert done.keys() == bed.guests.keys(), f"not all were fired: {sorted(done)}"
        fired += len(done)
    tasks_s = time.monotonic() - start_s

    length = bed.parameters["bytes"]
    ended_s: dict[str, float] = {}
    start_s = time.monotonic()

    async def flood(name: str) -> None:
        got = (await bed.guests[name].run(f"yes {name} | head -c {length}")).output_bytes
        assert got == (f"{name}\n".encode() * length)[:length], f"{name}: {len(got)} bytes, {got[:100]!r}"
        ended_s[name] = time.monotonic() - start_s

    async with trio.open_nursery() as nursery:
        for name in bed.guests:
            nursery.start_soon(flood, name)

    # Half of them write without end; a command on each of the others gets its turn all the same.
    names = list(bed.guests)
    noisy, quiet = names[::2], names[1::2]
    work: dict[str, Any] = {name: Daemon(f"while echo {name}; do :; done") for name in noisy}
    done = await bed.run(Task("beside", {**work, **{name: f"echo {name}" for name in quiet}}))
    for name in noisy:
        output = done[name].output_bytes
        assert (f"{name}\n".encode() * len(output)).startswith(output), f"{name}: {output[:100]!r}"
    assert {name: done[name].output for name in quiet} == {name: f"{name}\n" for name in quiet}
    return {
        "guests": len(names),
        "fired": fired,
        "tasks_s": round(tasks_s, 1),
        "flood_first_s": round(min(ended_s.values()), 1),
        "flood_last_s": round(max(ended_s.values()), 1),
        "flood_bytes_per_s": round(len(names) * length / max(ended_s.values())),
    }

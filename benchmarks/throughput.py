"""The most that a chain carries, in datagrams a second over all its links, and what is left of it when more is asked for.

One run asks the chain of topologies/chain.txt for more and more, a second each, then for all that its first machine can
send. ``way`` only names what is measured (a sweep sets kind, link, attach and simulator beside it), but for ``relay``:
then the chain of the topology stands idle, and another one of the same kind is joined by benchmarks/relay.cc.
"""

import json
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from qemunet import Task
from qemunet.native import udp_flow
from qemunet.testbed import Testbed

PARAMETERS = {
    "way": "wire",
    "totals": "40000 80000 110000 150000 200000 260000 320000 400000",  # Asked of all links together; then everything.
    "seconds": 1.0,
    "skip_s": 0.3,
    "bytes": 1470,
    "pings": 50,
}

HERE = Path(__file__).resolve().parent
RELAY = HERE.parent / "build" / "relay"
PORT = 9000
FIXED_TOTAL = 40000  # The request at which the paper compares chains of different lengths.
SETTLE_S = 120.0  # For the frames of an overload to be gone.

#: What the sender says, what the receiver says, and the share of a core that the simulator used, if that is known.
Step = tuple[dict[str, Any], dict[str, Any], float | None]


async def experiment(bed: Testbed) -> dict[str, Any]:
    """Measure one way."""
    asked = bed.parameters
    links = len(bed.guests) - 1
    totals = [float(word) for word in asked["totals"].split()] + [0.0]
    rates = [total / links for total in totals]
    rtts_ms, steps = await (relayed(bed, rates) if asked["way"] == "relay" else emulated(bed, rates))
    curve = [
        {
            "asked": total,
            "offered": links * sent["sent"] / sent["seconds"],
            "carried": links * received["received"] / asked["seconds"],
            "cpu": cpu,
        }
        for total, (sent, received, cpu) in zip(totals, steps, strict=True)
    ]
    peak = max(curve, key=lambda step: step["carried"])
    fixed = [step["carried"] for step in curve if step["asked"] == FIXED_TOTAL]
    return {
        "peak_total_pps": peak["carried"],
        "overload_total_pps": curve[-1]["carried"],
        "overload_share": curve[-1]["carried"] / peak["carried"],
        "overload_offered": curve[-1]["offered"],
        **({"fixed_total_pps": fixed[0]} if fixed else {}),
        **({"cpu": peak["cpu"]} if peak["cpu"] is not None else {}),
        "rtt": statistics.median(rtts_ms),
        "curve": curve,
    }


def commands(bed: Testbed, flow: str, address: str, rate: float) -> tuple[str, str]:
    """What receives a flow, and what sends it."""
    asked = bed.parameters
    return (
        f"{flow} receive {PORT} --skip {asked['skip_s']} --seconds {asked['seconds']} --wait 10",
        f"{flow} send {address} {PORT} --rate {rate} --bytes {asked['bytes']}"
        f" --seconds {asked['skip_s'] + asked['seconds'] + 0.3}",
    )


async def emulated(bed: Testbed, rates: Sequence[float]) -> tuple[list[float], list[Step]]:
    """Return round trips in ms, and for each rate what the sender and the receiver say, and the simulator's CPU use."""
    names = list(bed.guests)
    first, last = bed.guests[names[0]], bed.guests[names[-1]]
    assert last.address is not None
    for guest in (first, last):
        await guest.copy_to(udp_flow(), "/tmp/udp-flow")
        await guest.succeed("chmod +x /tmp/udp-flow")

    async def settle() -> None:
        """Wait until round trips are short: what an overload left behind is no part of what follows."""
        await first.wait_until_succeeds(
            f"ping -c 3 -i 0.02 -W 1 {last.address} | grep -E 'time=([0-9]|[0-9]\\.[0-9]+) ms'", timeout_s=SETTLE_S
        )

    await settle()
    pings = await first.succeed(f"ping -c {bed.parameters['pings']} -i 0.02 {last.address}")
    steps: list[Step] = []
    for rate in rates:
        await settle()
        receive, send = commands(bed, "/tmp/udp-flow", last.address, rate)
        cpu: list[float] = []

        async def watch(cpu: list[float] = cpu) -> None:
            await bed.sleep(bed.parameters["skip_s"])
            started_s, used_s = bed.now_s, bed.simulator_cpu_s
            await bed.sleep(bed.parameters["seconds"])
            cpu.append((bed.simulator_cpu_s - used_s) / (bed.now_s - started_s))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            done = await bed.run(Task(f"{rate:.0f}", {last.name: receive, first.name: send}))
        steps.append((json.loads(done[first.name].output), json.loads(done[last.name].output), cpu[0]))
    return times(pings), steps


async def relayed(bed: Testbed, rates: Sequence[float]) -> tuple[list[float], list[Step]]:
    """The same of a relay, whose CPU use is not told."""
    assert RELAY.exists(), f"{RELAY} is not built; `make bench` builds it"
    flow = str(udp_flow())
    receive_send = [word for rate in rates for word in commands(bed, flow, "10.0.0.2", rate)]
    arguments = [str(RELAY), str(len(bed.guests)), str(bed.parameters["pings"]), *receive_send]
    done = await trio.run_process([sys.executable, str(HERE / "relay_chain.py"), *arguments], capture_stdout=True)
    pings, *steps = done.stdout.decode().splitlines()
    return times(json.loads(pings)), [(*json.loads(line), None) for line in steps]


def times(output: str) -> list[float]:
    """The round trips of a ping's output, in ms."""
    return [float(text) for text in re.findall(r"time=([0-9.]+) ms", output)]

"""What a chain of bridging machines carries: datagrams from its first machine to its last, at a rate that is asked for.

Every inner machine bridges its two interfaces, so each datagram crosses every link: a chain of N machines that
delivers D datagrams a second carries D * (N - 1) of them, which is ``total_pps``.
"""

import json
import re
import statistics

import trio

from qemunet import Task
from qemunet.errors import InputError
from qemunet.native import udp_flow

# rate_pps=0 asks for as many datagrams as the first machine can send.
PARAMETERS = {"rate_pps": 10000, "seconds": 5.0, "bytes": 1470, "pings": 20}

RANGES = {"rate_pps": (0, 10**9), "seconds": (0.001, 10**5), "bytes": (8, 65507), "pings": (1, 10**6)}
PORT = 9000
SKIP_S = 0.5  # From the first datagram on, before what arrives is counted.


def refuse_nonsense(asked, names):
    """Say what is wrong with what is asked for, before anything is measured."""
    for name, (least, most) in RANGES.items():
        if not least <= asked[name] <= most:
            raise InputError(f"parameter {name}: {asked[name]} is out of range; it is {least} to {most}")
    if len(names) < 2:
        raise InputError(f"{len(names)} machine is no chain; it takes two or more")


async def experiment(bed):
    asked = bed.parameters
    names = list(bed.guests)
    refuse_nonsense(asked, names)
    first, last = bed.guests[names[0]], bed.guests[names[-1]]
    for guest in (first, last):
        await guest.copy_to(udp_flow(), "/tmp/udp-flow")
        await guest.succeed("chmod +x /tmp/udp-flow && /tmp/udp-flow receive 9 --skip 0 --seconds 0 --wait 0")

    await first.wait_until_succeeds(f"ping -c 1 -w 1 {last.address}", timeout_s=30)
    pings = await first.succeed(f"ping -c {asked['pings']} -i 0.02 {last.address}")
    rtts_ms = [float(text) for text in re.findall(r"time=([0-9.]+) ms", pings)]

    flow = Task(
        "flow",
        {
            last.name: f"/tmp/udp-flow receive {PORT} --skip {SKIP_S} --seconds {asked['seconds']} --wait 10",
            first.name: f"/tmp/udp-flow send {last.address} {PORT} --rate {asked['rate_pps']}"
            f" --bytes {asked['bytes']} --seconds {asked['seconds'] + SKIP_S + 0.5}",
        },
    )
    cpu = {}

    async def watch_simulator():
        await bed.sleep(SKIP_S)
        started_s, used_s = bed.now_s, bed.simulator_cpu_s
        await bed.sleep(asked["seconds"])
        cpu["share"] = (bed.simulator_cpu_s - used_s) / (bed.now_s - started_s)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_simulator)
        done = await bed.run(flow)
    sent, received = json.loads(done[first.name].output), json.loads(done[last.name].output)
    offered_pps = sent["sent"] / sent["seconds"]
    delivered_pps = received["received"] / asked["seconds"]
    return {
        "requested_pps": asked["rate_pps"] or offered_pps,
        "offered_pps": offered_pps,
        "delivered_pps": delivered_pps,
        "total_pps": delivered_pps * (len(names) - 1),
        "cpu": cpu["share"],
        "rtt": statistics.median(rtts_ms),
    }

"""First look at a pair: median round trip, and UDP throughput of the link when it is offered all it can carry."""

import re
import statistics

from qemunet import Daemon, Task

PARAMETERS = {"load": "10M", "seconds": 5, "pings": 20}


async def experiment(bed):
    server = bed.guests["server"].address
    pings = bed.parameters["pings"]

    # The first round trip resolves addresses (ARP), so it is not counted.
    done = await bed.run(Task("ping", {"client": f"ping -c {pings + 1} -i 0.2 {server}"}))
    round_trips_ms = [float(text) for text in re.findall(r"time=([0-9.]+) ms", done["client"].output)][1:]

    # A server that outlives its Task, so that it surely listens before the client sends.
    await bed.run(Task("serve", {"server": Daemon("iperf -s -u", until="run")}))
    await bed.guests["server"].wait_until_succeeds("grep -q ':1389 ' /proc/net/udp /proc/net/udp6")  # port 5001

    done = await bed.run(
        Task(
            "throughput",
            {"client": f"iperf -c {server} -u -b {bed.parameters['load']} -t {bed.parameters['seconds']} -f k"},
        )
    )
    return {
        "round_trip_median_ms": statistics.median(round_trips_ms),
        "round_trips": len(round_trips_ms),
        "throughput_mbps": received_mbps(done["client"].output),
    }


def received_mbps(output):
    """What iperf's server reported back to the client, in Mbit/s."""
    _, _, text = output.partition("Server Report:")
    rates = re.findall(r"([0-9.]+) Kbits/sec", text)
    assert rates, f"iperf's server did not report back:\n{output}"
    return float(rates[0]) / 1000

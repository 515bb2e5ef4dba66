"""Every pair is reachable, and round trips are what the delays along the shortest path say; passes when all are."""

from itertools import permutations

import networkx

from qemunet import Task
from qemunet.units import parse_time_ns

PARAMETERS = {"pairs": 10, "allowed_ms": 1.0, "allowed_share": 0.02}


def shortest_ms(topology):
    """Return the delays there and back of the shortest path between any two nodes, in milliseconds."""
    graph = networkx.DiGraph()
    for _, _, link in topology.graph().edges(data=True):
        there, _, back = link.get("delay", "0").partition("/")
        ends = list(link["interfaces"])  # nodes in the order of the link's ends, as A and B of A/B are
        for one, other, delay in ((*ends, there), (*reversed(ends), back or there)):
            delay_ms = parse_time_ns(delay) / 1e6
            if not graph.has_edge(one, other) or delay_ms < graph.edges[one, other]["ms"]:
                graph.add_edge(one, other, ms=delay_ms)
    return dict(networkx.all_pairs_dijkstra_path_length(graph, weight="ms"))


async def experiment(bed):
    names = [name for name in bed.guests if bed.guests[name].address is not None]
    for target in names:
        ping = f"ping -c 1 -w 10 {bed.guests[target].address}"
        await bed.run(Task(f"reach {target}", {name: ping for name in names if name != target}))

    one_way_ms = shortest_ms(bed.topology)
    pairs = list(permutations(names, 2))
    chosen = bed.random.sample(pairs, min(bed.parameters["pairs"], len(pairs)))
    worst = 0.0
    for one, other in chosen:
        output = await bed.guests[one].succeed(f"ping -q -c 5 -i 0.2 {bed.guests[other].address}")
        least_ms = float(output.rpartition("= ")[2].split("/")[0])
        expected_ms = one_way_ms[one][other] + one_way_ms[other][one]
        allowed_ms = bed.parameters["allowed_ms"] + bed.parameters["allowed_share"] * expected_ms
        worst = max(worst, abs(least_ms - expected_ms) / allowed_ms)
        assert worst <= 1, f"{one} to {other} and back: {least_ms} ms, the delays are {expected_ms} ms"
    return {"pairs_reached": len(pairs), "worst_share_of_allowed": worst}

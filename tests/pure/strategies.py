"""Topologies for property tests: random ones, made as text, with everything that the format has."""

from __future__ import annotations

from hypothesis import strategies as st

from qemunet.errors import TopologyError
from qemunet.topology import Topology, parse_topology
from qemunet.topology.formats.text_writer import quoted

NAMES = ["a", "b-1", "C_", "n01", "n02", "yes", "null", "x" * 32, "air", "no"]
TEXTS = st.text(
    st.sampled_from("ab 1#'\"\\$ {}()[]:,&*!|>%@`~-=?\t")
    | st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
    max_size=12,
) | st.sampled_from(["", "yes", "null", "~", "010", "1e3", "10:11:22:33:44:55", "${x}", "$${", "- a", "a: b", "#x"])
_SHARES = st.sampled_from(["0", "1%", "0.5/0.25", "100%/0"])
_TIMES = st.sampled_from(["0", "3ms", "1.5us/2ns", "20ms/5ms"])
_DELAYS = _TIMES | st.sampled_from(
    ["uniform(1ms, 2ms)", "5ms/normal(mean=12.6ms, p99=26.1ms, min=1ms)", "mixture(0.9:uniform(1ms,2ms), 0.1:9ms)"]
)
_RATES = st.sampled_from(["1Gbps", "10Mbps/1.5Mbps", "9.6kbps"])

NODE_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "append": TEXTS,
        "label": TEXTS,
        "memory": st.sampled_from(["64MiB", "1GiB"]),
        "cpu": st.sampled_from(["max,pauth=off", "host"]),
        "attach": st.just("native"),
        "bridge": st.sampled_from(["yes", "no", "auto"]),
        "qemu_args": st.sampled_from(["-device 'x y'", '-name "a b"', ""]),
    },
)
# Types by the keys that they have; what ns-3 builds itself has fewer than a guest.
NS3_NODE_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "label": TEXTS,
        "position": st.sampled_from(["0,0", "-1.5,2e2,3"]),
        "mobility": st.just("RandomWalk2d"),
        "mobility.Bounds": st.just("-5|5|-5|5"),
        "area": st.just("-5,-5,5,5"),
    },
)
NODE_TYPES = {
    "qemu": NODE_KEYS,
    "container": NODE_KEYS,
    "host": NS3_NODE_KEYS,
    "router": NS3_NODE_KEYS,
    "olsr": NS3_NODE_KEYS,
    "bridge": NS3_NODE_KEYS,
}
WIRE_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "rate": _RATES,
        "delay": _DELAYS,
        "pcap": st.just("yes"),
        "jitter": _TIMES,
        "loss": _SHARES,
        "queue": st.sampled_from(["0", "10/1000"]),
        "mtu": st.sampled_from(["1400", "9000/1500"]),
    },
)
CSMA_KEYS = st.fixed_dictionaries(
    {},
    optional={"rate": st.just("100Mbps"), "delay": st.just("2us"), "subnet": st.sampled_from(["none", "10.7.0.0/16"])},
)
P2P_KEYS = st.fixed_dictionaries({}, optional={"rate": _RATES, "delay": st.just("3ms"), "device.Mtu": st.just("1400")})
WIFI_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "standard": st.just("80211n-5GHz"),
        "phy.TxPowerStart": st.just("16"),
        "manager": st.just("ns3::ConstantRateWifiManager"),
        "manager.DataMode": st.just("HtMcs7"),
        "range": st.just("100"),
    },
)
LINK_TYPES = {"wire": WIRE_KEYS, "p2p": P2P_KEYS, "csma": CSMA_KEYS}
LAN_TYPES = {"csma": CSMA_KEYS, "wifi": WIFI_KEYS}
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "ipv6": st.just("fd00::/48"),
        "seed": st.sampled_from(["0", "7"]),
        "routing": st.sampled_from(["none", "static"]),
        "lag_max": st.just("10ms"),
        "door_drops": st.just("0.5%"),
        "deadline": st.sampled_from(["5ms", "100us"]),
        "deadline_misses": st.just("1%"),
        "simulator_cpu": st.just("0.9"),
        "host_saturation": st.just("50%"),
        "hard_limit": st.just("1s"),
        "busy_poll": st.sampled_from(["yes", "no"]),
        "ns3::WifiRemoteStationManager::RtsCtsThreshold": st.just("100"),
    },
)
ADDRESSES = ["", "@10.0.0.7/24", "@10.9.9.9", "@fd01::1", "@10.0.1.1/25,fd02::9/64", "@192.0.2.1/31"]


def _pairs(values: dict[str, str]) -> str:
    return " ".join(quoted(f"{key}={value}") for key, value in values.items())


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Return topologies that are right."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    lines = [f"option {_pairs(options)}" for options in [draw(OPTIONS)] if options]
    for name in names:
        type_name = draw(st.sampled_from(["qemu", "container", *NODE_TYPES]))
        line = f"node {name} {type_name} {_pairs(draw(NODE_TYPES[type_name]))}"
        if _is_right([*lines, line]):
            lines.append(line)
    names = [line.split()[1] for line in lines if line.startswith("node")]
    if not names:
        return parse_topology("\n".join(lines))
    for number in range(draw(st.integers(0, 8))):
        ends = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4))
        words = [
            end + draw(st.sampled_from(["", "", ":eth3", ":wan"])) + draw(st.sampled_from(ADDRESSES)) for end in ends
        ]
        if draw(st.booleans()) and len(ends) > 1:
            name = draw(st.sampled_from(["", "", f"name=l{number}", f"name={'-'.join(ends[:2])}"[:37]]))
            type_name = draw(st.sampled_from(["wire", *LINK_TYPES]))
            line = f"link {' '.join(words[:2])} {type_name} {name} {_pairs(draw(LINK_TYPES[type_name]))}"
        else:
            type_name = draw(st.sampled_from(["csma", *LAN_TYPES]))
            name = draw(st.sampled_from(["air", "l", f"lan{number}"]))
            line = f"lan {name} {type_name} {' '.join(words)} {_pairs(draw(LAN_TYPES[type_name]))}"
        # What does not fit to the lines before (an interface or address used twice, a link to itself) is left out.
        if _is_right([*lines, line]):
            lines.append(line)
    return parse_topology("\n".join(lines))


def _is_right(lines: list[str]) -> bool:
    try:
        parse_topology("\n".join(lines))
    except TopologyError:
        return False
    return True

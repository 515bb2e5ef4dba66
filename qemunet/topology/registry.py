"""What a topology may say: one table of keys for each node type, link type and for the options.

A row is a key, what kind of value it takes, its parser and a sentence of documentation. A name that the format has
but this version cannot build is a row too, without parser, so that it is refused as what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from qemunet.topology import keys, places, wifi_keys
from qemunet.topology.delays import parse_delay
from qemunet.topology.plugins import AnyOf, Types
from qemunet.units import parse_share, parse_size_bytes, parse_time_ns


@dataclass(frozen=True)
class Key:
    """A key of a statement.

    Attributes:
        kind: What its value is, in a word or two.
        doc: What it does.
        parse: Reads the value or raises ValueError; None: not available in this version.
        types: Of a key ``PREFIX.X``, which stands for all ns-3 attributes X: the types that may have them; empty: another
            key says which.
        may_be_empty: An empty value says nothing, as if the key were not written; a parameter can be its default.
    """

    kind: str
    doc: str
    parse: Callable[[str], object] | None
    types: tuple[str, ...] = ()
    may_be_empty: bool = False


Keys = Mapping[str, Key]


@dataclass(frozen=True)
class NodeType:
    """A type of node.

    Attributes:
        doc: What it is, in a sentence.
        keys: What a statement may say of it, beside what every node has.
        role: ``guest``: something runs behind it; ``host``: an ns-3 node with an Internet stack; ``router``: one that
            also passes packets on; ``bridge``: an ns-3 node that joins its links into one segment.
        available: False for one that this version cannot build.
        unused: Keys that are accepted and mean nothing to it.
        build: ``package.module:function`` that completes the ns-3 node, called as ``function(ns, node, attributes)``.
    """

    doc: str
    keys: Keys = field(default_factory=dict)
    available: bool = True
    unused: frozenset[str] = frozenset()
    role: Literal["guest", "host", "router", "bridge"] = "guest"
    build: str | None = None


@dataclass(frozen=True)
class LinkType:
    """A type of link or lan.

    Attributes:
        doc: What it is, in a sentence.
        keys: What a statement may say of it, beside what every link has.
        ends: How many it has at most; None is any number.
        tapbridge: Whether a guest can be joined to it by tapbridge; if not, the reason.
        available: False for one that this version cannot build.
        bridging: Whether a bridging guest or a bridge can be joined to it; if not, the reason.
        build: ``package.module:function`` that makes it in ns-3, called as ``function(ns, nodes, addresses, attributes)``.
    """

    doc: str
    keys: Keys = field(default_factory=dict)
    ends: int | None = None
    tapbridge: bool | str = True
    available: bool = True
    bridging: bool | str = True
    build: str | None = None


def _later(kind: str, doc: str) -> Key:
    return Key(kind, doc, None)


def _attributes(of: str, *types: str) -> Key:
    return Key("as ns-3 takes it", f"Any ns-3 attribute X of {of}.", keys.anything, types)


_ATTACH = Key("native or tapbridge", "How a guest is joined to the simulation.", keys.one_of("native", "tapbridge"))
_PCAP = Key("yes or no", "Record frames, in pcap/NODE-INTERFACE.pcap of the run.", keys.one_of("yes", "no"))

_STACK_KEYS: Keys = {
    "pcap": _PCAP,
    "position": Key("x,y or x,y,z in metres", "Where it stands.", places.position_m),
    "step": Key("x,y or x,y,z in metres", "From one node of a range to the next; A/B: for each range.", places.steps_m),
    "mobility": Key("ns-3 type", "How it moves; ConstantPosition where nothing is said.", places.mobility),
    "velocity": Key("x,y or x,y,z in m/s", "With mobility=ConstantVelocity.", places.velocity_mps),
    "area": Key("left,lower,right,upper in metres", "Where a random model moves; 0,0,100,100.", places.area_m),
    "mobility.X": _attributes("its mobility model"),
    "label": Key("text", "What a drawing calls it.", keys.anything),
}

_NODE_KEYS: Keys = {"attach": _ATTACH, **_STACK_KEYS}

_QEMU_KEYS: Keys = {
    "image": Key("name", "Guest image; tiny where neither kernel nor drive is given.", keys.image, may_be_empty=True),
    "arch": Key("architecture", "As QEMU names it; x86_64 where nothing is said.", keys.arch),
    "cpu": Key("QEMU CPU model", "With features after commas.", keys.word),
    "cpus": Key("number", "Processors; 1 where nothing is said.", keys.cpus),
    "memory": Key("size", "Whole MiB; 128MiB where nothing is said.", keys.memory_mib),
    "machine": Key("QEMU machine", "With options after commas.", keys.word),
    "accel": Key("auto, kvm or tcg", "Hardware virtualization.", keys.one_of("auto", "kvm", "tcg")),
    "kernel": Key("file", "Kernel in place of the image's.", keys.file),
    "initrd": Key("file", "Initial ramdisk in place of the image's.", keys.file),
    "append": Key("text", "Added to the kernel's command line.", keys.anything),
    "drive": Key("file", "Disk image, qcow2 or raw; never written.", keys.file),
    "nic": Key("QEMU device", "Interface model; virtio-net-pci where nothing is said.", keys.word),
    "qemu_args": Key("arguments", "Added to QEMU's command line.", keys.arguments),
    "bridge": Key(
        "yes, no or auto",
        "All its interfaces are joined by a bridge br0 inside it; auto: if it has more than one.",
        keys.one_of("yes", "no", "auto"),
    ),
    "console": Key(
        "image or serial",
        "image: as guest-images/README.md says; serial: a login or a root shell on the one serial port.",
        keys.one_of("image", "serial"),
    ),
    "user": Key("name", "Who logs in on a serial console; root where nothing is said.", keys.user),
    "password": Key("text", "For that login; none where nothing is said.", keys.password),
    "disk": _later("size", "Size of a disk."),
    "snapshot": _later("yes or no", "Restore from saved state in place of booting."),
    **_NODE_KEYS,
}

_UNUSED = "Accepted, so that a qemu node's keys fit a container; unused."

_MACHINE_KEYS = frozenset(_QEMU_KEYS) - frozenset(_NODE_KEYS) - {"image", "disk", "bridge"}

_CONTAINER_KEYS: Keys = {
    # What only a machine has is read all the same: a mistake in it is one.
    **{key: Key(_QEMU_KEYS[key].kind, _UNUSED, _QEMU_KEYS[key].parse) for key in sorted(_MACHINE_KEYS)},
    "snapshot": Key("yes or no", _UNUSED, keys.one_of("yes", "no")),
    "image": Key(
        "directory", "What it sees as its root; this computer's where nothing is said.", keys.file, may_be_empty=True
    ),
    "disk": Key("size", "What it may write; 64MiB where nothing is said.", keys.disk_mib),
    "bridge": _QEMU_KEYS["bridge"],
    **_NODE_KEYS,
}

_LINK_KEYS: Keys = {
    "name": Key("name", "What it is called; A-B where nothing is said.", keys.name),
    "subnet": Key("network or none", "Network of its segment.", keys.subnets),
    "pcap": _PCAP,
}

_WIRE_KEYS: Keys = {
    "rate": Key("rate, A/B", "Unlimited where nothing is said.", keys.both(keys.link_rate)),
    "delay": Key("time or distribution, A/B", "Propagation delay; 0 where nothing is said.", keys.both(parse_delay)),
    "jitter": Key("time, A/B", "Half width of a uniform addition to the delay.", keys.both(parse_time_ns)),
    "loss": Key("share, A/B", "Frames lost.", keys.both(parse_share)),
    "duplicate": Key("share, A/B", "Frames sent twice.", keys.both(parse_share)),
    "reorder": Key("share, A/B", "Frames that may overtake.", keys.both(parse_share)),
    "queue": Key("frames, A/B", "Frames that may wait; 1000 where nothing is said.", keys.both(keys.queue_frames)),
    "mtu": Key("bytes, A/B", "MTU of the ends; 1500 where nothing is said.", keys.both(keys.mtu_bytes)),
    "device.X": _attributes("its devices", "ns3::qemunet::WireNetDevice"),
    "channel.X": _attributes("its channel", "ns3::qemunet::WireChannel"),
    **_LINK_KEYS,
}

_CSMA_KEYS: Keys = {
    "rate": Key("rate", "Of the shared channel.", keys.one_rate),
    "delay": Key("time", "Propagation delay; the channel stays busy for it.", keys.one_delay),
    "loss": Key("share", "Frames lost.", keys.one_share),
    "mtu": Key("bytes", "MTU of the ends; 1500 where nothing is said.", keys.one_mtu),
    "device.X": _attributes("its devices", "ns3::CsmaNetDevice"),
    "channel.X": _attributes("its channel", "ns3::CsmaChannel"),
    **_LINK_KEYS,
}

_WIFI_KEYS: Keys = {
    "mode": Key(
        "adhoc or infrastructure",
        "infrastructure: an access point and stations; so where ap= names one, else adhoc.",
        keys.one_of("adhoc", "infrastructure"),
    ),
    "ap": Key("node", "The access point; the first end where nothing is said.", keys.name),
    "ssid": Key("text", "Name of the network; that of the link where nothing is said.", wifi_keys.ssid),
    "standard": Key("standard", f"{wifi_keys.DEFAULT_STANDARD} where nothing is said.", wifi_keys.standard),
    "manager": Key("ns-3 type", "Rate control; Ideal where nothing is said.", wifi_keys.model(wifi_keys.MANAGER)),
    "rate": Key("rate or ns-3 mode", "A constant rate of the standard's.", wifi_keys.rate),
    "propagation": Key("ns-3 type", "Loss of signals; LogDistance.", wifi_keys.loss),
    "propagation_delay": Key("ns-3 type", "Delay of signals; ConstantSpeed.", wifi_keys.model(wifi_keys.DELAY)),
    "range": Key("metres", "Nothing is heard beyond it.", wifi_keys.range_m),
    "mtu": Key("bytes", "MTU of the ends; 1500 where nothing is said.", wifi_keys.mtu_bytes),
    "device.X": _attributes("its devices", "ns3::WifiNetDevice"),
    "channel.X": _attributes("its channel", "ns3::YansWifiChannel"),
    "phy.X": _attributes("its PHYs", "ns3::YansWifiPhy"),
    "mac.X": _attributes("its MACs", "ns3::AdhocWifiMac", "ns3::StaWifiMac", "ns3::ApWifiMac"),
    "manager.X": _attributes("its rate control"),
    "propagation.X": _attributes("its model of losses"),
    "propagation_delay.X": _attributes("its model of delays"),
    **_LINK_KEYS,
}

_P2P_KEYS: Keys = {
    "rate": Key("rate, A/B", "Unlimited where nothing is said.", keys.both(keys.link_rate)),
    "delay": Key("time", "Propagation delay; 0 where nothing is said.", keys.one_delay),
    "loss": Key("share, A/B", "Packets lost.", keys.both(parse_share)),
    "queue": Key("packets, A/B", "Packets that may wait; 1000 where nothing is said.", keys.both(keys.queue_frames)),
    "mtu": Key("bytes, A/B", "MTU of the ends; 1500 where nothing is said.", keys.both(keys.mtu_bytes)),
    "device.X": _attributes("its devices", "ns3::PointToPointNetDevice"),
    "channel.X": _attributes("its channel", "ns3::PointToPointChannel"),
    **_LINK_KEYS,
}

_BUILT_IN_NODE_TYPES: Mapping[str, NodeType] = {
    "qemu": NodeType("A QEMU machine.", _QEMU_KEYS),
    "container": NodeType("Namespaces on the host's kernel.", _CONTAINER_KEYS, unused=_MACHINE_KEYS),
    "host": NodeType("An ns-3 node with an Internet stack.", _STACK_KEYS, role="host"),
    "router": NodeType("An ns-3 node that passes packets on, by static routes.", _STACK_KEYS, role="router"),
    "olsr": NodeType("An ns-3 router running OLSR that announces its other subnets.", _STACK_KEYS, role="router"),
    "bridge": NodeType("An ns-3 bridge.", _STACK_KEYS, role="bridge"),
}

_BUILT_IN_LINK_TYPES: Mapping[str, LinkType] = {
    "wire": LinkType(
        "A cable with impairments per direction.",
        _WIRE_KEYS,
        ends=2,
        tapbridge="a wire takes frames from native doors only; use link type csma or attach=native",
    ),
    "csma": LinkType("ns-3's CSMA channel, a shared Ethernet.", _CSMA_KEYS),
    "p2p": LinkType(
        "ns-3's point-to-point channel: IPv4 and IPv6 only.",
        _P2P_KEYS,
        ends=2,
        tapbridge="a p2p link has no Ethernet for a TapBridge to join; use attach=native, or link type csma",
        bridging="a p2p link carries packets without Ethernet addresses, which a bridge cannot pass on; "
        "use link type wire or csma, or remove the bridge",
    ),
    "wifi": LinkType("ns-3's Wi-Fi: ad hoc, or an access point and stations.", _WIFI_KEYS),
}

NODE_TYPES = Types("node", NodeType, _BUILT_IN_NODE_TYPES)
LINK_TYPES = Types("link", LinkType, _BUILT_IN_LINK_TYPES)

OPTIONS: Keys = {
    "attach": _ATTACH,
    "simulator": Key("qemunet or ns3", "ns3: its own real-time simulator.", keys.one_of("qemunet", "ns3")),
    "ipv6": Key("network", "Block from which every segment takes a /64.", keys.ipv6_block),
    "seed": Key("number", "Seed of a run that is given none.", keys.seed),
    "routing": Key(
        "static or none",
        "static: routes of least delay are filled in everywhere; none: they are the guests' affair.",
        keys.one_of("static", "none"),
    ),
    "lag_p99": Key("time", "99 % of the events may run so late.", parse_time_ns),
    "lag_max": Key("time", "No event may run later.", parse_time_ns),
    "deadline": Key("time", "Events later than this are counted as deadline misses.", keys.positive_time),
    "deadline_misses": Key("share", "Share of the events that may miss their deadline.", parse_share),
    "door_drops": Key("share", "Share of frames that the doors may drop.", parse_share),
    "output_limit": Key("size", "Output of one command that is kept.", parse_size_bytes),
    "start_skew": Key("time", "Commands of a Task may start so far apart.", parse_time_ns),
    "simulator_cpu": Key("share", "Share of a processor that the simulator may use, of the whole run.", parse_share),
    "host_saturation": Key("share", "Share of the run in which the computer may have no processor free.", parse_share),
    "hard_limit": Key("time", "The run ends as soon as an event is later than this.", keys.positive_time),
    "busy_poll": Key(
        "yes or no", "The simulator hardly sleeps, and takes a processor of its own.", keys.one_of("yes", "no")
    ),
    "ns3::X": Key("as ns-3 takes it", "Default of any ns-3 attribute, as ns3::TYPE::ATTRIBUTE.", keys.anything),
}

TYPE_NAMES: Container[str] = AnyOf(NODE_TYPES, LINK_TYPES)
"""Reserved: no node may have such a name."""


def keys_of(what: str) -> Keys:
    """Keys of a node type, a link type, or of all node (``node``) or link types (``link``)."""
    if what in ("node", "link"):
        merged: dict[str, Key] = {}
        for one in (NODE_TYPES if what == "node" else LINK_TYPES).loadable():
            for key, row in keys_of_type(one).items():
                # Which attributes there are depends on the type: a default for any type has none of one type's.
                if not row.types:
                    merged[key] = _either(merged[key], row) if key in merged else row
        return merged
    return keys_of_type(NODE_TYPES[what] if what in NODE_TYPES else LINK_TYPES[what])


def _either(first: Key, second: Key) -> Key:
    """Return a row that takes what one or the other takes, for a key that means something else to two types."""
    if first.parse is None or second.parse is None or first.parse is second.parse:
        return first if first.parse is not None else second
    one, other = first.parse, second.parse

    def parse(text: str) -> object:
        try:
            return one(text)
        except ValueError as error:
            try:
                return other(text)
            except ValueError:
                raise error from None

    return replace(first, parse=parse, may_be_empty=first.may_be_empty or second.may_be_empty)


def keys_of_type(one: NodeType | LinkType) -> Keys:
    """Keys of a type; those that a type of somebody else says nothing of are what all have."""
    if one.build is None:
        return one.keys
    usual = {**_LINK_KEYS, "mtu": _CSMA_KEYS["mtu"]} if isinstance(one, LinkType) else _STACK_KEYS
    return {**usual, **one.keys}

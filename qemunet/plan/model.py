"""What a Plan is: frozen data that says exactly what will be built, before anything is.

Every part that builds something (host, simulation, guest) reads its own piece of it and nothing else. A Plan is made
of strings, numbers, tuples and mappings, so that ``plan.json`` is the whole of it. Units are in the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from qemunet.topology.delays import LONGEST_NS

CONSOLES = ("shell", "control", "spare1", "spare2", "spare3", "spare4")
"""A machine's virtio consoles, hvc0 and on: for the experiment's commands, for control, for copies and further shells."""

FOREIGN_CONSOLES = ("shell",)
"""Those of a machine with a login on its serial port."""

CHANNELS = {name: f"{name}-channel" for name in CONSOLES}
"""The virtio serial port beside each console, by which what its commands write comes; no terminal."""


def channel_device(console: str) -> str:
    """A machine's device of a console's channel; its consoles have the ports before."""
    return f"/dev/vport0p{len(CONSOLES) + CONSOLES.index(console)}"


Attach = Literal["native", "tapbridge"]


@dataclass(frozen=True)
class InterfacePlan:
    """One interface of a guest and the door its frames go through.

    Attributes:
        name: Its name in the guest (eth0, ...), in the order in which the devices are made.
        mac: Locally administered unicast address, ``02:..``.
        addresses: With prefix length, as ``10.0.0.1/24``.
        mtu: In bytes, as the guest's ``ip link`` says it.
        link: Name of the link or lan it is on.
        door: Number of its door, unique in the Plan; doors are numbered from 0.
        attach: How it is joined to its ns-3 node.
        host_tap: QEMU's tap on the host (tapbridge only).
        host_veth: The interface on the host that moves into the container (tapbridge only).
    """

    name: str
    mac: str
    addresses: tuple[str, ...]
    mtu: int
    link: str
    door: int
    attach: Attach
    host_tap: str | None = None
    host_veth: str | None = None


@dataclass(frozen=True)
class GuestPlan:
    """One guest.

    Attributes:
        node: Name of its node, which is also its hostname.
        type: Node type: ``qemu`` or ``container``.
        image: Name of the image, or None where ``kernel`` or ``drive`` name files; container: None.
        arch: ``x86_64`` or ``aarch64``; container: empty, it is the host's.
        accel: As asked for: ``auto``, ``kvm`` or ``tcg``; container: empty.
        memory_mib: In MiB; container: 0.
        bridge: All its interfaces are joined by a bridge ``br0`` inside it, which has the addresses.
        interfaces: In order.
        argv: QEMU's command line, empty for a container. ``${...}`` stand for what is known only at start: ``${kernel}``, ``${initrd}``
            (files of the image), ``${accel}``, ``${cpu}`` (only where the topology names no CPU: ``host`` under kvm,
            else ``emulated_cpu``), ``${fd:NAME}`` with NAME one of qmp, kernel (kernel log; only with
            ``console="image"``), those of ``console_names`` and ``channel_names``, net0, net1, ... (the n-th interface).
        kernel, initrd, drive: Files named in the topology, absolute, or None for those of the image.
        attributes: All keys of the node as written, defaults included.
        emulated_cpu: The CPU model that ``${cpu}`` stands for under tcg.
        root: container: absolute path of the directory it sees as its root; None is a machine's.
        disk_mib: container: what it may write, in MiB.
        console: ``image``: consoles as guest-images/README.md says; ``serial``: one serial port, on which the kernel's
            messages come and a login or a root shell stands.
        user: Who logs in there.
        password: For that login; None if none is needed.
        routes: As words of ``ip route add``: ``10.0.2.0/23 via 10.0.0.2 dev eth0``.
        forwards: It passes packets on.
        hop_limit: Time to live of the packets that it makes; None leaves its own.
    """

    node: str
    type: str
    image: str | None
    arch: str
    accel: str
    memory_mib: int
    bridge: bool
    interfaces: tuple[InterfacePlan, ...]
    argv: tuple[str, ...]
    kernel: str | None = None
    initrd: str | None = None
    drive: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    emulated_cpu: str = "max"
    root: str | None = None
    disk_mib: int = 0
    console: Literal["image", "serial"] = "image"
    user: str = "root"
    password: str | None = None
    routes: tuple[str, ...] = ()
    forwards: bool = False
    hop_limit: int | None = None

    @property
    def console_names(self) -> tuple[str, ...]:
        """Its consoles, in order; what commands run on is ``shell``."""
        return CONSOLES if self.console == "image" else FOREIGN_CONSOLES

    @property
    def channel_names(self) -> Mapping[str, str]:
        """The channels beside its consoles, by the console's name."""
        return CHANNELS if self.console == "image" else {}


@dataclass(frozen=True)
class DelayPart:
    """A part of a delay distribution; the parts' weights add up to 1.

    Attributes:
        kind: ``uniform``: between ``first`` and ``second``. ``normal``: ``first`` is the mean and ``second`` the
            standard deviation, both in ns; ``lognormal``: both of the logarithm of the time in ns. Draws below
            ``min_ns`` or above ``max_ns`` are done again. ``values``: one of ``values_ns``.
        weight: Share of the frames whose delay comes from it.
        first, second, min_ns, max_ns: See ``kind``.
        values_ns: values: all of them.
        weights: values: their shares; empty if all are as likely.
    """

    kind: Literal["uniform", "normal", "lognormal", "values"]
    weight: float
    first: float = 0.0
    second: float = 0.0
    min_ns: int = 0
    max_ns: int = LONGEST_NS
    values_ns: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Impairments:
    """What one direction of a link does to frames.

    Attributes:
        rate_bps: Bits per second; None is unlimited.
        delay_ns: Propagation delay; where it is drawn for each frame, its mean.
        loss: Share of frames lost, 0..1, drawn per frame.
        jitter_ns: Half width of a uniform addition to the delay (never reorders by itself).
        duplicate: Share of frames sent twice.
        reorder: Share of frames that may overtake: they skip a fixed delay, or keep the one that they draw whatever
            their predecessors drew.
        queue_frames: Frames that may wait for the transmitter; one more is dropped.
        delay_parts: What each frame's delay is drawn from; empty for a fixed one.
    """

    rate_bps: int | None = None
    delay_ns: int = 0
    loss: float = 0.0
    jitter_ns: int = 0
    duplicate: float = 0.0
    reorder: float = 0.0
    queue_frames: int = 1000
    delay_parts: tuple[DelayPart, ...] = ()


@dataclass(frozen=True)
class EndPlan:
    """One end of a link in the simulation.

    Attributes:
        node: Name of the (ghost) node.
        interface: Interface name.
        mac: The guest's address. ns-3's own device gets another where the model needs one of its own.
        door: Number of the door, None where the node has no guest.
        attach: How the door is built.
        tap: The tap that ns-3's TapBridge opens (tapbridge only).
        pcap: Its frames are recorded, in the run's ``pcap/`` under ``pcap_name``.
    """

    node: str
    interface: str
    mac: str
    door: int | None
    attach: Attach | None
    tap: str | None = None
    pcap: bool = False

    @property
    def pcap_name(self) -> str:
        """Name of the file in which its frames are recorded."""
        return f"{self.node}-{self.interface}.pcap"


@dataclass(frozen=True)
class ModelPlan:
    """An object of ns-3's.

    Attributes:
        type: Name of its TypeId.
        attributes: As ns-3 takes them, as text.
    """

    type: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WifiPlan:
    """What a Wi-Fi has beyond what every link has.

    Attributes:
        standard: As ns-3 names it, such as ``802.11g``.
        channel: The PHYs' ChannelSettings.
        ssid: Name of the network.
        macs: Type of the MAC of each end.
        mac_attributes: Attributes of the MACs by their type.
        manager: Rate control.
        losses: What signals lose, one after the other.
        delay: How long they take.
    """

    standard: str
    channel: str
    ssid: str
    macs: tuple[str, ...]
    mac_attributes: Mapping[str, Mapping[str, str]]
    manager: ModelPlan
    losses: tuple[ModelPlan, ...]
    delay: ModelPlan


@dataclass(frozen=True)
class MobilityPlan:
    """Where a node is and how it moves.

    Attributes:
        node: Its name.
        model: The mobility model.
        position: At simulation time 0, in metres.
        velocity: In metres a second; None unless the model has a constant one.
        allocator: Where a model that goes from one destination to the next finds them.
    """

    node: str
    model: ModelPlan
    position: tuple[float, ...]
    velocity: tuple[float, ...] | None = None
    allocator: ModelPlan | None = None


@dataclass(frozen=True)
class LinkPlan:
    """A link or lan in the simulation.

    Attributes:
        name: As the user sees it.
        type: ``wire`` and ``p2p`` (exactly two ends), ``csma``, ``wifi``, or a type of another package.
        ends: In order of the file.
        mtu: In bytes, without the Ethernet header.
        impairments: wire, p2p: (first to second end, back). csma: one, of which rate, delay and loss are used. wifi: none.
        build: ``package.module:function`` that makes it in ns-3; None where this package does.
        attributes: Its keys as text, for that function.
        ns3: Attributes of ns-3 to set, by what has them: ``channel``, ``device``, wifi also ``phy``.
        wifi: Set for ``wifi``.
    """

    name: str
    type: str
    ends: tuple[EndPlan, ...]
    mtu: int
    impairments: tuple[Impairments, ...]
    build: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    ns3: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    wifi: WifiPlan | None = None


@dataclass(frozen=True)
class StackInterfacePlan:
    """An interface of a node that ns-3 itself plays.

    Attributes:
        name: As in its EndPlan; ``br0`` is a bridge's own.
        addresses: With prefix length.
        mtu: In bytes.
    """

    name: str
    addresses: tuple[str, ...]
    mtu: int


@dataclass(frozen=True)
class StackPlan:
    """What ns-3 itself plays on a node without guest.

    Attributes:
        node: Name of the node.
        type: Its type.
        role: ``host``: an Internet stack; ``router``: one that passes packets on; ``bridge``: its devices are ports of a bridge.
        interfaces: In order; of a bridge only ``br0``, if that has addresses.
        routes: As words of ``ip route add``: ``10.0.2.0/23 via 10.0.0.2 dev eth0``.
        olsr: It runs OLSR.
        excluded: Interfaces that OLSR does not use.
        announced: Networks that OLSR tells the others of.
        hop_limit: Time to live of the packets that it makes.
        build: ``package.module:function`` that completes it; None for a type of this package.
        attributes: Its keys as text, for that function.
    """

    node: str
    type: str
    role: Literal["host", "router", "bridge"]
    interfaces: tuple[StackInterfacePlan, ...]
    routes: tuple[str, ...] = ()
    olsr: bool = False
    excluded: tuple[str, ...] = ()
    announced: tuple[str, ...] = ()
    hop_limit: int = 64
    build: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TimingPlan:
    """How the simulation keeps time.

    Attributes:
        deadline_ns: Events later than this are counted.
        hard_limit_ns: The run ends when an event is later than this; None: however late, it goes on.
        busy_poll: Our simulator's loop hardly sleeps.
    """

    deadline_ns: int = 20_000_000
    hard_limit_ns: int | None = None
    busy_poll: bool = False


@dataclass(frozen=True)
class SimulationPlan:
    """What the ns-3 worker builds.

    Attributes:
        simulator: ``qemunet`` or ``ns3`` (stock RealtimeSimulatorImpl; tapbridge only).
        seed: Of every random stream of the run.
        nodes: Names of the ns-3 nodes, in order.
        links: In order of the file.
        stacks: Nodes that ns-3 itself plays; the others are ghost nodes of guests.
        mobility: Of the nodes that have a place in the simulation.
        defaults: ns-3 defaults (``ns3::TYPE::ATTRIBUTE``), set before anything is built.
        modules: Modules of ns-3 that defaults and models need beyond those of every run.
        timing: How it keeps time.
    """

    simulator: str
    seed: int
    nodes: tuple[str, ...]
    links: tuple[LinkPlan, ...]
    stacks: tuple[StackPlan, ...] = ()
    mobility: tuple[MobilityPlan, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    timing: TimingPlan = TimingPlan()


@dataclass(frozen=True)
class TapPlan:
    """A tap in the Run's network namespace and the bridge it is a port of.

    Attributes:
        name: At most 15 characters.
        bridge: Name of its bridge.
        side: ``simulation`` (ns-3 opens it by name) or ``guest`` (QEMU inherits its descriptor).
    """

    name: str
    bridge: str
    side: Literal["simulation", "guest"]


@dataclass(frozen=True)
class VethPlan:
    """A pair of virtual Ethernet interfaces in the Run's network namespace: a container's cable to a bridge.

    Attributes:
        name: Of the end that moves into the container; at most 15 characters.
        port: Of the end that is a port of the bridge; at most 15 characters.
        bridge: Name of its bridge.
    """

    name: str
    port: str
    bridge: str


@dataclass(frozen=True)
class HostPlan:
    """What the Run's init makes in its network namespace (nothing with native doors only)."""

    bridges: tuple[str, ...] = ()
    taps: tuple[TapPlan, ...] = ()
    veths: tuple[VethPlan, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The whole: everything a run builds.

    Attributes:
        warnings: What ``check`` says although it is allowed, as ``file:line:column: message``.
        options: Fidelity limits and the like, as in the topology.
        notes: What only ``check`` says: nothing is wrong, but not all that is written counts.
    """

    name: str
    guests: tuple[GuestPlan, ...]
    simulation: SimulationPlan
    host: HostPlan
    options: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

"""Plans: doors, taps, impairments, command lines, refusals, and JSON."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from qemunet.errors import PlanError, TopologyError
from qemunet.plan import make_plan, plan_from_json, plan_to_json
from qemunet.plan.model import GuestPlan, Impairments, Plan, TapPlan, VethPlan
from qemunet.topology import declared_parameters, parse_topology, read_topology

TOPOLOGIES = Path(__file__).parents[2] / "topologies"


def plan_of(text: str) -> Plan:
    return make_plan(parse_topology(text), seed=7, source_directory=None)


def guest(plan: Plan, node: str) -> GuestPlan:
    return next(guest for guest in plan.guests if guest.node == node)


def option_values(guest_plan: GuestPlan, option: str) -> list[str]:
    argv = guest_plan.argv
    return [value for name, value in pairwise(argv) if name == option]


def complaint(text: str, source_directory: Path | None = None) -> tuple[str, ...]:
    topology = parse_topology(text)
    with pytest.raises(PlanError) as caught:
        make_plan(topology, seed=1, source_directory=source_directory)
    return caught.value.problems


def test_pair() -> None:
    plan = make_plan(read_topology(TOPOLOGIES / "pair.txt"), seed=3, source_directory=TOPOLOGIES)
    assert (plan.name, plan.simulation.seed, plan.simulation.simulator) == ("pair", 3, "qemunet")
    assert plan.simulation.nodes == ("client", "server")
    assert not plan.host.bridges
    assert not plan.host.taps
    (link,) = plan.simulation.links
    assert link.impairments == (Impairments(rate_bps=10_000_000, delay_ns=20_000_000),) * 2
    assert [(end.door, end.attach, end.tap) for end in link.ends] == [(0, "native", None), (1, "native", None)]
    client, server = plan.guests
    assert (client.image, client.arch, client.accel, client.memory_mib) == ("tiny", "x86_64", "auto", 128)
    assert client.argv[:7] == ("qemu-system-x86_64", "-name", "client", "-machine", "pc", "-accel", "${accel}")
    assert option_values(client, "-cpu") == ["${cpu}"]
    assert client.emulated_cpu == "max,la57=off"
    assert server.argv[0] == "qemu-system-aarch64"
    assert option_values(server, "-cpu") == ["cortex-a57"]
    (append,) = option_values(server, "-append")
    assert append.startswith("console=ttyAMA0 net.ifnames=0 panic=-1")
    assert option_values(server, "-netdev") == ["socket,id=net0,fd=${fd:net0}"]
    assert server.interfaces[0].addresses == ("10.0.0.2/24",)


def test_pair_by_tapbridge() -> None:
    parameters = {"link": "csma", "delay": "10us", "attach": "tapbridge"}
    plan = make_plan(read_topology(TOPOLOGIES / "pair.txt", parameters=parameters), seed=1, source_directory=TOPOLOGIES)
    assert not plan.warnings
    assert plan.host.bridges == ("qn-br0", "qn-br1")
    assert plan.host.taps[:2] == (
        TapPlan("qn-sim0", "qn-br0", "simulation"),
        TapPlan("qn-guest0", "qn-br0", "guest"),
    )
    assert plan.simulation.links[0].ends[1].tap == "qn-sim1"
    assert plan.guests[1].interfaces[0].host_tap == "qn-guest1"
    assert option_values(plan.guests[1], "-netdev") == ["tap,id=net0,fd=${fd:net0}"]


def test_names_of_host_interfaces_fit() -> None:
    plan = plan_of("option attach=tapbridge\nnode n[1-900] qemu\nchain n[1-900] csma")
    names = [*plan.host.bridges, *(tap.name for tap in plan.host.taps)]
    assert len(set(names)) == len(names) == 3 * 2 * 899
    assert max(map(len, names)) <= 15


def test_attach_of_a_node_goes_before_that_of_its_type_and_the_option() -> None:
    plan = plan_of(
        "option attach=tapbridge\ndefault qemu attach=native\nnode a qemu\nnode b qemu attach=tapbridge\nlink a b csma"
    )
    assert [end.attach for end in plan.simulation.links[0].ends] == ["native", "tapbridge"]
    assert plan.host.bridges == ("qn-br1",)


def test_impairments_per_direction() -> None:
    plan = plan_of(
        "node a qemu\nnode b qemu\nlink a b rate=1Mbps/2Mbps delay=3ms/1us loss=1%/0 jitter=1ms duplicate=0.5 "
        "reorder=0/25% queue=10 mtu=1400/9000"
    )
    (link,) = plan.simulation.links
    assert link.impairments == (
        Impairments(1_000_000, 3_000_000, 0.01, 1_000_000, 0.5, 0.0, 10),
        Impairments(2_000_000, 1_000, 0.0, 1_000_000, 0.5, 0.25, 10),
    )
    assert link.mtu == 9000
    assert [guest.interfaces[0].mtu for guest in plan.guests] == [1400, 9000]


def test_csma_and_lan() -> None:
    plan = plan_of("node n[1-3] qemu\nlan l csma n[1-3] rate=100Mbps delay=5us loss=1%")
    (link,) = plan.simulation.links
    assert link.impairments == (Impairments(100_000_000, 5_000, 0.01),)
    assert [end.door for end in link.ends] == [0, 1, 2]


def test_interfaces_are_devices_in_order_of_their_numbers() -> None:
    plan = plan_of("node a qemu\nnode b qemu\nlink a:wan b\nlink a:eth2 b\nlink a b\nlink a:eth10 b")
    a = guest(plan, "a")
    assert [interface.name for interface in a.interfaces] == ["eth0", "eth2", "eth10", "wan"]
    assert [interface.door for interface in a.interfaces] == [4, 2, 6, 0]
    nics = [device for device in option_values(a, "-device") if "netdev=" in device]
    assert [nic.split(",mac=")[1].split(",")[0] for nic in nics] == [interface.mac for interface in a.interfaces]
    assert [nic.rpartition("addr=")[2] for nic in nics] == ["0x8", "0x9", "0xa", "0xb"]


def test_a_machine_with_many_interfaces() -> None:
    plan = plan_of("node hub qemu bridge=yes\nnode n[1-100] qemu\nstar hub n[1-100]")
    nics = [device for device in option_values(guest(plan, "hub"), "-device") if "netdev=" in device]
    assert len({nic.partition("addr=")[2] for nic in nics}) == 100
    (found,) = complaint("node hub qemu bridge=yes\nnode n[1-200] qemu\nstar hub n[1-200]")
    assert "has 200 interfaces; a QEMU machine can have 184" in found


def test_keys_of_a_machine() -> None:
    plan = plan_of(
        "node a qemu image=big cpu=qemu64,+aes cpus=3 memory=1GiB machine=q35 accel=tcg append=quiet nic=e1000 "
        "qemu_args=\"-device 'a b'\"\nnode b qemu arch=riscv64\nlink a b"
    )
    a = guest(plan, "a")
    assert (a.image, a.accel, a.memory_mib) == ("big", "tcg", 1024)
    for option, value in {"-cpu": "qemu64,+aes", "-smp": "3", "-m": "1024M", "-machine": "q35"}.items():
        assert option_values(a, option) == [value]
    assert option_values(a, "-append")[0].endswith(" quiet")
    assert a.argv[-2:] == ("-device", "a b")
    assert option_values(a, "-device")[-2].startswith("e1000,netdev=net0,")
    assert guest(plan, "b").argv[:5] == ("qemu-system-riscv64", "-name", "b", "-machine", "virt")


def test_files_are_found_beside_the_topology(tmp_path: Path) -> None:
    for name in ("k", "i", "d,e.qcow2"):
        (tmp_path / name).touch()
    text = "node a qemu kernel=k initrd=i\nnode b qemu drive='d,e.qcow2'\nnode c qemu image=tiny kernel=k"
    a, b, c = make_plan(parse_topology(text), seed=1, source_directory=tmp_path).guests
    assert (a.image, a.kernel, a.initrd) == (None, str(tmp_path / "k"), str(tmp_path / "i"))
    assert option_values(a, "-kernel") == [str(tmp_path / "k")]
    assert (b.image, b.drive) == (None, str(tmp_path / "d,e.qcow2"))
    assert option_values(b, "-drive") == [f"file={tmp_path}/d,,e.qcow2,if=none,id=drive0,format=qcow2,snapshot=on"]
    assert "-kernel" not in b.argv
    assert (c.image, c.kernel) == ("tiny", str(tmp_path / "k"))
    assert option_values(c, "-initrd") == ["${initrd}"]


def test_a_machine_with_a_login_on_its_serial_port(tmp_path: Path) -> None:
    for name in ("d", "k"):
        (tmp_path / name).touch()
    text = (
        "default qemu console=serial drive=d\nnode a qemu user=admin password='two words'\n"
        "node b qemu arch=aarch64 kernel=k append=quiet\nnode c container user=x\nnode d qemu console=image"
    )
    plan = make_plan(parse_topology(text), seed=1, source_directory=tmp_path)
    a, b, c, d = plan.guests
    assert (a.console, a.user, a.password, a.console_names) == ("serial", "admin", "two words", ("shell",))
    assert option_values(a, "-serial") == ["chardev:shell"]
    assert option_values(a, "-chardev") == ["socket,id=qmp,fd=${fd:qmp}", "socket,id=shell,fd=${fd:shell}"]
    assert not any("virtio-serial" in word or "virtconsole" in word for word in a.argv)
    assert "-append" not in a.argv
    (words,) = option_values(b, "-append")
    assert (words.split()[0], words.split()[-1], b.user, b.password) == ("console=ttyAMA0", "quiet", "root", None)
    assert (c.console, d.console, len(d.console_names)) == ("image", "image", 6)
    assert plan.notes == ("topology.txt:4:6: container c does not use user",)
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_the_image_has_no_login_on_its_serial_port() -> None:
    (found,) = complaint("node a qemu console=serial")
    assert found.startswith(
        "topology.txt:1:13: console=serial of node a: there is no login on the serial port of image"
    )


def test_a_login_needs_a_serial_console() -> None:
    found = complaint("default qemu password=x\nnode a qemu console=image user=root")
    assert [line.split(": ")[0] for line in found] == ["topology.txt:1:14", "topology.txt:2:27"]
    assert all("add console=serial, or remove" in line for line in found)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (found,) = complaint("node a qemu kernel=none", tmp_path)
    assert found == f"topology.txt:1:13: kernel of node a: there is no file {tmp_path}/none"


def test_a_kernel_command_line_needs_a_kernel(tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    (found,) = complaint("node a qemu drive=d append=quiet", tmp_path)
    assert found.startswith("topology.txt:1:21: append of node a needs a kernel")


def test_wire_takes_no_tapbridge() -> None:
    found = complaint("option attach=tapbridge\nnode a qemu\nnode b qemu\nlink a b")
    assert len(found) == 2
    assert found[0].startswith("topology.txt:4:6: ")
    assert "use link type csma or attach=native" in found[0]


def test_stock_simulator_takes_tapbridge_only() -> None:
    text = "option simulator=ns3 attach={}\nnode a qemu\nnode b qemu\nlink a b csma"
    assert "use attach=tapbridge" in complaint(text.format("native"))[0]
    assert plan_of(text.format("tapbridge")).simulation.simulator == "ns3"


@pytest.mark.parametrize(
    ("keys", "warned"),
    [
        ("rate=10Mbps delay=20ms", True),
        ("rate=10Mbps delay=1ms", False),
        ("rate=10Mbps delay=1ms mtu=500", True),
        ("delay=1us", True),
        ("rate=10Mbps", False),
        ("", False),
    ],
)
def test_busy_csma_channels_are_warned_of(keys: str, warned: bool) -> None:
    warnings = plan_of(f"node a qemu\nnode b qemu\nlink a b csma {keys}").warnings
    assert bool(warnings) == warned
    assert all("stays busy" in warning and warning.startswith("topology.txt:3:") for warning in warnings)


def test_json_round_trip() -> None:
    for file in ("pair.txt", "chain.txt"):
        plan = make_plan(read_topology(TOPOLOGIES / file), seed=1, source_directory=TOPOLOGIES)
        assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2}, "schema is 2"),
        ({"name": 3}, "plan.json.name: 3 is no str"),
        ({"more": 3}, "plan.json.more is unknown"),
        ({"guests": [{}]}, "plan.json.guests\\[0\\].argv is missing"),
        ({"host": None}, "plan.json.host"),
    ],
)
def test_json_that_is_no_plan(change: dict[str, object], says: str) -> None:
    data = plan_to_json(plan_of("node a qemu"))
    with pytest.raises(PlanError, match=says):
        plan_from_json({**data, **change})


def test_the_same_text_gives_the_same_plan_whatever_the_seed() -> None:
    text = (TOPOLOGIES / "pair.txt").read_text(encoding="utf-8")
    first = make_plan(parse_topology(text), seed=1, source_directory=None)
    second = make_plan(parse_topology(text), seed=2, source_directory=None)
    assert first.guests == second.guests


CONTAINERS = "node a container {}\nnode b qemu\nlink a b csma"


def test_a_container_takes_what_a_machine_takes() -> None:
    keys = "arch=aarch64 cpu=cortex-a57 memory=256MiB snapshot=yes kernel=/nowhere disk=8MiB bridge=auto"
    plan = plan_of("default qemu memory=1GiB\n" + CONTAINERS.format(keys))
    container, machine = plan.guests
    assert (container.type, container.arch, container.argv, container.memory_mib) == ("container", "", (), 0)
    assert (container.root, container.disk_mib, container.bridge) == ("/", 8, False)
    assert machine.memory_mib == 1024
    (note,) = plan.notes
    assert note == "topology.txt:2:6: container a does not use arch, cpu, memory, snapshot, kernel"
    assert plan_of(CONTAINERS.format("")).notes == ()


@pytest.mark.parametrize(("key", "why"), [("memory=256", "has no unit"), ("disk=1KiB", "whole number of MiB")])
def test_a_mistake_in_an_unused_key_is_one(key: str, why: str) -> None:
    with pytest.raises(TopologyError, match=why):
        parse_topology(CONTAINERS.format(key))


def test_image_of_a_container_is_a_directory(tmp_path: Path) -> None:
    text = CONTAINERS.format("image=root")
    with pytest.raises(PlanError, match="there is no directory"):
        make_plan(parse_topology(text), seed=1, source_directory=tmp_path)
    (tmp_path / "root").mkdir()
    assert make_plan(parse_topology(text), seed=1, source_directory=tmp_path).guests[0].root == str(tmp_path / "root")


def test_a_bridged_container_has_a_cable_of_its_own() -> None:
    plan = plan_of("option attach=tapbridge\n" + CONTAINERS.format(""))
    assert plan.host.bridges == ("qn-br0", "qn-br1")
    assert [tap.name for tap in plan.host.taps] == ["qn-sim0", "qn-sim1", "qn-guest1"]
    assert plan.host.veths == (VethPlan("qn-guest0", "qn-port0", "qn-br0"),)
    assert [(each.host_tap, each.host_veth) for guest in plan.guests for each in guest.interfaces] == [
        (None, "qn-guest0"),
        ("qn-guest1", None),
    ]


def test_shipped_topologies_take_containers() -> None:
    for file in sorted(TOPOLOGIES.glob("*.txt")):
        declared = declared_parameters(file)
        for attach in ("native", "tapbridge") if "attach" in declared else ("native",):
            given = {"kind": "container", "link": "csma", "attach": attach, "delay": "1us"}
            parameters = {name: value for name, value in given.items() if name in declared}
            plan = make_plan(read_topology(file, parameters=parameters), seed=1, source_directory=TOPOLOGIES)
            assert {guest.type for guest in plan.guests} == {"container"}
            assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_what_is_recorded() -> None:
    plan = plan_of(
        "default container pcap=yes\nnode a container\nnode b container\nnode c container pcap=no\n"
        "link a b\nlink b c\nlink a c pcap=yes\nlan l csma a b c pcap=no"
    )
    recorded = [end.pcap_name for link in plan.simulation.links for end in link.ends if end.pcap]
    assert recorded == ["a-eth0.pcap", "b-eth0.pcap", "b-eth1.pcap", "a-eth1.pcap", "c-eth1.pcap"]


def test_what_cannot_be_recorded() -> None:
    (problem,) = complaint(
        "node a container pcap=yes position=0,0\nnode r router position=1,0\nlan l wifi a r pcap=yes"
    )
    assert problem.startswith("topology.txt:3:16: frames of r on wifi l cannot be recorded; record them at a guest")

"""Wi-Fi in topologies and plans: modes, models, and what is refused."""

from __future__ import annotations

import json

import pytest

from qemunet.errors import TopologyError
from qemunet.plan import make_plan, plan_from_json, plan_to_json
from qemunet.plan.model import LinkPlan, ModelPlan, Plan, WifiPlan
from qemunet.topology import parse_topology
from qemunet.topology.wifi_keys import STANDARDS, mode_of_rate

NODES = "node ap s1 s2 container position=0,0,1.5 step=10,0\n"


def plan_of(text: str) -> Plan:
    return make_plan(parse_topology(text), seed=1, source_directory=None)


def wifi_of(keys: str, ends: str = "ap s1 s2", nodes: str = NODES) -> tuple[LinkPlan, WifiPlan]:
    (link,) = plan_of(f"{nodes}lan air wifi {ends} {keys}").simulation.links
    assert link.wifi is not None
    return link, link.wifi


def problems(keys: str, nodes: str = NODES) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        plan_of(f"{nodes}lan air wifi ap s1 s2 {keys}")
    return caught.value.problems


def test_ad_hoc_where_nothing_is_said() -> None:
    link, wifi = wifi_of("subnet=10.1.0.0/24 standard=80211g")
    assert wifi == WifiPlan(
        standard="802.11g",
        channel="{0, 20, BAND_2_4GHZ, 0}",
        ssid="air",
        macs=("ns3::AdhocWifiMac",) * 3,
        mac_attributes={"ns3::AdhocWifiMac": {}},
        manager=ModelPlan("ns3::IdealWifiManager"),
        losses=(ModelPlan("ns3::LogDistancePropagationLossModel"),),
        delay=ModelPlan("ns3::ConstantSpeedPropagationDelayModel"),
    )
    assert (link.type, link.mtu, link.impairments, link.ns3) == ("wifi", 1500, (), {})
    assert [end.attach for end in link.ends] == ["native"] * 3


@pytest.mark.parametrize(
    ("keys", "macs"),
    [
        ("mode=infrastructure", "Ap Sta Sta"),
        ("ap=s1", "Sta Ap Sta"),
        ("mode=infrastructure ap=s2", "Sta Sta Ap"),
        ("mode=adhoc", "Adhoc Adhoc Adhoc"),
    ],
)
def test_access_point_and_stations(keys: str, macs: str) -> None:
    _, wifi = wifi_of(keys)
    assert wifi.macs == tuple(f"ns3::{mac}WifiMac" for mac in macs.split())


def test_attributes_go_to_what_has_them() -> None:
    link, wifi = wifi_of(
        "mode=infrastructure mac.BeaconInterval=51200us mac.FrameRetryLimit=3 mac.ActiveProbing=false "
        "phy.TxPowerStart=10 phy.ChannelSettings={36,20,BAND_5GHZ,0} standard=80211a device.Mtu=1400 "
        "manager=MinstrelHt manager.RtsCtsThreshold=500 propagation=Friis propagation.MinLoss=3 range=50"
    )
    assert wifi.mac_attributes == {
        "ns3::StaWifiMac": {"ActiveProbing": "false", "FrameRetryLimit": "3"},
        "ns3::ApWifiMac": {"BeaconInterval": "51200us", "FrameRetryLimit": "3"},
    }
    assert link.ns3 == {"phy": {"TxPowerStart": "10"}, "device": {"Mtu": "1400"}}
    assert wifi.channel == "{36,20,BAND_5GHZ,0}"
    assert wifi.manager == ModelPlan("ns3::MinstrelHtWifiManager", {"RtsCtsThreshold": "500"})
    assert wifi.losses == (
        ModelPlan("ns3::FriisPropagationLossModel", {"MinLoss": "3"}),
        ModelPlan("ns3::RangePropagationLossModel", {"MaxRange": "50"}),
    )
    assert link.mtu == 1400


def test_range_alone_is_all_there_is() -> None:
    _, wifi = wifi_of("range=120.5")
    assert wifi.losses == (ModelPlan("ns3::RangePropagationLossModel", {"MaxRange": "120.5"}),)


def test_a_rate_is_constant() -> None:
    _, wifi = wifi_of("rate=54Mbps")
    assert wifi.manager.type == "ns3::ConstantRateWifiManager"
    assert wifi.manager.attributes == {"DataMode": "ErpOfdmRate54Mbps", "ControlMode": "ErpOfdmRate6Mbps"}


@pytest.mark.parametrize("standard", STANDARDS)
def test_every_rate_of_every_standard_is_found_by_its_name(standard: str) -> None:
    for written, mode in STANDARDS[standard].rates.items():
        assert mode_of_rate(standard, written) == mode_of_rate(standard, mode) == mode


def test_two_ends_are_a_link() -> None:
    (link,) = plan_of("node a b container position=0,0 step=5,0\nlink a b wifi").simulation.links
    assert (link.type, link.name) == ("wifi", "a-b")


def test_guests_behind_tapbridge_and_the_access_point_of_a_bridging_guest() -> None:
    nodes = "option attach=tapbridge\nnode ap container bridge=yes position=0,0\nnode s1 s2 container position=1,0\n"
    link, _ = wifi_of("mode=infrastructure", nodes=nodes)
    assert [end.tap for end in link.ends] == ["qn-sim0", "qn-sim1", "qn-sim2"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "mac.Foo=1",
            "none of ns3::AdhocWifiMac, ns3::StaWifiMac, ns3::ApWifiMac has an attribute 'Foo'; they have BE_",
        ),
        ("standard=802.11g", "is none of the standards 80211a, 80211b, 80211g"),
        ("standard=80211m", "did you mean"),
        ("mode=infra", "must be adhoc or infrastructure; did you mean 'infrastructure'?"),
        ("ap=s3", "ap=s3: is none of its ends, ap, s1, s2; did you mean 's"),
        ("ap=s1 mode=adhoc", "an ad hoc network has no access point; write mode=infrastructure"),
        ("manager=Minstrl", "is no ns3::WifiRemoteStationManager; did you mean 'Minstrel'?"),
        (
            "manager=Arf standard=80211ac",
            "manager=Arf knows no rates of 80211ac; use Ideal, MinstrelHt or ConstantRate",
        ),
        ("rate=10Mbps", "rate=10Mbps: is no rate of 80211g; it has 1Mbps (DsssRate1Mbps)"),
        ("rate=HtMcs3", "rate=HtMcs3: is no rate of 80211g"),
        ("rate=6Mbps manager=Ideal", "rate=6Mbps: manager=Ideal chooses rates itself; remove rate= or manager="),
        ("propagation=Frijs", "is no ns3::PropagationLossModel; did you mean 'Friis'?"),
        ("propagation=OhBuildings", "needs what only a program can make (extend); use one of Cost231"),
        ("propagation_delay=Fixed", "is no ns3::PropagationDelayModel; there are ConstantSpeed, Random"),
        ("range=far", "must be a distance in metres, such as 100"),
        ("range=0", "must be a distance in metres, such as 100"),
        ("mtu=2297", "on Wi-Fi a MTU is a number of bytes from 68 to 2296"),
        ("ssid=" + "x" * 33, "a network's name has 1 to 32 bytes"),
        ("mtu=1400 device.Mtu=1400", "device.Mtu is what mtu= says already; write one of the two"),
        ("delay=1ms", "type wifi has no key 'delay'; type wire has it"),
        ("mac.BeaconInterval=1ms", "mac.BeaconInterval=1ms: ns3::AdhocWifiMac has no attribute 'BeaconInterval'"),
        (
            "mode=infrastructure mac.BeaconIntervall=1ms",
            "has an attribute 'BeaconIntervall'; did you mean 'BeaconInterval'?",
        ),
        ("manager.DataMode=x", "ns3::IdealWifiManager has no attribute 'DataMode'"),
        ("propagation.MaxRange=1", "ns3::LogDistancePropagationLossModel has no attribute 'MaxRange'"),
        ("phy.TxPowerStrat=1", "ns3::YansWifiPhy has no attribute 'TxPowerStrat'; did you mean 'TxPowerStart'?"),
        ("device.Mac=ns3::ApWifiMac", "attribute Mac of ns3::WifiNetDevice cannot be set"),
    ],
)
def test_mistakes(keys: str, message: str) -> None:
    (found,) = problems(keys)
    assert message in found
    assert found.startswith("topology.txt:2:")


def test_a_twofold_access_point() -> None:
    with pytest.raises(TopologyError, match="access point ap is twice on this Wi-Fi"):
        plan_of(NODES + "lan air wifi ap s1 ap mode=infrastructure")


def test_losses_that_depend_on_heights() -> None:
    nodes = "node ap s1 s2 container position=0,0,1 step=1,0,-0.5\n"
    (found,) = problems("propagation=OkumuraHata", nodes)
    assert "node s2 is at no height, on which propagation=OkumuraHata depends; add one: position=x,y,1.5" in found
    (found,) = problems(
        "propagation=ThreeGppUma", "node ap s1 container position=0,0,1\nnode s2 container position=1,1,1\n"
    )
    assert "node s1 is where ap is" in found


@pytest.mark.parametrize("attach", ["native", "tapbridge"])
def test_who_may_bridge(attach: str) -> None:
    nodes = f"option attach={attach}\nnode ap s1 s2 container bridge=yes position=0,0 step=1,0\n"
    found = problems("", nodes)
    assert len(found) == 3
    assert (
        "topology.txt:3:14: wifi air: ap bridges, but an ad hoc device of Wi-Fi sends in its own name only" in found[0]
    )
    assert "make it the access point (mode=infrastructure ap=ap), or let it route in place of bridging" in found[0]
    found = problems("mode=infrastructure", nodes)
    assert ["s1 bridges, but a station" in line for line in found] == [True, False]
    assert "s2 bridges, but a station" in found[1]


def test_a_default_for_any_link_is_held_to_what_wifi_carries() -> None:
    (found,) = problems("", "default link mtu=9000\n" + NODES.replace("\n", " bridge=no\n"))[:1]
    assert found.startswith("topology.txt:1:14: mtu=9000: out of range; on Wi-Fi")


def test_a_plan_with_wifi_survives_json() -> None:
    plan = plan_of(
        NODES + "option ns3::WifiRemoteStationManager::RtsCtsThreshold=9\nlan air wifi ap s1 s2 mode=infrastructure"
    )
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan
    assert plan.simulation.defaults == {"ns3::WifiRemoteStationManager::RtsCtsThreshold": "9"}


def test_other_modules_are_asked_for() -> None:
    plan = plan_of("option ns3::olsr::RoutingProtocol::HelloInterval=1s\nnode a b container\nlink a b")
    assert plan.simulation.modules == ("olsr",)
    assert plan_of("node a b container\nlink a b").simulation.modules == ()

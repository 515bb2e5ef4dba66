"""ns-3 attributes: the table, what values are taken, and what is said of those that are not."""

from __future__ import annotations

import pytest

from qemunet.errors import TopologyError
from qemunet.plan import make_plan
from qemunet.topology import ns3_types, parse_topology
from qemunet.topology.ns3_types import Attribute
from qemunet.topology.ns3_values import check_attribute, check_value

NODES = "node a b container position=0,0 step=5,0\n"


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        parse_topology(NODES + text)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "link a b csma device.Mut=1",
            "2:15: device.Mut=1: ns3::CsmaNetDevice has no attribute 'Mut'; did you mean 'Mtu'?",
        ),
        ("link a b csma device.Mtu=x", "2:15: device.Mtu=x: must be a whole number"),
        ("link a b csma device.Mtu=70000", "70000 is out of range; it is 0 to 65535"),
        (
            "link a b csma device.Mtu=20000",
            "2:15: device.Mtu=20000: out of range; a MTU is a number of bytes from 68 to 9216",
        ),
        ("link a b wire device.Mtu=10", "2:15: device.Mtu=10: "),
        ("link a b csma device.EncapsulationMode=Lcl", "must be one of Dix, Llc; did you mean 'Llc'?"),
        ("link a b csma channel.DataRate=1Mbsp", "must be a rate such as 10Mbps; did you mean 'Mbps'?"),
        ("link a b csma channel.Delay=1parsec", "must be a time: a number and a unit of fs, ps, ns"),
        ("link a b csma device.SendEnable=yes", "must be true or false"),
        ("link a b csma device.ReceiveErrorModel=ns3::RateErorModel", "has no type 'ns3::RateErorModel'; did you mean"),
        ("link a b csma device.ReceiveErrorModel=ns3::CsmaChannel", "ns3::CsmaChannel is no ns3::ErrorModel"),
        (
            "link a b csma device.ReceiveErrorModel=ns3::RateErrorModel[Rate=1]",
            "in ns3::RateErrorModel[Rate=...]: ns3::RateErrorModel has no attribute 'Rate'; did you mean",
        ),
        (
            "link a b csma device.ReceiveErrorModel=ns3::RateErrorModel[RanVar=ns3::UniformRandomVariable[Min=0]]",
            "write option ns3::RateErrorModel::RanVar=ns3::UniformRandomVariable[Min=0] in its place",
        ),
        ("link a b wire device.DataRate=1Mbps", "ns3::qemunet::WireNetDevice has no attribute 'DataRate'"),
        (
            "link a b wire channel.Delay=1ms",
            "ns3::qemunet::WireChannel has no attribute 'Delay'; it has none that can be set",
        ),
        ("link a b wire phy.TxGain=1", "type wire takes no attribute 'phy.TxGain'; write it for a link of type wifi"),
        ("link a b csma device.Address=02:00:00:00:00:01", "hardware addresses follow from the names"),
        ("link a b csma mtu=1400 device.Mtu=1400", "2:24: device.Mtu is what mtu= says already"),
        (
            "default link device.Mtu=1400",
            "2:14: any link takes no attribute 'device.Mtu'; write it for a link of type wire, csma",
        ),
        ("default csma device.Mut=1400", "2:14: device.Mut=1400: ns3::CsmaNetDevice has no attribute 'Mut'"),
        ("node x container device.Mtu=1", "type container takes no attribute 'device.Mtu'"),
        ("node x container ns3::WifiMac::Ssid=1", "defaults of ns-3 are options: option ns3::TYPE::ATTRIBUTE="),
        (
            "option ns3::WifiMacc::Ssid=x",
            "2:8: ns3::WifiMacc::Ssid=x: ns-3 has no type 'ns3::WifiMacc'; did you mean 'WifiMac'?",
        ),
        ("option ns3::WifiMac::Sid=x", "ns3::WifiMac has no attribute 'Sid'; did you mean 'Ssid'?"),
        ("option ns3::WifiMac=x", "an ns-3 default is ns3::TYPE::ATTRIBUTE, such as ns3::WifiMac::Ssid"),
        ("option ns3::WifiNetDevice::Mac=ns3::ApWifiMac", "attribute Mac of ns3::WifiNetDevice cannot be set"),
    ],
)
def test_mistakes_are_placed_and_name_what_is_near(text: str, found: str) -> None:
    (line,) = problems(text)
    assert line.startswith("topology.txt:2:")
    assert found in line


def test_attributes_reach_the_plan() -> None:
    text = (
        "option ns3::TcpSocket::SegmentSize=1000\n"
        "default csma channel.Delay=2us device.SendEnable=true\n"
        "link a b csma name=x channel.Delay=5us device.Mtu=1400\n"
        "link a b wire device.Mtu=1300\n"
    )
    plan = make_plan(parse_topology(NODES + text), seed=1, source_directory=None)
    csma, wire = plan.simulation.links
    assert csma.ns3 == {"channel": {"Delay": "5us"}, "device": {"SendEnable": "true", "Mtu": "1400"}}
    assert (csma.mtu, wire.mtu) == (1400, 1300)
    assert [interface.mtu for interface in plan.guests[0].interfaces] == [1400, 1300]
    assert plan.simulation.defaults == {"ns3::TcpSocket::SegmentSize": "1000"}


@pytest.mark.parametrize(
    ("kind", "detail", "right", "wrong"),
    [
        ("Boolean", "bool", ["true", "false", "0", "1"], ["True", "no", ""]),
        ("Uinteger", "uint8_t 1:255", ["1", "255"], ["0", "256", "-1", "1.0", ""]),
        ("Integer", "int32_t -5:5", ["-5", "5"], ["-6", "6", "x"]),
        ("Double", "double 0:1", ["0", "0.5", "1e-3", "1"], ["-0.1", "1.1", "nan", "1,5"]),
        ("Double", "double -1.79769e+308:1.79769e+308", ["-1e300"], ["inf"]),
        ("Time", "Time +0ns:+9.22337e+18ns", ["1s", "2.5ms", "10us", "3", "1min"], ["-1s", "1 s", "1sec"]),
        ("DataRate", "DataRate", ["10Mbps", "1Gb/s", "8kbps", "100"], ["10Mbit", "-1Mbps", "x"]),
        ("Enum", "A|B c", ["A", "B c"], ["a", "B", ""]),
        ("QueueSize", "QueueSize", ["100p", "64KiB", "1500B"], ["100", "p", "1 p"]),
        ("Vector3D", "Vector3D", ["0:0:0", "1.5:-2:3"], ["0:0", "0,0,0"]),
        ("Rectangle", "Rectangle", ["0|1|0|1"], ["0|1|0", "0,1,0,1"]),
        ("Mac48Address", "Mac48Address", ["02:00:00:00:00:01"], ["02:00", "x"]),
        ("Ipv4Address", "Ipv4Address", ["10.0.0.1"], ["10.0.0", "::1"]),
        ("Ipv6Address", "Ipv6Address", ["fd00::1"], ["10.0.0.1"]),
        ("TypeId", "TypeId", ["ns3::TcpCubic"], ["ns3::TcpCubik"]),
        (
            "Pointer",
            "ns3::Ptr< ns3::RandomVariableStream >",
            ["ns3::UniformRandomVariable[Min=0|Max=1]"],
            ["0.5", "ns3::Node"],
        ),
        ("String", "std::string", ["anything", ""], []),
    ],
)
def test_values_by_kind(kind: str, detail: str, right: list[str], wrong: list[str]) -> None:
    attribute = Attribute(kind, detail, can_set=True, can_default=True)
    for text in right:
        check_value(attribute, text)
    for text in wrong:
        with pytest.raises(ValueError, match=r"."):
            check_value(attribute, text)


def test_attributes_of_parents_count() -> None:
    check_attribute("ns3::StaWifiMac", "BE_MaxAmpduSize", "0")
    assert "TxPowerStart" in ns3_types.attributes_of("ns3::YansWifiPhy")


@pytest.mark.parametrize("written", ["RandomWalk2d", "RandomWalk2dMobilityModel", "ns3::RandomWalk2dMobilityModel"])
def test_models_go_by_short_names_too(written: str) -> None:
    assert ns3_types.resolve(written, "ns3::MobilityModel") == "ns3::RandomWalk2dMobilityModel"


@pytest.mark.parametrize("base", ["ns3::MobilityModel", "ns3::PropagationLossModel", "ns3::WifiRemoteStationManager"])
def test_the_short_name_of_every_model_is_found(base: str) -> None:
    for name in ns3_types.models(base):
        assert ns3_types.resolve(ns3_types.short(name, base), base) == name

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "network.h"

#include "../model/wire-net-device.h"

#include "ns3/abort.h"
#include "ns3/boolean.h"
#include "ns3/data-rate.h"
#include "ns3/drop-tail-queue.h"
#include "ns3/error-model.h"
#include "ns3/global-value.h"
#include "ns3/names.h"
#include "ns3/node-list.h"
#include "ns3/node.h"
#include "ns3/rng-seed-manager.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "ns3/tap-bridge.h"
#include "ns3/uinteger.h"

#include <cstring>

namespace ns3::qemunet
{

namespace
{

/** Rate of a csma channel without one: a full frame takes 12 ns. */
constexpr uint64_t UNLIMITED_BPS = 1'000'000'000'000;

/**
 * @param text A MAC address, or nothing.
 * @returns That address, or one of ns-3's own.
 */
Mac48Address
MakeAddress(const std::string& text)
{
    return text.empty() ? Mac48Address::Allocate() : Mac48Address(text.c_str());
}

} // namespace

Network::Network(const std::string& simulator, uint32_t seed, bool checksums)
    : m_ours(simulator == "qemunet")
{
    NS_ABORT_MSG_UNLESS(m_ours || simulator == "ns3",
                        "simulator \"" << simulator << "\" is neither qemunet nor ns3");
    GlobalValue::Bind(
        "SimulatorImplementationType",
        StringValue(m_ours ? "ns3::qemunet::RealTimeSimulator" : "ns3::RealtimeSimulatorImpl"));
    GlobalValue::Bind("ChecksumEnabled", BooleanValue(checksums));
    RngSeedManager::SetSeed(seed);
}

Network::~Network()
{
    // Doors let go of the loop before the simulator ends.
    m_doors.clear();
    Names::Clear();
    Simulator::Destroy();
}

bool
Network::IsOurs() const
{
    return m_ours;
}

uint32_t
Network::AddNode(const std::string& name)
{
    Ptr<Node> node = CreateObject<Node>();
    Names::Add(name, node);
    return node->GetId();
}

uint32_t
Network::AddWire(const std::array<uint32_t, 2>& nodes,
                 const std::array<std::string, 2>& addresses,
                 uint16_t mtu,
                 const std::array<Impairments, 2>& impairments)
{
    Link& link = m_links.emplace_back();
    link.wire = CreateObject<WireChannel>();
    link.mtu = mtu;
    for (uint32_t end = 0; end < 2; ++end)
    {
        NS_ABORT_MSG_UNLESS(Knows(impairments[end]), "impairments of link " << m_links.size() - 1);
        auto device = CreateObjectWithAttributes<WireNetDevice>("Mtu", UintegerValue(mtu));
        device->SetAddress(MakeAddress(addresses[end]));
        NodeList::GetNode(nodes[end])->AddDevice(device);
        device->Attach(link.wire);
    }
    auto number = static_cast<uint32_t>(m_links.size() - 1);
    SetWire(number, 0, impairments[0]);
    SetWire(number, 1, impairments[1]);
    m_stream += link.wire->AssignStreams(m_stream);
    return number;
}

uint32_t
Network::AddCsma(uint16_t mtu, const Impairments& impairments)
{
    NS_ABORT_MSG_UNLESS(impairments.IsValid(), "impairments of link " << m_links.size());
    Link& link = m_links.emplace_back();
    link.mtu = mtu;
    link.shared = impairments;
    link.watch = std::make_unique<CsmaWatch>();
    link.csma = CreateObjectWithAttributes<CsmaChannel>(
        "DataRate",
        DataRateValue(
            DataRate(impairments.rateBps == 0 ? UNLIMITED_BPS : uint64_t{impairments.rateBps})),
        "Delay",
        TimeValue(NanoSeconds(impairments.delayNs)));
    return static_cast<uint32_t>(m_links.size() - 1);
}

void
Network::AddCsmaEnd(uint32_t link, uint32_t node, const std::string& address)
{
    const Link& owner = m_links.at(link);
    auto device = CreateObjectWithAttributes<CsmaNetDevice>("Mtu", UintegerValue(owner.mtu));
    device->SetAddress(MakeAddress(address));
    device->SetQueue(CreateObject<DropTailQueue<Packet>>());
    NodeList::GetNode(node)->AddDevice(device);
    device->Attach(owner.csma);
    m_stream += device->AssignStreams(m_stream);
    auto errors =
        CreateObjectWithAttributes<RateErrorModel>("ErrorUnit", StringValue("ERROR_UNIT_PACKET"));
    m_stream += errors->AssignStreams(m_stream);
    owner.watch->Add(device, errors);
    owner.watch->SetLoss(owner.shared.loss);
}

uint32_t
Network::AddDelay(std::span<const DelayPart> parts)
{
    NS_ABORT_MSG_UNLESS(DelayDistribution::IsValid(parts), "delay " << m_delays.size() + 1);
    m_delays.push_back(std::make_shared<const DelayDistribution>(parts));
    return static_cast<uint32_t>(m_delays.size());
}

bool
Network::Knows(const Impairments& impairments) const
{
    return impairments.IsValid() && impairments.delay <= m_delays.size();
}

void
Network::SetWire(uint32_t link, uint32_t direction, const Impairments& impairments)
{
    std::shared_ptr<const DelayDistribution> delays;
    if (impairments.delay > 0)
    {
        delays = m_delays.at(impairments.delay - 1);
    }
    m_links.at(link).wire->GetDirection(direction).Set(impairments, std::move(delays));
}

void
Network::SetCsma(uint32_t link, const Impairments& impairments)
{
    Link& target = m_links.at(link);
    target.shared = impairments;
    target.csma->SetAttribute("Delay", TimeValue(NanoSeconds(impairments.delayNs)));
    target.watch->SetLoss(impairments.loss);
}

void
Network::SetUp(uint32_t link, bool up)
{
    const Link& target = m_links.at(link);
    if (target.wire)
    {
        target.wire->SetUp(up);
    }
    else
    {
        target.watch->SetUp(up);
    }
}

void
Network::AddPcap(uint32_t node, uint32_t index, int64_t door, const std::string& path)
{
    int64_t file = m_pcap.Open(path);
    NS_ABORT_MSG_IF(file < 0, path << ": " << std::strerror(static_cast<int>(-file)));
    auto number = static_cast<uint32_t>(file);
    Ptr<NetDevice> device = NodeList::GetNode(node)->GetDevice(index);
    if (door >= 0)
    {
        m_doors.at(static_cast<uint32_t>(door))->GetCapture().Start(m_pcap, number);
    }
    else if (auto wire = DynamicCast<WireNetDevice>(device))
    {
        wire->GetCapture().Start(m_pcap, number);
    }
    else
    {
        FrameCapture* capture = m_captures.emplace_back(std::make_unique<FrameCapture>()).get();
        capture->Start(m_pcap, number);
        bool traced =
            device->TraceConnectWithoutContext("PromiscSniffer",
                                               MakeCallback(&FrameCapture::RecordPacket, capture));
        NS_ABORT_MSG_UNLESS(traced,
                            "frames of a " << device->GetInstanceTypeId().GetName()
                                           << " cannot be recorded");
    }
}

PcapWriter&
Network::GetPcapWriter()
{
    return m_pcap;
}

void
Network::AddDoor(uint32_t number, uint32_t node, uint32_t index)
{
    Ptr<NetDevice> device = NodeList::GetNode(node)->GetDevice(index);
    auto simulator = DynamicCast<RealTimeSimulator>(Simulator::GetImplementation());
    NS_ABORT_MSG_UNLESS(simulator, "a native door needs our simulator (option simulator=qemunet)");
    auto wire = DynamicCast<WireNetDevice>(device);
    FrameSink* inward = PeekPointer(wire);
    if (!wire)
    {
        inward = m_ports.emplace_back(std::make_unique<DevicePort>(device)).get();
    }
    auto door = std::make_unique<FrameDoor>(simulator, node, device->GetMtu(), inward);
    if (wire)
    {
        wire->SetFrameReceiver(door.get());
    }
    else
    {
        m_ports.back()->SetFrameReceiver(door.get());
    }
    bool added = m_doors.emplace(number, std::move(door)).second;
    NS_ABORT_MSG_UNLESS(added, "door " << number << " twice");
}

void
Network::AddTap(uint32_t node, uint32_t index, const std::string& tap)
{
    Ptr<NetDevice> device = NodeList::GetNode(node)->GetDevice(index);
    auto bridge = CreateObjectWithAttributes<TapBridge>("Mode",
                                                        StringValue("UseBridge"),
                                                        "DeviceName",
                                                        StringValue(tap));
    NodeList::GetNode(node)->AddDevice(bridge);
    bridge->SetBridgedNetDevice(device);
    auto csma = DynamicCast<CsmaNetDevice>(device);
    if (m_ours && csma)
    {
        // TapBridge hears its tap from its initialization on, that is before time 0.
        csma->SetSendEnable(false);
        m_gated.push_back(csma);
    }
}

void
Network::Open()
{
    for (const auto& [number, door] : m_doors)
    {
        door->Open();
    }
    for (const Ptr<CsmaNetDevice>& device : m_gated)
    {
        device->SetSendEnable(true);
    }
    for (const Link& link : m_links)
    {
        if (link.watch)
        {
            link.watch->Reset();
        }
    }
}

const std::map<uint32_t, std::unique_ptr<FrameDoor>>&
Network::GetDoors() const
{
    return m_doors;
}

const std::vector<Network::Link>&
Network::GetLinks() const
{
    return m_links;
}

} // namespace ns3::qemunet

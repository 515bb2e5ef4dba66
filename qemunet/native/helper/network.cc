/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "network.h"

#include "../model/wire-net-device.h"

#include "ns3/abort.h"
#include "ns3/boolean.h"
#include "ns3/data-rate.h"
#include "ns3/double.h"
#include "ns3/drop-tail-queue.h"
#include "ns3/error-model.h"
#include "ns3/global-value.h"
#include "ns3/names.h"
#include "ns3/node-list.h"
#include "ns3/node.h"
#include "ns3/point-to-point-channel.h"
#include "ns3/queue-size.h"
#include "ns3/rng-seed-manager.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "ns3/tap-bridge.h"
#include "ns3/uinteger.h"

#include <algorithm>
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

template <typename T>
void
Network::SetLoss(T& device, double share)
{
    if (share > 0)
    {
        auto errors = CreateObjectWithAttributes<RateErrorModel>("ErrorUnit",
                                                                 StringValue("ERROR_UNIT_PACKET"),
                                                                 "ErrorRate",
                                                                 DoubleValue(share));
        m_stream += errors->AssignStreams(m_stream);
        device.SetReceiveErrorModel(errors);
    }
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
    else if (target.medium)
    {
        target.medium->SetUp(up);
    }
    else if (target.pointToPoint)
    {
        target.pointToPoint->SetUp(up);
    }
    else
    {
        target.watch->SetUp(up);
    }
}

void
Network::AddPcap(uint32_t node, uint32_t index, int64_t door, const std::string& path)
{
    Ptr<NetDevice> device = NodeList::GetNode(node)->GetDevice(index);
    auto wire = DynamicCast<WireNetDevice>(device);
    bool ppp = door < 0 && DynamicCast<PointToPointNetDevice>(device);
    int64_t file =
        m_pcap.Open(path, ppp ? PcapWriter::LINK_TYPE_PPP : PcapWriter::LINK_TYPE_ETHERNET);
    NS_ABORT_MSG_IF(file < 0, path << ": " << std::strerror(static_cast<int>(-file)));
    auto number = static_cast<uint32_t>(file);
    if (door >= 0)
    {
        m_doors.at(static_cast<uint32_t>(door))->GetCapture().Start(m_pcap, number);
    }
    else if (wire)
    {
        wire->GetCapture().Start(m_pcap, number);
    }
    else
    {
        FrameCapture* capture = m_captures.emplace_back(std::make_unique<FrameCapture>()).get();
        capture->Start(m_pcap, number);
        bool traced = device->TraceConnectWithoutContext(
            "PromiscSniffer",
            ppp ? MakeCallback(&FrameCapture::RecordPacket, capture)
                : MakeCallback(&FrameCapture::RecordEthernetPacket, capture));
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

uint32_t
Network::AddMedium(std::unique_ptr<LinkWatch> watch)
{
    m_links.emplace_back().medium = std::move(watch);
    return static_cast<uint32_t>(m_links.size() - 1);
}

void
Network::AssignStreams(const std::function<int64_t(int64_t)>& assign)
{
    m_stream += assign(m_stream);
}

uint32_t
Network::AddPointToPoint(const std::array<uint32_t, 2>& nodes,
                         const std::array<std::string, 2>& addresses,
                         uint16_t mtu,
                         const std::array<Impairments, 2>& impairments)
{
    Link& link = m_links.emplace_back();
    link.mtu = mtu;
    link.pointToPoint = std::make_unique<PointToPointWatch>();
    auto channel = CreateObjectWithAttributes<PointToPointChannel>(
        "Delay",
        TimeValue(NanoSeconds(impairments[0].delayNs)));
    for (uint32_t end = 0; end < 2; ++end)
    {
        const Impairments& out = impairments[end];
        NS_ABORT_MSG_UNLESS(out.IsValid(), "impairments of link " << m_links.size() - 1);
        uint64_t rate = out.rateBps == 0 ? UNLIMITED_BPS : uint64_t{out.rateBps};
        auto device = CreateObjectWithAttributes<PointToPointNetDevice>("Mtu",
                                                                        UintegerValue(mtu),
                                                                        "DataRate",
                                                                        DataRateValue(rate));
        device->SetAddress(MakeAddress(addresses[end]));
        // ns-3's queue cannot be without a place; the frame that is sent at once passes it too.
        device->SetQueue(CreateObjectWithAttributes<DropTailQueue<Packet>>(
            "MaxSize",
            QueueSizeValue(
                QueueSize(QueueSizeUnit::PACKETS, std::max(1U, uint32_t{out.queueFrames})))));
        NodeList::GetNode(nodes[end])->AddDevice(device);
        device->Attach(channel);
        SetLoss(*device, impairments[1 - end].loss);
        link.pointToPoint->Add(device, end);
        link.devices[end] = device;
    }
    return static_cast<uint32_t>(m_links.size() - 1);
}

uint32_t
Network::AddForeign(uint16_t mtu)
{
    m_links.emplace_back().mtu = mtu;
    return static_cast<uint32_t>(m_links.size() - 1);
}

uint32_t
Network::AddBridge(uint32_t node)
{
    return qemunet::AddBridge(NodeList::GetNode(node));
}

void
Network::AddStack(uint32_t node, const StackOptions& options, const std::string& configuration)
{
    m_stream += qemunet::AddStack(NodeList::GetNode(node), options, configuration, m_stream);
}

FrameDoor&
Network::OpenDoor(uint32_t number, Ptr<NetDevice> device, FrameSink* inward)
{
    auto simulator = DynamicCast<RealTimeSimulator>(Simulator::GetImplementation());
    NS_ABORT_MSG_UNLESS(simulator, "a native door needs our simulator (option simulator=qemunet)");
    uint32_t node = device->GetNode()->GetId();
    auto [door, added] =
        m_doors.emplace(number,
                        std::make_unique<FrameDoor>(simulator, node, device->GetMtu(), inward));
    NS_ABORT_MSG_UNLESS(added, "door " << number << " twice");
    return *door->second;
}

void
Network::AddDoor(uint32_t number, uint32_t node, uint32_t index)
{
    Ptr<NetDevice> device = NodeList::GetNode(node)->GetDevice(index);
    if (auto wire = DynamicCast<WireNetDevice>(device))
    {
        wire->SetFrameReceiver(&OpenDoor(number, device, PeekPointer(wire)));
        return;
    }
    auto& port = m_ports.emplace_back(std::make_unique<DevicePort>(device));
    port->SetFrameReceiver(&OpenDoor(number, device, port.get()));
}

void
Network::AddPointToPointDoor(uint32_t number,
                             uint32_t link,
                             uint32_t end,
                             const std::array<std::string, 2>& addresses)
{
    const Link& owner = m_links.at(link);
    const Ptr<PointToPointNetDevice>& device = owner.devices.at(end);
    auto& port = m_pointToPointPorts.emplace_back(
        std::make_unique<PointToPointPort>(device,
                                           Mac48Address(addresses[end].c_str()),
                                           Mac48Address(addresses[1 - end].c_str()),
                                           *owner.pointToPoint,
                                           end));
    port->SetFrameReceiver(&OpenDoor(number, device, port.get()));
}

DevicePort&
Network::GetPort(Ptr<NetDevice> device)
{
    auto port = std::find_if(m_ports.begin(), m_ports.end(), [&](const auto& candidate) {
        return candidate->GetDevice() == device;
    });
    NS_ABORT_MSG_IF(port == m_ports.end(), "a device without a door");
    return **port;
}

void
Network::AddTap(uint32_t node, uint32_t index, const std::string& tap)
{
    Ptr<NetDevice> device = NodeList::GetNode(node)->GetDevice(index);
    const char* mode = device->SupportsSendFrom() ? "UseBridge" : "UseLocal";
    auto bridge = CreateObjectWithAttributes<TapBridge>("Mode",
                                                        StringValue(mode),
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
        if (link.medium)
        {
            link.medium->Open();
        }
        if (link.pointToPoint)
        {
            link.pointToPoint->Reset();
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

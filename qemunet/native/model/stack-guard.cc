/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "stack-guard.h"

#include "neighbour-discovery.h"
#include "sane-packets.h"

#include "ns3/arp-l3-protocol.h"
#include "ns3/log.h"
#include "ns3/loopback-net-device.h"
#include "ns3/mac48-address.h"
#include "ns3/packet.h"

#include <algorithm>
#include <vector>

namespace ns3::qemunet
{

NS_LOG_COMPONENT_DEFINE("QemunetStackGuard");

namespace
{

constexpr uint8_t HOP_BY_HOP = 0;
constexpr uint8_t FRAGMENT = 44;
constexpr uint8_t NO_NEXT = 59;

} // namespace

void
StackGuard::Install(Ptr<Node> node)
{
    auto guard = Create<StackGuard>(node);
    Ptr<TrafficControlLayer> next = guard->m_next;
    // A handler for each protocol of each interface: each call takes one away.
    for (uint32_t index = 0; index < 3 * node->GetNDevices(); ++index)
    {
        node->UnregisterProtocolHandler(MakeCallback(&TrafficControlLayer::Receive, next));
    }
    for (uint32_t index = 0; index < node->GetNDevices(); ++index)
    {
        Ptr<NetDevice> device = node->GetDevice(index);
        if (DynamicCast<LoopbackNetDevice>(device))
        {
            continue; // What comes there is ns-3's own, and goes to the stack directly.
        }
        auto handler = MakeCallback(&StackGuard::Receive, guard);
        if (guard->m_ipv4->GetInterfaceForDevice(device) >= 0)
        {
            node->RegisterProtocolHandler(handler, Ipv4L3Protocol::PROT_NUMBER, device);
            node->RegisterProtocolHandler(handler, ArpL3Protocol::PROT_NUMBER, device);
        }
        if (guard->m_ipv6 && guard->m_ipv6->GetInterfaceForDevice(device) >= 0)
        {
            node->RegisterProtocolHandler(handler, Ipv6L3Protocol::PROT_NUMBER, device);
        }
    }
}

StackGuard::StackGuard(Ptr<Node> node)
    : m_next(node->GetObject<TrafficControlLayer>()),
      m_ipv4(node->GetObject<Ipv4L3Protocol>()),
      m_ipv6(node->GetObject<Ipv6L3Protocol>())
{
}

void
StackGuard::Receive(Ptr<NetDevice> device,
                    Ptr<const Packet> packet,
                    uint16_t protocol,
                    const Address& from,
                    const Address& to,
                    NetDevice::PacketType type)
{
    static std::vector<uint8_t> bytes;
    uint32_t size = packet->GetSize();
    bytes.resize(std::max<size_t>(bytes.size(), size));
    packet->CopyData(bytes.data(), size);
    bool sane = protocol == ArpL3Protocol::PROT_NUMBER    ? IsSaneArp(bytes.data(), size)
                : protocol == Ipv4L3Protocol::PROT_NUMBER ? IsSaneIpv4(bytes.data(), size)
                                                          : IsSaneIpv6(bytes.data(), size);
    if (!sane)
    {
        NS_LOG_WARN("node " << device->GetNode()->GetId() << " drops a malformed packet of type "
                            << protocol);
        return;
    }
    if (protocol == Ipv6L3Protocol::PROT_NUMBER && Mac48Address::IsMatchingType(from))
    {
        packet = PrepareDiscovery(device, packet, bytes.data(), size, from);
    }
    m_next->Receive(device, packet, protocol, from, to, type);
}

Ptr<const Packet>
StackGuard::PrepareDiscovery(Ptr<NetDevice> device,
                             Ptr<const Packet> packet,
                             const uint8_t* bytes,
                             uint32_t size,
                             const Address& from)
{
    Mac48Address sender = Mac48Address::ConvertFrom(from);
    const uint8_t* source = bytes + IPV6_SOURCE;
    const uint8_t* target = bytes + DISCOVERY_TARGET;
    if (GetDiscoveryType(bytes, size) == ADVERTISEMENT &&
        Number(bytes + 4) == DISCOVERY_BYTES - IPV6_BYTES)
    {
        Advertisement whole = MakeAdvertisement(source,
                                                bytes + IPV6_DESTINATION,
                                                target,
                                                bytes[DISCOVERY_FLAGS],
                                                sender);
        return Create<Packet>(whole.data(), static_cast<uint32_t>(whole.size()));
    }
    if (IsAnswerable(bytes, size) && IsForUs(target, true))
    {
        Advertisement told = MakeAdvertisement(source,
                                               target,
                                               source,
                                               ADVERTISES_SOLICITED | ADVERTISES_OVERRIDING,
                                               sender);
        m_next->Receive(device,
                        Create<Packet>(told.data(), static_cast<uint32_t>(told.size())),
                        Ipv6L3Protocol::PROT_NUMBER,
                        from,
                        device->GetAddress(),
                        NetDevice::PACKET_HOST);
    }
    return packet;
}

bool
StackGuard::IsForUs(const uint8_t* destination, bool ipv6) const
{
    if (ipv6)
    {
        return destination[0] == 0xff ||
               m_ipv6->GetInterfaceForAddress(Ipv6Address::Deserialize(destination)) >= 0;
    }
    Ipv4Address address = Ipv4Address::Deserialize(destination);
    if (address.IsBroadcast() || address.IsMulticast())
    {
        return true;
    }
    for (uint32_t interface = 0; interface < m_ipv4->GetNInterfaces(); ++interface)
    {
        for (uint32_t index = 0; index < m_ipv4->GetNAddresses(interface); ++index)
        {
            Ipv4InterfaceAddress own = m_ipv4->GetAddress(interface, index);
            if (address == own.GetLocal() || address == own.GetBroadcast())
            {
                return true;
            }
        }
    }
    return false;
}

bool
StackGuard::IsNeighbour(Ipv6Address address) const
{
    for (uint32_t interface = 0; interface < m_ipv6->GetNInterfaces(); ++interface)
    {
        for (uint32_t index = 0; index < m_ipv6->GetNAddresses(interface); ++index)
        {
            Ipv6InterfaceAddress own = m_ipv6->GetAddress(interface, index);
            if (own.GetPrefix().IsMatch(own.GetAddress(), address))
            {
                return true;
            }
        }
    }
    return address.IsLinkLocal();
}

bool
StackGuard::IsSaneIpv4(const uint8_t* bytes, uint32_t size) const
{
    if (size < IPV4_BYTES || bytes[0] >> 4 != 4)
    {
        return false;
    }
    uint32_t header = (bytes[0] & 0xf) * 4U;
    uint32_t total = Number(bytes + 2);
    if (header < IPV4_BYTES || total < header || total > size)
    {
        return false;
    }
    bool first = (Number(bytes + 6) & 0x1fff) == 0;
    return !first || !IsForUs(bytes + 16, false) ||
           IsSaneTransport(bytes[9], bytes + header, total - header);
}

bool
StackGuard::IsSaneIpv6(const uint8_t* bytes, uint32_t size) const
{
    if (size < IPV6_BYTES || bytes[0] >> 4 != 6 || Number(bytes + 4) + IPV6_BYTES > size)
    {
        return false;
    }
    const uint8_t* end = bytes + IPV6_BYTES + Number(bytes + 4);
    const uint8_t* at = bytes + IPV6_BYTES;
    uint8_t next = bytes[6];
    if (next == HOP_BY_HOP)
    {
        auto left = static_cast<uint32_t>(end - at);
        uint32_t length = left >= 8 ? (at[1] + 1) * 8U : 8;
        if (length > left || !AreSaneIpv6Options(at + 2, length - 2))
        {
            return false;
        }
        next = at[0];
        at += length;
    }
    if (!IsForUs(bytes + 24, true))
    {
        return true;
    }
    // Who has no address yet, or says to be many, cannot be answered; ns-3 would try.
    const uint8_t* source = bytes + 8;
    if (source[0] == 0xff ||
        std::all_of(source, source + 16, [](uint8_t byte) { return byte == 0; }))
    {
        return false;
    }
    if (next == FRAGMENT)
    {
        if (end - at < 8)
        {
            return false;
        }
        bool first = (Number(at + 2) & 0xfff8) == 0;
        next = first ? at[0] : NO_NEXT;
        at += 8;
    }
    bool discovery = next == ICMPV6 && at < end && *at >= 133 && *at <= 136;
    if (discovery && !IsNeighbour(Ipv6Address::Deserialize(source)))
    {
        return false; // It would be answered, and there is no way to it.
    }
    // Other headers lead on as well, and ns-3 would follow them.
    bool known = next == TCP || next == UDP || next == ICMPV6 || next == NO_NEXT;
    return known && IsSaneTransport(next, at, static_cast<uint32_t>(end - at));
}

} // namespace ns3::qemunet

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "stack-guard.h"

#include "neighbour-discovery.h"
#include "sane-packets.h"

#include "ns3/arp-cache.h"
#include "ns3/arp-l3-protocol.h"
#include "ns3/ipv4-interface.h"
#include "ns3/ipv6-interface.h"
#include "ns3/log.h"
#include "ns3/loopback-net-device.h"
#include "ns3/mac48-address.h"
#include "ns3/ndisc-cache.h"
#include "ns3/nstime.h"
#include "ns3/packet.h"
#include "ns3/simulator.h"

#include <algorithm>
#include <vector>

namespace ns3::qemunet
{

NS_LOG_COMPONENT_DEFINE("QemunetStackGuard");

namespace
{

constexpr uint8_t HOP_BY_HOP = 0;
constexpr uint8_t FRAGMENT = 44;
constexpr uint32_t FRAGMENT_BYTES = 8;

constexpr uint32_t ARP_SENDER = 8;
constexpr uint32_t IPV4_SOURCE = 12;
constexpr uint32_t IPV4_DESTINATION = 16;

/** @returns The sum of a header in ones' complement: 0xffff where its checksum is right. */
uint32_t
SumHeader(const uint8_t* bytes, uint32_t size)
{
    uint32_t sum = 0;
    for (uint32_t at = 0; at < size; at += 2)
    {
        sum += Number(bytes + at);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

/** Write a 16-bit number. */
void
PutNumber(uint8_t* bytes, uint32_t number)
{
    bytes[0] = static_cast<uint8_t>(number >> 8);
    bytes[1] = static_cast<uint8_t>(number);
}

/** @returns A packet of a header and a payload. */
Ptr<Packet>
Join(const uint8_t* header, uint32_t headerBytes, const uint8_t* payload, uint32_t bytes)
{
    auto packet = Create<Packet>(header, headerBytes);
    packet->AddAtEnd(Create<Packet>(payload, bytes));
    return packet;
}

/**
 * @param header An IPv4 header.
 * @param payload What it shall carry.
 * @param bytes How much.
 * @param fragment What it says of fragments.
 * @returns A packet without options.
 */
Ptr<Packet>
MakeIpv4(const uint8_t* header, const uint8_t* payload, uint32_t bytes, uint32_t fragment)
{
    std::array<uint8_t, IPV4_BYTES> plain;
    std::copy_n(header, IPV4_BYTES, plain.begin());
    plain[0] = 0x45;
    PutNumber(&plain[2], IPV4_BYTES + bytes);
    PutNumber(&plain[6], fragment);
    PutNumber(&plain[10], 0);
    PutNumber(&plain[10], ~SumHeader(plain.data(), IPV4_BYTES));
    return Join(plain.data(), IPV4_BYTES, payload, bytes);
}

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
    m_device = device;
    m_from = from;
    bool arp = protocol == ArpL3Protocol::PROT_NUMBER;
    if (!arp)
    {
        packet = protocol == Ipv4L3Protocol::PROT_NUMBER ? AdmitIpv4(packet, bytes.data(), size)
                                                         : AdmitIpv6(packet, bytes.data(), size);
    }
    if (!packet ||
        (arp && !(IsSaneArp(bytes.data(), size) && IsLinkAddress(bytes.data() + ARP_SENDER))))
    {
        NS_LOG_INFO("node " << device->GetNode()->GetId() << " gets no packet of type "
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
StackGuard::IsLinkAddress(const uint8_t* address) const
{
    Mac48Address said;
    said.CopyFrom(address);
    return m_device->GetAddress() != said && (m_device->SupportsSendFrom() || m_from == said);
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
StackGuard::IsNeighbour(Ipv4Address address) const
{
    for (uint32_t interface = 0; interface < m_ipv4->GetNInterfaces(); ++interface)
    {
        for (uint32_t index = 0; index < m_ipv4->GetNAddresses(interface); ++index)
        {
            if (m_ipv4->GetAddress(interface, index).IsInSameSubnet(address))
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

void
StackGuard::NoteNeighbour(const uint8_t* address, bool ipv6)
{
    std::array<uint8_t, 16> key{};
    std::copy_n(address, ipv6 ? 16 : 4, key.begin());
    if (m_neighbours.contains(key) || !(ipv6 ? IsNeighbour(Ipv6Address::Deserialize(address))
                                             : IsNeighbour(Ipv4Address::Deserialize(address))))
    {
        return;
    }
    if (m_neighbours.size() >= MOST_NEIGHBOURS)
    {
        m_neighbours.clear();
        for (uint32_t interface = 0; interface < m_ipv4->GetNInterfaces(); ++interface)
        {
            if (Ptr<ArpCache> cache = m_ipv4->GetInterface(interface)->GetArpCache())
            {
                cache->Flush();
            }
        }
        for (uint32_t interface = 0; m_ipv6 && interface < m_ipv6->GetNInterfaces(); ++interface)
        {
            if (Ptr<NdiscCache> cache = m_ipv6->GetInterface(interface)->GetNdiscCache())
            {
                cache->Flush();
            }
        }
    }
    m_neighbours.insert(key);
}

Ptr<const Packet>
StackGuard::AdmitIpv4(Ptr<const Packet> packet, const uint8_t* bytes, uint32_t size)
{
    if (size < IPV4_BYTES || bytes[0] >> 4 != 4)
    {
        return nullptr;
    }
    uint32_t header = (bytes[0] & 0xf) * 4U;
    uint32_t total = Number(bytes + 2);
    if (header < IPV4_BYTES || total < header || total > size ||
        (Node::ChecksumEnabled() && SumHeader(bytes, header) != 0xffff))
    {
        return nullptr;
    }
    // Who says to be many cannot be answered; ns-3 would try.
    Ipv4Address source = Ipv4Address::Deserialize(bytes + IPV4_SOURCE);
    if (source.IsMulticast() || source.IsBroadcast())
    {
        return nullptr;
    }
    const uint8_t* payload = bytes + header;
    uint32_t length = total - header;
    uint32_t fragment = Number(bytes + 6);
    bool forUs = IsForUs(bytes + IPV4_DESTINATION, false);
    NoteNeighbour(bytes + (forUs ? IPV4_SOURCE : IPV4_DESTINATION), false);
    if (forUs && (fragment & 0x3fff) != 0)
    {
        Reassembly::Fragment piece{{},
                                   (fragment & 0x1fff) * 8,
                                   (fragment & 0x2000) != 0,
                                   payload,
                                   length};
        std::copy_n(bytes + IPV4_SOURCE, 8, piece.key.begin());
        std::copy_n(bytes + 4, 2, piece.key.begin() + 32);
        piece.key[36] = bytes[9];
        const Reassembly::Whole* whole =
            m_reassembly.Add(piece,
                             bytes,
                             IPV4_BYTES,
                             static_cast<uint64_t>(Simulator::Now().GetNanoSeconds()));
        if (whole == nullptr)
        {
            return nullptr;
        }
        payload = whole->payload.data();
        length = static_cast<uint32_t>(whole->payload.size());
        packet = MakeIpv4(whole->first.data(), payload, length, 0);
    }
    else if (header > IPV4_BYTES)
    {
        packet = MakeIpv4(bytes, payload, length, fragment);
    }
    return !forUs || IsSaneTransport(bytes[9], payload, length) ? packet : nullptr;
}

Ptr<const Packet>
StackGuard::AdmitIpv6(Ptr<const Packet> packet, const uint8_t* bytes, uint32_t size)
{
    if (size < IPV6_BYTES || bytes[0] >> 4 != 6 || Number(bytes + 4) + IPV6_BYTES > size)
    {
        return nullptr;
    }
    // Who has no address yet, or says to be many, cannot be answered; ns-3 would try, also where a
    // packet is not for it, and cannot go on.
    const uint8_t* source = bytes + IPV6_SOURCE;
    if (source[0] == 0xff ||
        std::all_of(source, source + 16, [](uint8_t byte) { return byte == 0; }))
    {
        return nullptr;
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
            return nullptr;
        }
        next = at[0];
        at += length;
    }
    bool forUs = IsForUs(bytes + IPV6_DESTINATION, true);
    NoteNeighbour(forUs ? source : bytes + IPV6_DESTINATION, true);
    if (!forUs)
    {
        return packet;
    }
    if (next == FRAGMENT)
    {
        return AdmitIpv6Fragment(bytes, at, end);
    }
    return IsSaneIpv6Payload(bytes, next, at, static_cast<uint32_t>(end - at)) ? packet : nullptr;
}

Ptr<const Packet>
StackGuard::AdmitIpv6Fragment(const uint8_t* bytes, const uint8_t* at, const uint8_t* end)
{
    if (end - at < FRAGMENT_BYTES)
    {
        return nullptr;
    }
    const uint8_t* data = at + FRAGMENT_BYTES;
    Reassembly::Fragment piece{{},
                               Number(at + 2) & 0xfff8,
                               (at[3] & 1) != 0,
                               data,
                               static_cast<uint32_t>(end - data)};
    std::copy_n(bytes + IPV6_SOURCE, 32, piece.key.begin());
    std::copy_n(at + 4, 4, piece.key.begin() + 32);
    std::array<uint8_t, IPV6_BYTES> header;
    std::copy_n(bytes, IPV6_BYTES, header.begin());
    header[6] = at[0]; // What follows is what the first fragment says.
    const Reassembly::Whole* whole =
        m_reassembly.Add(piece,
                         header.data(),
                         IPV6_BYTES,
                         static_cast<uint64_t>(Simulator::Now().GetNanoSeconds()));
    if (whole == nullptr)
    {
        return nullptr;
    }
    auto length = static_cast<uint32_t>(whole->payload.size());
    std::copy_n(whole->first.begin(), IPV6_BYTES, header.begin());
    PutNumber(&header[4], length);
    const uint8_t* payload = whole->payload.data();
    return IsSaneIpv6Payload(header.data(), header[6], payload, length)
               ? Join(header.data(), IPV6_BYTES, payload, length)
               : nullptr;
}

bool
StackGuard::IsSaneIpv6Payload(const uint8_t* header,
                              uint8_t next,
                              const uint8_t* at,
                              uint32_t size) const
{
    bool discovery = next == ICMPV6 && size > 0 && *at >= 133 && *at <= 136;
    // From elsewhere it would be answered, and there is no way back. From beyond a router or with
    // other headers before it nobody may send it.
    if (discovery && (!IsNeighbour(Ipv6Address::Deserialize(header + IPV6_SOURCE)) ||
                      header[6] != ICMPV6 || header[7] != 255))
    {
        return false;
    }
    // Other headers lead on as well, and ns-3 would follow them.
    bool known = next == TCP || next == UDP || next == ICMPV6;
    return known && IsSaneTransport(next, at, size) &&
           (!discovery || AreKnownLinkAddresses(at, size, [this](const uint8_t* address) {
               return IsLinkAddress(address);
           }));
}

} // namespace ns3::qemunet

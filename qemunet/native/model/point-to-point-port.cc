/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "point-to-point-port.h"

#include "neighbour-discovery.h"

#include "ns3/packet.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace ns3::qemunet
{

namespace
{

constexpr uint16_t ETHERTYPE_IPV4 = 0x0800;
constexpr uint16_t ETHERTYPE_ARP = 0x0806;
constexpr uint16_t ETHERTYPE_IPV6 = 0x86dd;

// An ARP packet for IPv4 over Ethernet: what it begins with, and where its parts are.
constexpr std::array<uint8_t, 6> ARP_START{0, 1, 8, 0, 6, 4};
constexpr uint32_t ARP_BYTES = 28;
constexpr uint32_t ARP_OPERATION = 7;
constexpr uint32_t ARP_SENDER = 8;
constexpr uint32_t ARP_SENDER_IP = 14;
constexpr uint32_t ARP_TARGET = 18;
constexpr uint32_t ARP_TARGET_IP = 24;
constexpr uint8_t ARP_REQUEST = 1;
constexpr uint8_t ARP_REPLY = 2;

constexpr uint32_t IPV4_DESTINATION = 16;

/** @returns The payload of a frame. */
const uint8_t*
Payload(const Frame& frame)
{
    return frame.data + ETHERNET_HEADER_BYTES;
}

/** @returns True if all bytes are 0. */
bool
IsZero(const uint8_t* bytes, uint32_t count)
{
    return std::all_of(bytes, bytes + count, [](uint8_t byte) { return byte == 0; });
}

} // namespace

PointToPointPort::PointToPointPort(Ptr<PointToPointNetDevice> device,
                                   Mac48Address guest,
                                   Mac48Address far,
                                   PointToPointWatch& watch,
                                   uint32_t end)
    : m_device(device),
      m_guest(guest),
      m_far(far),
      m_watch(watch),
      m_end(end)
{
    device->GetNode()->RegisterProtocolHandler(MakeCallback(&PointToPointPort::Receive, this),
                                               0,
                                               device);
}

void
PointToPointPort::SetFrameReceiver(FrameSink* receiver)
{
    m_receiver = receiver;
}

void
PointToPointPort::PutFrame(FramePtr frame)
{
    auto type = static_cast<uint16_t>(frame->data[12] << 8 | frame->data[13]);
    uint32_t payload = frame->size - ETHERNET_HEADER_BYTES;
    m_guest.CopyFrom(frame->data + 6);
    if (type == ETHERTYPE_ARP && payload >= ARP_BYTES &&
        std::equal(ARP_START.begin(), ARP_START.end(), Payload(*frame)))
    {
        if (!AnswerArp(*frame))
        {
            m_watch.CountForeign(m_end);
        }
    }
    else if ((type == ETHERTYPE_IPV4 && payload >= IPV4_BYTES) ||
             (type == ETHERTYPE_IPV6 && payload >= IPV6_BYTES))
    {
        if (type == ETHERTYPE_IPV6 && GetDiscoveryType(Payload(*frame), payload) != 0)
        {
            if (!AnswerSolicitation(*frame))
            {
                m_watch.CountForeign(m_end);
            }
            return;
        }
        m_device->Send(Create<Packet>(Payload(*frame), payload), m_device->GetBroadcast(), type);
    }
    else
    {
        m_watch.CountForeign(m_end);
    }
}

bool
PointToPointPort::AnswerArp(const Frame& request)
{
    const uint8_t* asked = Payload(request);
    bool ownAddress =
        IsZero(asked + ARP_SENDER_IP, 4) ||
        std::equal(asked + ARP_SENDER_IP, asked + ARP_SENDER_IP + 4, asked + ARP_TARGET_IP);
    if (ownAddress)
    {
        return true;
    }
    if (asked[ARP_OPERATION] != ARP_REQUEST || m_receiver == nullptr)
    {
        return false;
    }
    FramePtr reply = MakeFrame(m_guest, ETHERTYPE_ARP);
    uint8_t* said = reply->data + ETHERNET_HEADER_BYTES;
    std::memcpy(said, asked, ARP_BYTES);
    said[ARP_OPERATION] = ARP_REPLY;
    m_far.CopyTo(said + ARP_SENDER);
    std::memcpy(said + ARP_SENDER_IP, asked + ARP_TARGET_IP, 4);
    std::memcpy(said + ARP_TARGET, asked + ARP_SENDER, 6);
    std::memcpy(said + ARP_TARGET_IP, asked + ARP_SENDER_IP, 4);
    reply->size = ETHERNET_HEADER_BYTES + ARP_BYTES;
    m_receiver->PutFrame(std::move(reply));
    return true;
}

bool
PointToPointPort::AnswerSolicitation(const Frame& frame)
{
    const uint8_t* asked = Payload(frame);
    uint32_t size = frame.size - ETHERNET_HEADER_BYTES;
    if (m_receiver == nullptr || !IsAnswerable(asked, size))
    {
        return GetDiscoveryType(asked, size) == SOLICITATION;
    }
    // A host that was told of no router would lose its routes by it.
    Advertisement said =
        MakeAdvertisement(asked + DISCOVERY_TARGET,
                          asked + IPV6_SOURCE,
                          asked + DISCOVERY_TARGET,
                          ADVERTISES_ROUTER | ADVERTISES_SOLICITED | ADVERTISES_OVERRIDING,
                          m_far);
    FramePtr reply = MakeFrame(m_guest, ETHERTYPE_IPV6);
    std::copy(said.begin(), said.end(), reply->data + ETHERNET_HEADER_BYTES);
    reply->size = ETHERNET_HEADER_BYTES + said.size();
    m_receiver->PutFrame(std::move(reply));
    return true;
}

FramePtr
PointToPointPort::MakeFrame(Mac48Address destination, uint16_t type) const
{
    FramePtr frame = FramePool::Get().Allocate();
    destination.CopyTo(frame->data);
    m_far.CopyTo(frame->data + 6);
    frame->data[12] = static_cast<uint8_t>(type >> 8);
    frame->data[13] = static_cast<uint8_t>(type & 0xff);
    return frame;
}

void
PointToPointPort::Receive(Ptr<NetDevice> /* device */,
                          Ptr<const Packet> packet,
                          uint16_t protocol,
                          const Address& /* source */,
                          const Address& /* destination */,
                          NetDevice::PacketType /* type */)
{
    uint32_t bytes = packet->GetSize();
    uint32_t header = protocol == ETHERTYPE_IPV6 ? IPV6_BYTES : IPV4_BYTES;
    if (m_receiver == nullptr || bytes < header ||
        bytes + ETHERNET_HEADER_BYTES > FramePool::Get().GetCapacity())
    {
        return;
    }
    FramePtr frame = MakeFrame(m_guest, protocol);
    uint8_t* payload = frame->data + ETHERNET_HEADER_BYTES;
    packet->CopyData(payload, bytes);
    frame->size = bytes + ETHERNET_HEADER_BYTES;
    // As on an Ethernet, a guest's stack looks at the address of a group's frame too.
    if (protocol == ETHERTYPE_IPV6 && payload[IPV6_DESTINATION] == 0xff)
    {
        std::memset(frame->data, 0x33, 2);
        std::memcpy(frame->data + 2, payload + IPV6_DESTINATION + 12, 4);
    }
    else if (protocol == ETHERTYPE_IPV4 && payload[IPV4_DESTINATION] == 255)
    {
        std::memset(frame->data, 0xff, 6);
    }
    else if (protocol == ETHERTYPE_IPV4 && (payload[IPV4_DESTINATION] & 0xf0) == 0xe0)
    {
        const uint8_t* group = payload + IPV4_DESTINATION;
        const std::array<uint8_t, 6> mapped{0x01,
                                            0x00,
                                            0x5e,
                                            static_cast<uint8_t>(group[1] & 0x7f),
                                            group[2],
                                            group[3]};
        std::copy(mapped.begin(), mapped.end(), frame->data);
    }
    m_receiver->PutFrame(std::move(frame));
}

} // namespace ns3::qemunet

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "wire-net-device.h"

#include "length-field.h"
#include "wire-channel.h"

#include "ns3/node.h"
#include "ns3/packet.h"
#include "ns3/uinteger.h"

namespace ns3::qemunet
{

NS_OBJECT_ENSURE_REGISTERED(WireNetDevice);

TypeId
WireNetDevice::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::qemunet::WireNetDevice")
            .SetParent<NetDevice>()
            .SetGroupName("Qemunet")
            .AddConstructor<WireNetDevice>()
            .AddAttribute("Address",
                          "The MAC address of this device.",
                          Mac48AddressValue(Mac48Address("ff:ff:ff:ff:ff:ff")),
                          MakeMac48AddressAccessor(&WireNetDevice::m_address),
                          MakeMac48AddressChecker())
            .AddAttribute("Mtu",
                          "The largest payload of a frame, in bytes.",
                          UintegerValue(1500),
                          MakeUintegerAccessor(&WireNetDevice::SetMtu, &WireNetDevice::GetMtu),
                          MakeUintegerChecker<uint16_t>(68));
    return tid;
}

void
WireNetDevice::DoDispose()
{
    m_channel = nullptr;
    m_node = nullptr;
    m_frameReceiver = nullptr;
    m_receive.Nullify();
    m_promiscReceive.Nullify();
    NetDevice::DoDispose();
}

void
WireNetDevice::Attach(Ptr<WireChannel> channel)
{
    m_channel = channel;
    m_end = channel->Attach(this);
    m_linkChange();
}

void
WireNetDevice::NotifyLinkChange()
{
    m_linkChange();
}

FrameCapture&
WireNetDevice::GetCapture()
{
    return m_capture;
}

void
WireNetDevice::SetFrameReceiver(FrameSink* receiver)
{
    m_frameReceiver = receiver;
}

bool
WireNetDevice::HasFrameReceiver() const
{
    return m_frameReceiver != nullptr;
}

void
WireNetDevice::PutFrame(FramePtr frame)
{
    WireDirection& direction = m_channel->GetDirection(m_end);
    if (frame->size > MaxFrameBytes(m_mtu))
    {
        direction.CountOversize();
        return;
    }
    m_capture.Record(*frame);
    direction.Put(std::move(frame));
}

NetDevice::PacketType
WireNetDevice::Classify(Mac48Address destination) const
{
    if (destination == m_address)
    {
        return PACKET_HOST;
    }
    if (destination.IsBroadcast())
    {
        return PACKET_BROADCAST;
    }
    return destination.IsGroup() ? PACKET_MULTICAST : PACKET_OTHERHOST;
}

void
WireNetDevice::Receive(FramePtr frame)
{
    m_capture.Record(*frame);
    if (m_frameReceiver != nullptr)
    {
        m_frameReceiver->PutFrame(std::move(frame));
        return;
    }
    Mac48Address destination;
    Mac48Address source;
    destination.CopyFrom(frame->data);
    source.CopyFrom(frame->data + 6);
    auto packet =
        Create<Packet>(frame->data + ETHERNET_HEADER_BYTES, frame->size - ETHERNET_HEADER_BYTES);
    auto field = static_cast<uint16_t>(frame->data[12] << 8 | frame->data[13]);
    uint16_t protocol = HideLengthField(packet, field);
    PacketType type = Classify(destination);
    if (!m_promiscReceive.IsNull())
    {
        m_promiscReceive(this, packet, protocol, source, destination, type);
    }
    if (type != PACKET_OTHERHOST && !m_receive.IsNull())
    {
        m_receive(this, packet, protocol, source);
    }
}

bool
WireNetDevice::Send(Ptr<Packet> packet, const Address& dest, uint16_t protocolNumber)
{
    return SendFrom(packet, m_address, dest, protocolNumber);
}

bool
WireNetDevice::SendFrom(Ptr<Packet> packet,
                        const Address& source,
                        const Address& dest,
                        uint16_t protocolNumber)
{
    uint32_t payload = packet->GetSize();
    if (!m_channel || payload + ETHERNET_HEADER_BYTES > MaxFrameBytes(m_mtu))
    {
        if (m_channel)
        {
            m_channel->GetDirection(m_end).CountOversize();
        }
        return false;
    }
    FramePtr frame = FramePool::Get().Allocate();
    Mac48Address::ConvertFrom(dest).CopyTo(frame->data);
    Mac48Address::ConvertFrom(source).CopyTo(frame->data + 6);
    uint16_t field = GetTypeField(packet, protocolNumber);
    frame->data[12] = static_cast<uint8_t>(field >> 8);
    frame->data[13] = static_cast<uint8_t>(field & 0xff);
    packet->CopyData(frame->data + ETHERNET_HEADER_BYTES, payload);
    frame->size = payload + ETHERNET_HEADER_BYTES;
    PutFrame(std::move(frame));
    return true;
}

bool
WireNetDevice::SetMtu(const uint16_t mtu)
{
    FramePool::Get().Require(MaxFrameBytes(mtu));
    m_mtu = mtu;
    return true;
}

uint16_t
WireNetDevice::GetMtu() const
{
    return static_cast<uint16_t>(m_mtu);
}

void
WireNetDevice::SetIfIndex(const uint32_t index)
{
    m_ifIndex = index;
}

uint32_t
WireNetDevice::GetIfIndex() const
{
    return m_ifIndex;
}

Ptr<Channel>
WireNetDevice::GetChannel() const
{
    return m_channel;
}

void
WireNetDevice::SetAddress(Address address)
{
    m_address = Mac48Address::ConvertFrom(address);
}

Address
WireNetDevice::GetAddress() const
{
    return m_address;
}

bool
WireNetDevice::IsLinkUp() const
{
    return m_channel != nullptr && m_channel->GetNDevices() == 2 && m_channel->IsUp();
}

void
WireNetDevice::AddLinkChangeCallback(Callback<void> callback)
{
    m_linkChange.ConnectWithoutContext(callback);
}

bool
WireNetDevice::IsBroadcast() const
{
    return true;
}

Address
WireNetDevice::GetBroadcast() const
{
    return Mac48Address::GetBroadcast();
}

bool
WireNetDevice::IsMulticast() const
{
    return true;
}

Address
WireNetDevice::GetMulticast(Ipv4Address multicastGroup) const
{
    return Mac48Address::GetMulticast(multicastGroup);
}

Address
WireNetDevice::GetMulticast(Ipv6Address addr) const
{
    return Mac48Address::GetMulticast(addr);
}

bool
WireNetDevice::IsBridge() const
{
    return false;
}

bool
WireNetDevice::IsPointToPoint() const
{
    // It has two ends, but addresses and ARP as Ethernet has.
    return false;
}

Ptr<Node>
WireNetDevice::GetNode() const
{
    return m_node;
}

void
WireNetDevice::SetNode(Ptr<Node> node)
{
    m_node = node;
}

bool
WireNetDevice::NeedsArp() const
{
    return true;
}

void
WireNetDevice::SetReceiveCallback(ReceiveCallback cb)
{
    m_receive = cb;
}

void
WireNetDevice::SetPromiscReceiveCallback(PromiscReceiveCallback cb)
{
    m_promiscReceive = cb;
}

bool
WireNetDevice::SupportsSendFrom() const
{
    return true;
}

} // namespace ns3::qemunet

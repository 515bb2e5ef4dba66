/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "device-port.h"

#include "length-field.h"

#include "ns3/channel.h"
#include "ns3/packet.h"
#include "ns3/pointer.h"
#include "ns3/simulator.h"

#include <string>
#include <utility>

namespace ns3::qemunet
{

namespace
{

/** Frames that may wait for Release(); what is more is the device's to drop. */
constexpr size_t HELD_FRAMES = 64;

/** @returns The type of a Wi-Fi device's MAC, whose library this one does not need; "" of any
 * other. */
std::string
GetMacType(const NetDevice& device)
{
    PointerValue mac;
    bool has = device.GetAttributeFailSafe("Mac", mac) && mac.GetObject();
    return has ? mac.GetObject()->GetInstanceTypeId().GetName() : "";
}

/** @returns True if an address is one of few, or there was room for it. */
bool
IsOneOf(std::set<Mac48Address>& few, size_t most, Mac48Address address)
{
    return few.contains(address) || (few.size() < most && few.insert(address).second);
}

} // namespace

DevicePort::DevicePort(Ptr<NetDevice> device)
    : m_device(device),
      m_anyName(device->SupportsSendFrom()),
      m_wifi(!GetMacType(*device).empty()),
      m_direct(m_wifi && GetMacType(*device) != "ns3::StaWifiMac")
{
    device->GetNode()->RegisterProtocolHandler(MakeCallback(&DevicePort::Receive, this),
                                               0,
                                               device,
                                               true);
}

void
DevicePort::SetFrameReceiver(FrameSink* receiver)
{
    m_receiver = receiver;
}

Ptr<NetDevice>
DevicePort::GetDevice() const
{
    return m_device;
}

void
DevicePort::Hold(Time atMost)
{
    m_waiting = true;
    Simulator::Schedule(atMost, &DevicePort::SendHeld, this);
}

void
DevicePort::Release()
{
    // Once whoever tells is through: a station tells before it thinks so itself.
    Simulator::ScheduleNow(&DevicePort::SendHeld, this);
}

void
DevicePort::SendHeld()
{
    m_waiting = false;
    for (FramePtr& frame : std::exchange(m_held, {}))
    {
        PutFrame(std::move(frame));
    }
}

void
DevicePort::PutFrame(FramePtr frame)
{
    if (m_waiting && m_held.size() < HELD_FRAMES)
    {
        m_held.push_back(std::move(frame));
        return;
    }
    Mac48Address destination;
    Mac48Address source;
    destination.CopyFrom(frame->data);
    source.CopyFrom(frame->data + 6);
    auto field = static_cast<uint16_t>(frame->data[12] << 8 | frame->data[13]);
    auto packet =
        Create<Packet>(frame->data + ETHERNET_HEADER_BYTES, frame->size - ETHERNET_HEADER_BYTES);
    field = HideLengthField(packet, field);
    if (m_anyName)
    {
        m_device->SendFrom(packet, source, destination, field);
    }
    else
    {
        m_device->Send(packet, destination, field);
    }
}

bool
DevicePort::Carries(const Frame& frame) const
{
    if (m_anyName && !m_wifi)
    {
        return true;
    }
    Mac48Address destination;
    Mac48Address source;
    destination.CopyFrom(frame.data);
    source.CopyFrom(frame.data + 6);
    if (!m_anyName)
    {
        Mac48Address own = Mac48Address::ConvertFrom(m_device->GetAddress());
        // ns-3's Wi-Fi ends the program where a device sends to itself.
        if (source != own || destination == own)
        {
            return false;
        }
    }
    return MaySendTo(destination);
}

bool
DevicePort::MaySendTo(Mac48Address destination) const
{
    if (destination.IsBroadcast())
    {
        return true;
    }
    if (destination.IsGroup())
    {
        return IsOneOf(m_groups, MOST_GROUPS, destination);
    }
    if (!m_direct)
    {
        return true;
    }
    Ptr<Channel> channel = m_device->GetChannel();
    for (std::size_t index = 0; index < channel->GetNDevices(); ++index)
    {
        if (channel->GetDevice(index)->GetAddress() == destination)
        {
            return true;
        }
    }
    return IsOneOf(m_strangers, MOST_STRANGERS, destination);
}

void
DevicePort::Receive(Ptr<NetDevice> /* device */,
                    Ptr<const Packet> packet,
                    uint16_t protocol,
                    const Address& source,
                    const Address& destination,
                    NetDevice::PacketType type)
{
    if (!m_anyName && type == NetDevice::PACKET_OTHERHOST)
    {
        return;
    }
    FramePtr frame = FramePool::Get().Allocate();
    uint32_t payload = packet->GetSize();
    if (m_receiver == nullptr || payload + ETHERNET_HEADER_BYTES > FramePool::Get().GetCapacity())
    {
        return;
    }
    protocol = GetTypeField(packet, protocol);
    Mac48Address::ConvertFrom(destination).CopyTo(frame->data);
    Mac48Address::ConvertFrom(source).CopyTo(frame->data + 6);
    frame->data[12] = static_cast<uint8_t>(protocol >> 8);
    frame->data[13] = static_cast<uint8_t>(protocol & 0xff);
    packet->CopyData(frame->data + ETHERNET_HEADER_BYTES, payload);
    frame->size = payload + ETHERNET_HEADER_BYTES;
    m_receiver->PutFrame(std::move(frame));
}

} // namespace ns3::qemunet

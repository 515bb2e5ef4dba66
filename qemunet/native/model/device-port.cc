/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "device-port.h"

#include "length-field.h"

#include "ns3/channel.h"
#include "ns3/packet.h"
#include "ns3/pointer.h"
#include "ns3/simulator.h"

#include <utility>

namespace ns3::qemunet
{

namespace
{

/** Frames that may wait for Release(); what is more is the device's to drop. */
constexpr size_t HELD_FRAMES = 64;

/** @returns True if a device is one of an ad hoc Wi-Fi, whose library this one does not need. */
bool
IsAdHoc(const NetDevice& device)
{
    PointerValue mac;
    return device.GetAttributeFailSafe("Mac", mac) && mac.GetObject() &&
           mac.GetObject()->GetInstanceTypeId().GetName() == "ns3::AdhocWifiMac";
}

} // namespace

DevicePort::DevicePort(Ptr<NetDevice> device)
    : m_device(device),
      m_anyName(device->SupportsSendFrom()),
      m_adHoc(IsAdHoc(*device))
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
    if (m_anyName)
    {
        return true;
    }
    Mac48Address destination;
    Mac48Address source;
    destination.CopyFrom(frame.data);
    source.CopyFrom(frame.data + 6);
    Mac48Address own = Mac48Address::ConvertFrom(m_device->GetAddress());
    // ns-3's Wi-Fi ends the program where a device sends to itself.
    return source == own && destination != own && MaySendTo(destination);
}

bool
DevicePort::MaySendTo(Mac48Address destination) const
{
    if (!m_adHoc || destination.IsGroup() || m_strangers.contains(destination))
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
    return m_strangers.size() < MOST_STRANGERS && m_strangers.insert(destination).second;
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

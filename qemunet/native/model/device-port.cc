/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "device-port.h"

#include "length-field.h"

#include "ns3/abort.h"
#include "ns3/mac48-address.h"
#include "ns3/packet.h"

namespace ns3::qemunet
{

DevicePort::DevicePort(Ptr<NetDevice> device)
    : m_device(device)
{
    NS_ABORT_MSG_UNLESS(device->SupportsSendFrom(),
                        device->GetInstanceTypeId().GetName() << " cannot send in a guest's name");
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

void
DevicePort::PutFrame(FramePtr frame)
{
    Mac48Address destination;
    Mac48Address source;
    destination.CopyFrom(frame->data);
    source.CopyFrom(frame->data + 6);
    auto field = static_cast<uint16_t>(frame->data[12] << 8 | frame->data[13]);
    auto packet =
        Create<Packet>(frame->data + ETHERNET_HEADER_BYTES, frame->size - ETHERNET_HEADER_BYTES);
    m_device->SendFrom(packet, source, destination, HideLengthField(packet, field));
}

void
DevicePort::Receive(Ptr<NetDevice> /* device */,
                    Ptr<const Packet> packet,
                    uint16_t protocol,
                    const Address& source,
                    const Address& destination,
                    NetDevice::PacketType /* type */)
{
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

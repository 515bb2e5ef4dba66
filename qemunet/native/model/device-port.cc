/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "device-port.h"

#include "ns3/mac48-address.h"
#include "ns3/packet.h"
#include "ns3/simulator.h"
#include "ns3/tag.h"

#include <utility>

namespace ns3::qemunet
{

namespace
{

/** EtherType for local experiments (IEEE 802): stands for a length field while a frame crosses an
 * ns-3 device. */
constexpr uint16_t ETHERTYPE_LOCAL = 0x88b5;

/** Frames that may wait for Release(); what is more is the device's to drop. */
constexpr size_t HELD_FRAMES = 64;

/** The true length field of a frame. */
class LengthFieldTag : public Tag
{
  public:
    LengthFieldTag() = default;

    /**
     * @param field What stands where an EtherType would.
     */
    explicit LengthFieldTag(uint16_t field)
        : m_field(field)
    {
    }

    /** @returns The TypeId. */
    static TypeId GetTypeId()
    {
        static TypeId tid = TypeId("ns3::qemunet::LengthFieldTag")
                                .SetParent<Tag>()
                                .SetGroupName("Qemunet")
                                .AddConstructor<LengthFieldTag>();
        return tid;
    }

    /** @returns What stands where an EtherType would. */
    uint16_t GetField() const
    {
        return m_field;
    }

    TypeId GetInstanceTypeId() const override
    {
        return GetTypeId();
    }

    uint32_t GetSerializedSize() const override
    {
        return 2;
    }

    void Serialize(TagBuffer i) const override
    {
        i.WriteU16(m_field);
    }

    void Deserialize(TagBuffer i) override
    {
        m_field = i.ReadU16();
    }

    void Print(std::ostream& os) const override
    {
        os << "length=" << m_field;
    }

  private:
    uint16_t m_field{0}; //!< The field.
};

NS_OBJECT_ENSURE_REGISTERED(LengthFieldTag);

} // namespace

DevicePort::DevicePort(Ptr<NetDevice> device)
    : m_device(device),
      m_anyName(device->SupportsSendFrom())
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
    if (field < ETHERTYPE_MIN)
    {
        packet->AddPacketTag(LengthFieldTag(field));
        field = ETHERTYPE_LOCAL;
    }
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
    Mac48Address source;
    source.CopyFrom(frame.data + 6);
    return source == Mac48Address::ConvertFrom(m_device->GetAddress());
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
    LengthFieldTag tag;
    if (protocol == ETHERTYPE_LOCAL && packet->PeekPacketTag(tag))
    {
        protocol = tag.GetField();
    }
    Mac48Address::ConvertFrom(destination).CopyTo(frame->data);
    Mac48Address::ConvertFrom(source).CopyTo(frame->data + 6);
    frame->data[12] = static_cast<uint8_t>(protocol >> 8);
    frame->data[13] = static_cast<uint8_t>(protocol & 0xff);
    packet->CopyData(frame->data + ETHERNET_HEADER_BYTES, payload);
    frame->size = payload + ETHERNET_HEADER_BYTES;
    m_receiver->PutFrame(std::move(frame));
}

} // namespace ns3::qemunet

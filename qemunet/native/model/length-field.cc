/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "length-field.h"

#include "frame.h"

#include "ns3/tag.h"

namespace ns3::qemunet
{

namespace
{

/** EtherType for local experiments (IEEE 802): stands for a length field while a frame crosses an
 * ns-3 device. */
constexpr uint16_t ETHERTYPE_LOCAL = 0x88b5;

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

uint16_t
HideLengthField(Ptr<Packet> packet, uint16_t field)
{
    if (field >= ETHERTYPE_MIN)
    {
        return field;
    }
    packet->AddPacketTag(LengthFieldTag(field));
    return ETHERTYPE_LOCAL;
}

uint16_t
GetTypeField(Ptr<const Packet> packet, uint16_t protocol)
{
    LengthFieldTag tag;
    return protocol == ETHERTYPE_LOCAL && packet->PeekPacketTag(tag) ? tag.GetField() : protocol;
}

} // namespace ns3::qemunet

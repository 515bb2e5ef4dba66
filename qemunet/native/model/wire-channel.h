/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_WIRE_CHANNEL_H
#define QEMUNET_WIRE_CHANNEL_H

#include "wire-direction.h"

#include "ns3/channel.h"

#include <array>

namespace ns3::qemunet
{

/** A full-duplex cable between two WireNetDevices. Direction 0 is from the first device to the
 * second. */
class WireChannel : public Channel
{
  public:
    /** @returns The TypeId. */
    static TypeId GetTypeId();

    /**
     * Connect the next end.
     *
     * @param device The device at this end; two at most.
     * @returns Index of the end, which is that of the direction in which it sends.
     */
    uint32_t Attach(Ptr<WireNetDevice> device);

    /**
     * @param index 0 or 1.
     * @returns That direction.
     */
    WireDirection& GetDirection(uint32_t index);

    /**
     * Pull the cable, or plug it in again: both directions, and both ends hear of it.
     *
     * @param up True if frames pass.
     */
    void SetUp(bool up);

    /** @returns True if frames pass. */
    bool IsUp() const;

    /**
     * @param stream The first random stream to use.
     * @returns How many were used.
     */
    int64_t AssignStreams(int64_t stream);

    // Inherited from Channel
    std::size_t GetNDevices() const override;
    Ptr<NetDevice> GetDevice(std::size_t index) const override;

  protected:
    void DoDispose() override;

  private:
    std::array<Ptr<WireNetDevice>, 2> m_devices; //!< The ends.
    std::array<WireDirection, 2> m_directions;   //!< From end 0, from end 1.
    bool m_up{true};                             //!< Frames pass.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_WIRE_CHANNEL_H */

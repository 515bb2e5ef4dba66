/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_POINT_TO_POINT_WATCH_H
#define QEMUNET_POINT_TO_POINT_WATCH_H

#include "counters.h"

#include "ns3/error-model.h"
#include "ns3/packet.h"
#include "ns3/point-to-point-net-device.h"
#include "ns3/ptr.h"

#include <array>

namespace ns3::qemunet
{

/** Counts what passes the two directions of a point-to-point channel, by the trace sources of its
 * devices, and takes it down. Bytes are of packets with the channel's own header of two. */
class PointToPointWatch
{
  public:
    PointToPointWatch() = default;
    PointToPointWatch(const PointToPointWatch&) = delete;
    PointToPointWatch& operator=(const PointToPointWatch&) = delete;

    /**
     * @param device The device at an end.
     * @param end 0 or 1.
     */
    void Add(Ptr<PointToPointNetDevice> device, uint32_t end);

    /**
     * Count a frame that a guest sent and the channel cannot carry.
     *
     * @param end At which it came.
     */
    void CountForeign(uint32_t end);

    /**
     * Packets are sent and take their time also while it is down; each receiver loses and counts
     * them.
     *
     * @param up False: no device receives anything.
     */
    void SetUp(bool up);

    /** Forget everything so far. */
    void Reset();

    /**
     * @param direction 0 is from the first end to the second.
     * @returns Its counters.
     */
    const LinkCounters& GetCounters(uint32_t direction) const;

  private:
    static void CountSent(LinkCounters* counters, Ptr<const Packet> packet);
    static void CountQueueDrop(LinkCounters* counters, Ptr<const Packet> packet);
    static void CountLoss(PointToPointWatch* watch, uint32_t direction, Ptr<const Packet> packet);
    static void CountDelivered(LinkCounters* counters, Ptr<const Packet> packet);

    std::array<LinkCounters, 2> m_counters;              //!< From end 0, from end 1.
    std::array<Ptr<PointToPointNetDevice>, 2> m_devices; //!< By end.
    std::array<Ptr<ErrorModel>, 2> m_errors;             //!< Of each device, while it is down.
    bool m_up{true};                                     //!< Packets pass.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_POINT_TO_POINT_WATCH_H */

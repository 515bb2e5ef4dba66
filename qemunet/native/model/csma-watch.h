/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_CSMA_WATCH_H
#define QEMUNET_CSMA_WATCH_H

#include "counters.h"

#include "ns3/csma-net-device.h"
#include "ns3/packet.h"
#include "ns3/ptr.h"

namespace ns3::qemunet
{

/** Counts what happens on a csma channel, by the trace sources of its devices. */
class CsmaWatch
{
  public:
    CsmaWatch() = default;
    CsmaWatch(const CsmaWatch&) = delete;
    CsmaWatch& operator=(const CsmaWatch&) = delete;

    /**
     * @param device A device on the channel.
     */
    void Add(Ptr<CsmaNetDevice> device);

    /** Count from zero: what was before time 0 does not count. */
    void Reset();

    /** @returns The counters. "Delivered" counts each receiver. */
    const LinkCounters& GetCounters() const;

  private:
    void CountSent(Ptr<const Packet> packet);
    void CountQueueDrop(Ptr<const Packet> packet);
    void CountCollision(Ptr<const Packet> packet);
    void CountLoss(Ptr<const Packet> packet);
    void CountDelivered(Ptr<const Packet> packet);

    LinkCounters m_counters; //!< What happened.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_CSMA_WATCH_H */

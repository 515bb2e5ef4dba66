/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_CSMA_WATCH_H
#define QEMUNET_CSMA_WATCH_H

#include "counters.h"

#include "ns3/csma-net-device.h"
#include "ns3/error-model.h"
#include "ns3/packet.h"
#include "ns3/ptr.h"

#include <vector>

namespace ns3::qemunet
{

/** Counts what happens on a csma channel, by the trace sources of its devices, and changes it. */
class CsmaWatch
{
  public:
    CsmaWatch() = default;
    CsmaWatch(const CsmaWatch&) = delete;
    CsmaWatch& operator=(const CsmaWatch&) = delete;

    /**
     * @param device A device on the channel.
     * @param errors Its receive error model.
     */
    void Add(Ptr<CsmaNetDevice> device, Ptr<RateErrorModel> errors);

    /**
     * @param loss Share of frames that each receiver loses.
     */
    void SetLoss(double loss);

    /**
     * Frames are sent and take their time also while it is down; each receiver loses and counts
     * them. (Sending is not disabled: a device of ns-3 that waits for the channel at that moment
     * never sends again.)
     *
     * @param up False: no device receives anything.
     */
    void SetUp(bool up);

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

    LinkCounters m_counters;                        //!< What happened.
    uint64_t m_lastBytes{0};                        //!< Of the last frame that reached a device.
    std::vector<Ptr<CsmaNetDevice>> m_devices;      //!< The devices.
    std::vector<Ptr<RateErrorModel>> m_errorModels; //!< Of each device.
    bool m_up{true};                                //!< Frames pass.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_CSMA_WATCH_H */

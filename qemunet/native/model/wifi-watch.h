/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_WIFI_WATCH_H
#define QEMUNET_WIFI_WATCH_H

#include "link-watch.h"

#include "ns3/packet.h"
#include "ns3/ptr.h"
#include "ns3/wifi-mac.h"

#include <vector>

namespace ns3::qemunet
{

/**
 * Counts what happens on a Wi-Fi, by the trace sources of its MACs.
 *
 * Frames are those of the layer above: what an access point passes on between two stations, and
 * what is sent again, counts once.
 */
class WifiWatch : public LinkWatch
{
  public:
    /**
     * @param mac Of a device on the channel.
     */
    void Add(Ptr<WifiMac> mac);

    void Open() override;
    const LinkCounters& GetCounters() const override;

  private:
    void CountSent(Ptr<const Packet> packet);
    void CountDelivered(Ptr<const Packet> packet);
    void CountNotQueued(Ptr<const Packet> packet);
    void CountDropped(WifiMacDropReason reason, Ptr<const WifiMpdu> mpdu);

    std::vector<Ptr<WifiMac>> m_macs; //!< All on the channel.
    LinkCounters m_counters;          //!< What happened.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_WIFI_WATCH_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_WIFI_WATCH_H
#define QEMUNET_WIFI_WATCH_H

#include "gate-loss-model.h"
#include "link-watch.h"

#include "ns3/packet.h"
#include "ns3/ptr.h"
#include "ns3/wifi-mac.h"
#include "ns3/yans-wifi-channel.h"

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
     * @param channel The medium.
     */
    explicit WifiWatch(Ptr<YansWifiChannel> channel);

    /**
     * @param mac Of a device on the channel.
     */
    void Add(Ptr<WifiMac> mac);

    void Open() override;

    /**
     * Devices go on sending while it is down, each frame as often as they try.
     *
     * @param up False: nobody hears anything.
     */
    void SetUp(bool up) override;

    const LinkCounters& GetCounters() const override;

  private:
    void CountSent(Ptr<const Packet> packet);
    void CountDelivered(Ptr<const Packet> packet);
    void CountNotQueued(Ptr<const Packet> packet);
    void CountDropped(WifiMacDropReason reason, Ptr<const WifiMpdu> mpdu);

    Ptr<YansWifiChannel> m_channel;   //!< The medium.
    Ptr<GateLossModel> m_gate;        //!< The last of its losses.
    bool m_up{true};                  //!< Signals pass.
    std::vector<Ptr<WifiMac>> m_macs; //!< All on the channel.
    LinkCounters m_counters;          //!< What happened.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_WIFI_WATCH_H */

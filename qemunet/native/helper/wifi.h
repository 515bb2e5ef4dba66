/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_WIFI_H
#define QEMUNET_WIFI_H

#include "../model/wifi-watch.h"
#include "network.h"

#include "ns3/propagation-delay-model.h"
#include "ns3/propagation-loss-model.h"
#include "ns3/yans-wifi-channel.h"

#include <cstdint>
#include <string>

namespace ns3::qemunet
{

/** Builds one Wi-Fi: a channel of its own, and the devices on it. */
class Wifi
{
  public:
    /** What all devices of a Wi-Fi have in common. */
    struct Settings
    {
        std::string standard;        //!< As WifiHelper::SetStandard() takes it, such as 802.11g.
        std::string channelSettings; //!< The PHY's attribute ChannelSettings.
        std::string manager;         //!< Type of rate control.
        std::string ssid;            //!< Name of the network.
        uint16_t mtu{1500};          //!< In bytes.
    };

    /**
     * @param network Takes the devices and counters.
     * @param settings Of all devices.
     * @param delay How long signals take.
     */
    Wifi(Network& network, const Settings& settings, Ptr<PropagationDelayModel> delay);

    /**
     * @param loss What signals lose, after those added before.
     */
    void AddLoss(Ptr<PropagationLossModel> loss);

    /**
     * @param node The new device's node, which has a mobility model.
     * @param mac Type of its MAC: ns3::AdhocWifiMac, ns3::StaWifiMac or ns3::ApWifiMac.
     * @param address Its MAC address; empty gives one of ns-3's own.
     */
    void AddEnd(uint32_t node, const std::string& mac, const std::string& address);

  private:
    Network& m_network;               //!< The whole.
    Settings m_settings;              //!< Of all devices.
    Ptr<YansWifiChannel> m_channel;   //!< The medium.
    Ptr<PropagationLossModel> m_last; //!< Its end.
    WifiWatch* m_watch;               //!< Owned by the network.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_WIFI_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "wifi.h"

#include "ns3/frame-exchange-manager.h"
#include "ns3/mac48-address.h"
#include "ns3/net-device-container.h"
#include "ns3/node-list.h"
#include "ns3/ssid.h"
#include "ns3/string.h"
#include "ns3/wifi-mac-helper.h"
#include "ns3/wifi-net-device.h"
#include "ns3/yans-wifi-helper.h"

#include <memory>
#include <utility>

namespace ns3::qemunet
{

Wifi::Wifi(Network& network, const Settings& settings, Ptr<PropagationDelayModel> delay)
    : m_network(network),
      m_settings(settings),
      m_channel(CreateObject<YansWifiChannel>())
{
    m_channel->SetPropagationDelayModel(delay);
    m_network.AssignStreams([&](int64_t stream) { return delay->AssignStreams(stream); });
    auto watch = std::make_unique<WifiWatch>(m_channel);
    m_watch = watch.get();
    m_network.AddMedium(std::move(watch));
}

void
Wifi::AddLoss(Ptr<PropagationLossModel> loss)
{
    // A model assigns streams to those behind it as well; this one has none yet.
    m_network.AssignStreams([&](int64_t stream) { return loss->AssignStreams(stream); });
    if (m_last)
    {
        m_last->SetNext(loss);
    }
    else
    {
        m_channel->SetPropagationLossModel(loss);
    }
    m_last = loss;
}

void
Wifi::AddEnd(uint32_t node, const std::string& mac, const std::string& address)
{
    WifiMacHelper macHelper;
    macHelper.SetType(mac, "Ssid", SsidValue(Ssid(m_settings.ssid)));
    YansWifiPhyHelper phyHelper;
    phyHelper.SetChannel(m_channel);
    // Before the PHY is configured: its other attributes may come later.
    phyHelper.Set("ChannelSettings", StringValue(m_settings.channelSettings));
    WifiHelper helper;
    helper.SetStandard(m_settings.standard);
    helper.SetRemoteStationManager(m_settings.manager);
    NetDeviceContainer devices = helper.Install(phyHelper, macHelper, NodeList::GetNode(node));
    auto device = DynamicCast<WifiNetDevice>(devices.Get(0));
    if (!address.empty())
    {
        Mac48Address own(address.c_str());
        device->SetAddress(own);
        // The device tells its MAC, but not the part of it that was made for its link.
        device->GetMac()->GetFrameExchangeManager(SINGLE_LINK_OP_ID)->SetAddress(own);
    }
    device->SetMtu(m_settings.mtu);
    m_network.AssignStreams(
        [&](int64_t stream) { return WifiHelper::AssignStreams(devices, stream); });
    m_watch->Add(device->GetMac());
}

} // namespace ns3::qemunet

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "wifi-watch.h"

#include "frame.h"

#include "ns3/pointer.h"
#include "ns3/qos-utils.h"
#include "ns3/wifi-mac-queue.h"
#include "ns3/wifi-mpdu.h"

namespace ns3::qemunet
{

namespace
{

/** LLC/SNAP header, which packets have here in place of an Ethernet header. */
constexpr uint32_t LLC_BYTES = 8;

/**
 * @param packet A packet with its LLC/SNAP header.
 * @returns Bytes of it as an Ethernet frame without FCS.
 */
uint32_t
GetFrameBytes(const Packet& packet)
{
    return packet.GetSize() + ETHERNET_HEADER_BYTES - LLC_BYTES;
}

} // namespace

WifiWatch::WifiWatch(Ptr<YansWifiChannel> channel)
    : m_channel(channel),
      m_gate(CreateObject<GateLossModel>())
{
}

void
WifiWatch::Add(Ptr<WifiMac> mac)
{
    m_macs.push_back(mac);
    mac->TraceConnectWithoutContext("MacTx", MakeCallback(&WifiWatch::CountSent, this));
    mac->TraceConnectWithoutContext("MacRx", MakeCallback(&WifiWatch::CountDelivered, this));
    mac->TraceConnectWithoutContext("MacTxDrop", MakeCallback(&WifiWatch::CountNotQueued, this));
    mac->TraceConnectWithoutContext("DroppedMpdu", MakeCallback(&WifiWatch::CountDropped, this));
}

void
WifiWatch::Open()
{
    // TapBridge hears its tap from its initialization on: what it queued meanwhile is not sent.
    for (const Ptr<WifiMac>& mac : m_macs)
    {
        for (AcIndex category : {AC_BE, AC_BK, AC_VI, AC_VO, AC_BE_NQOS})
        {
            if (Ptr<WifiMacQueue> queue = mac->GetTxopQueue(category))
            {
                queue->Flush();
            }
        }
    }
    // Only now: the channel's attributes may have given it other losses than it was made with.
    PointerValue first;
    m_channel->GetAttribute("PropagationLossModel", first);
    auto last = first.Get<PropagationLossModel>();
    while (last->GetNext())
    {
        last = last->GetNext();
    }
    last->SetNext(m_gate);
    m_counters = {};
}

void
WifiWatch::SetUp(bool up)
{
    m_up = up;
    m_gate->SetOpen(up);
}

const LinkCounters&
WifiWatch::GetCounters() const
{
    return m_counters;
}

void
WifiWatch::CountSent(Ptr<const Packet> packet)
{
    ++m_counters.sentFrames;
    m_counters.sentBytes += GetFrameBytes(*packet);
}

void
WifiWatch::CountDelivered(Ptr<const Packet> packet)
{
    ++m_counters.deliveredFrames;
    m_counters.deliveredBytes += GetFrameBytes(*packet);
}

void
WifiWatch::CountNotQueued(Ptr<const Packet> /* packet */)
{
    ++m_counters.droppedQueue;
}

void
WifiWatch::CountDropped(WifiMacDropReason reason, Ptr<const WifiMpdu> mpdu)
{
    if (!mpdu->GetHeader().HasData())
    {
        return; // management
    }
    if (reason == WIFI_MAC_DROP_REACHED_RETRY_LIMIT)
    {
        ++(m_up ? m_counters.droppedCollision : m_counters.droppedDown);
    }
    else
    {
        ++m_counters.droppedQueue;
    }
}

} // namespace ns3::qemunet

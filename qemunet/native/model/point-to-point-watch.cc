/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "point-to-point-watch.h"

namespace ns3::qemunet
{

void
PointToPointWatch::Add(Ptr<PointToPointNetDevice> device, uint32_t end)
{
    LinkCounters* sent = &m_counters.at(end);
    LinkCounters* received = &m_counters.at(1 - end);
    device->TraceConnectWithoutContext("MacTx",
                                       MakeBoundCallback(&PointToPointWatch::CountSent, sent));
    device->TraceConnectWithoutContext("MacTxDrop",
                                       MakeBoundCallback(&PointToPointWatch::CountQueueDrop, sent));
    device->TraceConnectWithoutContext("PhyRxDrop",
                                       MakeBoundCallback(&PointToPointWatch::CountLoss, received));
    device->TraceConnectWithoutContext(
        "MacRx",
        MakeBoundCallback(&PointToPointWatch::CountDelivered, received));
}

void
PointToPointWatch::CountForeign(uint32_t end)
{
    ++m_counters.at(end).droppedProtocol;
}

void
PointToPointWatch::Reset()
{
    m_counters = {};
}

const LinkCounters&
PointToPointWatch::GetCounters(uint32_t direction) const
{
    return m_counters.at(direction);
}

void
PointToPointWatch::CountSent(LinkCounters* counters, Ptr<const Packet> packet)
{
    ++counters->sentFrames;
    counters->sentBytes += packet->GetSize();
}

void
PointToPointWatch::CountQueueDrop(LinkCounters* counters, Ptr<const Packet> /* packet */)
{
    ++counters->droppedQueue;
}

void
PointToPointWatch::CountLoss(LinkCounters* counters, Ptr<const Packet> /* packet */)
{
    ++counters->droppedLoss;
}

void
PointToPointWatch::CountDelivered(LinkCounters* counters, Ptr<const Packet> packet)
{
    ++counters->deliveredFrames;
    counters->deliveredBytes += packet->GetSize();
}

} // namespace ns3::qemunet

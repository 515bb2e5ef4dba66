/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "point-to-point-watch.h"

#include "ns3/double.h"
#include "ns3/object-factory.h"
#include "ns3/pointer.h"
#include "ns3/string.h"

namespace ns3::qemunet
{

void
PointToPointWatch::Add(Ptr<PointToPointNetDevice> device, uint32_t end)
{
    m_devices.at(end) = device;
    LinkCounters* sent = &m_counters.at(end);
    LinkCounters* received = &m_counters.at(1 - end);
    device->TraceConnectWithoutContext("MacTx",
                                       MakeBoundCallback(&PointToPointWatch::CountSent, sent));
    device->TraceConnectWithoutContext("MacTxDrop",
                                       MakeBoundCallback(&PointToPointWatch::CountQueueDrop, sent));
    device->TraceConnectWithoutContext(
        "PhyRxDrop",
        MakeBoundCallback(&PointToPointWatch::CountLoss, this, 1 - end));
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
PointToPointWatch::SetUp(bool up)
{
    if (up == m_up)
    {
        return;
    }
    m_up = up;
    for (uint32_t end = 0; end < 2; ++end)
    {
        if (up)
        {
            m_devices[end]->SetReceiveErrorModel(m_errors[end]);
            continue;
        }
        PointerValue errors;
        m_devices[end]->GetAttribute("ReceiveErrorModel", errors);
        m_errors[end] = errors.Get<ErrorModel>();
        auto all = CreateObjectWithAttributes<RateErrorModel>("ErrorRate",
                                                              DoubleValue(1),
                                                              "ErrorUnit",
                                                              StringValue("ERROR_UNIT_PACKET"));
        m_devices[end]->SetReceiveErrorModel(all);
    }
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
PointToPointWatch::CountLoss(PointToPointWatch* watch,
                             uint32_t direction,
                             Ptr<const Packet> /* packet */)
{
    LinkCounters& counters = watch->m_counters.at(direction);
    ++(watch->m_up ? counters.droppedLoss : counters.droppedDown);
}

void
PointToPointWatch::CountDelivered(LinkCounters* counters, Ptr<const Packet> packet)
{
    ++counters->deliveredFrames;
    counters->deliveredBytes += packet->GetSize();
}

} // namespace ns3::qemunet

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "csma-watch.h"

namespace ns3::qemunet
{

namespace
{

/** The frame check sequence, which these trace sources include. */
constexpr uint32_t TRAILER_BYTES = 4;

} // namespace

void
CsmaWatch::Add(Ptr<CsmaNetDevice> device, Ptr<RateErrorModel> errors)
{
    device->SetReceiveErrorModel(errors);
    m_devices.push_back(device);
    m_errorModels.push_back(errors);
    device->TraceConnectWithoutContext("MacTx", MakeCallback(&CsmaWatch::CountSent, this));
    device->TraceConnectWithoutContext("MacTxDrop", MakeCallback(&CsmaWatch::CountQueueDrop, this));
    device->TraceConnectWithoutContext("PhyTxDrop", MakeCallback(&CsmaWatch::CountCollision, this));
    device->TraceConnectWithoutContext("PhyRxDrop", MakeCallback(&CsmaWatch::CountLoss, this));
    // Before PhyRxDrop, if the device drops it; later ones are for those who listen to all only.
    device->TraceConnectWithoutContext("PhyRxEnd", MakeCallback(&CsmaWatch::CountDelivered, this));
}

void
CsmaWatch::SetLoss(double loss)
{
    for (const Ptr<RateErrorModel>& errors : m_errorModels)
    {
        errors->SetRate(loss);
        // Without loss nothing is drawn.
        loss > 0 ? errors->Enable() : errors->Disable();
    }
}

void
CsmaWatch::SetUp(bool up)
{
    m_up = up;
    for (const Ptr<CsmaNetDevice>& device : m_devices)
    {
        device->SetReceiveEnable(up);
    }
}

void
CsmaWatch::Reset()
{
    m_counters = {};
}

const LinkCounters&
CsmaWatch::GetCounters() const
{
    return m_counters;
}

void
CsmaWatch::CountSent(Ptr<const Packet> packet)
{
    ++m_counters.sentFrames;
    m_counters.sentBytes += packet->GetSize() - TRAILER_BYTES;
}

void
CsmaWatch::CountQueueDrop(Ptr<const Packet> /* packet */)
{
    ++m_counters.droppedQueue;
}

void
CsmaWatch::CountCollision(Ptr<const Packet> /* packet */)
{
    ++m_counters.droppedCollision;
}

void
CsmaWatch::CountLoss(Ptr<const Packet> /* packet */)
{
    --m_counters.deliveredFrames;
    m_counters.deliveredBytes -= m_lastBytes;
    ++(m_up ? m_counters.droppedLoss : m_counters.droppedDown);
}

void
CsmaWatch::CountDelivered(Ptr<const Packet> packet)
{
    m_lastBytes = packet->GetSize() - TRAILER_BYTES;
    ++m_counters.deliveredFrames;
    m_counters.deliveredBytes += m_lastBytes;
}

} // namespace ns3::qemunet

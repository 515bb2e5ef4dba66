/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "wire-direction.h"

#include "wire-net-device.h"

#include "ns3/node.h"
#include "ns3/nstime.h"
#include "ns3/simulator.h"

#include <algorithm>

namespace ns3::qemunet
{

namespace
{

/** @returns Simulation time in ns. */
uint64_t
Now()
{
    return static_cast<uint64_t>(Simulator::Now().GetNanoSeconds());
}

} // namespace

WireDirection::WireDirection()
    : m_lossDraw(CreateObject<UniformRandomVariable>()),
      m_jitterDraw(CreateObject<UniformRandomVariable>()),
      m_duplicateDraw(CreateObject<UniformRandomVariable>()),
      m_reorderDraw(CreateObject<UniformRandomVariable>())
{
}

void
WireDirection::SetReceiver(WireNetDevice* receiver)
{
    m_receiver = receiver;
}

void
WireDirection::AssignStreams(int64_t stream)
{
    m_lossDraw->SetStream(stream);
    m_jitterDraw->SetStream(stream + 1);
    m_duplicateDraw->SetStream(stream + 2);
    m_reorderDraw->SetStream(stream + 3);
}

void
WireDirection::Set(const Impairments& impairments)
{
    m_impairments = impairments;
}

const LinkCounters&
WireDirection::GetCounters() const
{
    return m_counters;
}

void
WireDirection::CountOversize()
{
    ++m_counters.droppedOversize;
}

void
WireDirection::Clear()
{
    m_queue.clear();
    m_transmitting.reset();
    m_flying.clear();
    m_overtaking.clear();
    m_receiver = nullptr;
}

void
WireDirection::Put(FramePtr frame)
{
    ++m_counters.sentFrames;
    m_counters.sentBytes += frame->size;
    if (m_transmitting)
    {
        if (m_queue.size() >= m_impairments.queueFrames)
        {
            ++m_counters.droppedQueue;
            return;
        }
        m_queue.push_back(std::move(frame));
    }
    else if (m_impairments.rateBps == 0)
    {
        Depart(std::move(frame));
    }
    else
    {
        Transmit(std::move(frame));
    }
}

void
WireDirection::Transmit(FramePtr frame)
{
    uint64_t rate = m_impairments.rateBps;
    uint64_t bits = uint64_t{8} * (std::max(frame->size, ETHERNET_MIN_BYTES) + ETHERNET_FCS_BYTES);
    uint64_t scaled = bits * 1'000'000'000 + std::min(m_remainder, rate - 1);
    m_remainder = scaled % rate;
    m_transmitting = std::move(frame);
    Simulator::Schedule(NanoSeconds(scaled / rate), &WireDirection::EndTransmission, this);
}

void
WireDirection::EndTransmission()
{
    if (!m_transmitting)
    {
        return; // Cleared meanwhile.
    }
    Depart(std::move(m_transmitting));
    while (!m_queue.empty() && !m_transmitting)
    {
        FramePtr next = std::move(m_queue.front());
        m_queue.pop_front();
        if (m_impairments.rateBps == 0)
        {
            Depart(std::move(next));
        }
        else
        {
            Transmit(std::move(next));
        }
    }
}

void
WireDirection::Depart(FramePtr frame)
{
    if (m_impairments.loss > 0 && m_lossDraw->GetValue() < m_impairments.loss)
    {
        ++m_counters.droppedLoss;
        return;
    }
    int64_t delay = m_impairments.delayNs;
    if (m_impairments.jitterNs > 0)
    {
        auto width = static_cast<double>(m_impairments.jitterNs);
        delay =
            std::max<int64_t>(0,
                              delay + static_cast<int64_t>(m_jitterDraw->GetValue(-width, width)));
    }
    FramePtr copy;
    if (m_impairments.duplicate > 0 && m_duplicateDraw->GetValue() < m_impairments.duplicate)
    {
        ++m_counters.duplicated;
        copy = FramePool::Get().Copy(*frame);
    }
    if (m_impairments.reorder > 0 && m_reorderDraw->GetValue() < m_impairments.reorder)
    {
        ++m_counters.reordered;
        m_overtaking.push_back(std::move(frame));
        Simulator::ScheduleWithContext(m_receiver->GetNode()->GetId(),
                                       Time(0),
                                       &WireDirection::Overtake,
                                       this);
    }
    else
    {
        Land(Now() + static_cast<uint64_t>(delay), std::move(frame));
    }
    if (copy)
    {
        Land(Now() + static_cast<uint64_t>(delay), std::move(copy));
    }
}

void
WireDirection::Land(uint64_t arrival, FramePtr frame)
{
    m_lastArrival = std::max(m_lastArrival, arrival);
    // A door only queues the frame. The ns-3 stack may send in turn, so it gets an event of its
    // own: else a ring of bridges and wires without delay would recurse without end.
    if (m_flying.empty() && m_lastArrival == Now() && m_receiver->HasFrameReceiver())
    {
        Deliver(std::move(frame));
        return;
    }
    m_flying.push_back({m_lastArrival, std::move(frame)});
    if (!m_armed)
    {
        Schedule(m_lastArrival);
    }
}

void
WireDirection::Schedule(uint64_t arrival)
{
    m_armed = true;
    Simulator::ScheduleWithContext(m_receiver->GetNode()->GetId(),
                                   NanoSeconds(arrival - Now()),
                                   &WireDirection::Arrive,
                                   this);
}

void
WireDirection::Overtake()
{
    if (m_overtaking.empty())
    {
        return; // Cleared meanwhile.
    }
    FramePtr frame = std::move(m_overtaking.front());
    m_overtaking.pop_front();
    Deliver(std::move(frame));
}

void
WireDirection::Arrive()
{
    m_armed = false;
    uint64_t now = Now();
    while (!m_flying.empty() && m_flying.front().arrival <= now)
    {
        FramePtr frame = std::move(m_flying.front().frame);
        m_flying.pop_front();
        Deliver(std::move(frame));
    }
    if (!m_flying.empty() && !m_armed)
    {
        Schedule(m_flying.front().arrival);
    }
}

void
WireDirection::Deliver(FramePtr frame)
{
    ++m_counters.deliveredFrames;
    m_counters.deliveredBytes += frame->size;
    m_receiver->Receive(std::move(frame));
}

} // namespace ns3::qemunet

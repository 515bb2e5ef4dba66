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

/** Frames that one event delivers at most, so that others have their turn. */
constexpr unsigned FRAMES_IN_A_ROW = 64;

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
      m_reorderDraw(CreateObject<UniformRandomVariable>()),
      m_delayDraw(CreateObject<UniformRandomVariable>()),
      m_normalDraw(CreateObject<NormalRandomVariable>())
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
    m_delayDraw->SetStream(stream + 4);
    m_normalDraw->SetStream(stream + 5);
}

void
WireDirection::Set(const Impairments& impairments, std::shared_ptr<const DelayDistribution> delays)
{
    m_impairments = impairments;
    // Times stay far from where they would overflow.
    m_impairments.delayNs = std::min<int64_t>(impairments.delayNs, DelayDistribution::LONGEST_NS);
    m_impairments.jitterNs = std::min<int64_t>(impairments.jitterNs, DelayDistribution::LONGEST_NS);
    m_delays = std::move(delays);
}

void
WireDirection::SetUp(bool up)
{
    m_up = up;
    if (!up)
    {
        m_counters.droppedDown += DropAll();
    }
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
    DropAll();
    m_receiver = nullptr;
}

uint64_t
WireDirection::DropAll()
{
    uint64_t frames =
        m_queue.size() + (m_transmitting ? 1 : 0) + m_flying.size() + m_overtaking.size();
    m_queue.clear();
    m_transmitting.reset();
    m_transmission.Cancel();
    m_flying.clear();
    m_overtaking.clear();
    m_armed = false;
    ++m_generation;
    m_lastArrival = 0;
    return frames;
}

void
WireDirection::Put(FramePtr frame)
{
    ++m_counters.sentFrames;
    m_counters.sentBytes += frame->size;
    if (!m_up)
    {
        ++m_counters.droppedDown;
        return;
    }
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
    m_transmission =
        Simulator::Schedule(NanoSeconds(scaled / rate), &WireDirection::EndTransmission, this);
}

void
WireDirection::EndTransmission()
{
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
    uint64_t arrival = Now() + static_cast<uint64_t>(DrawDelay());
    FramePtr copy;
    if (m_impairments.duplicate > 0 && m_duplicateDraw->GetValue() < m_impairments.duplicate)
    {
        ++m_counters.duplicated;
        copy = FramePool::Get().Copy(*frame);
    }
    if (m_impairments.reorder > 0 && m_reorderDraw->GetValue() < m_impairments.reorder)
    {
        ++m_counters.reordered;
        arrival = m_delays ? arrival : Now();
        LandFreely(arrival, std::move(frame));
        if (copy)
        {
            LandFreely(arrival, std::move(copy));
        }
        return;
    }
    Land(arrival, std::move(frame));
    if (copy)
    {
        Land(arrival, std::move(copy));
    }
}

int64_t
WireDirection::DrawDelay()
{
    int64_t delay =
        m_delays ? m_delays->Draw(*m_delayDraw, *m_normalDraw) : int64_t{m_impairments.delayNs};
    if (m_impairments.jitterNs > 0)
    {
        auto width = static_cast<double>(m_impairments.jitterNs);
        delay += static_cast<int64_t>(m_jitterDraw->GetValue(-width, width));
    }
    return std::max<int64_t>(0, delay);
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
    if (!HasRoom())
    {
        return;
    }
    m_flying.push_back({m_lastArrival, std::move(frame)});
    if (!m_armed)
    {
        Schedule(m_lastArrival);
    }
}

bool
WireDirection::HasRoom()
{
    bool full = FramePool::Get().IsFull();
    m_counters.droppedQueue += full ? 1 : 0;
    return !full;
}

void
WireDirection::Schedule(uint64_t arrival)
{
    m_armed = true;
    Simulator::ScheduleWithContext(m_receiver->GetNode()->GetId(),
                                   NanoSeconds(arrival - Now()),
                                   &WireDirection::Arrive,
                                   this,
                                   m_generation);
}

void
WireDirection::LandFreely(uint64_t arrival, FramePtr frame)
{
    if (!HasRoom())
    {
        return;
    }
    m_overtaking.push_back({{arrival, std::move(frame)}, m_overtakers++});
    std::push_heap(m_overtaking.begin(), m_overtaking.end());
    Simulator::ScheduleWithContext(m_receiver->GetNode()->GetId(),
                                   NanoSeconds(arrival - Now()),
                                   &WireDirection::Overtake,
                                   this);
}

void
WireDirection::Overtake()
{
    if (m_overtaking.empty() || m_overtaking.front().arrival > Now())
    {
        return; // What this event was for was dropped meanwhile.
    }
    std::pop_heap(m_overtaking.begin(), m_overtaking.end());
    FramePtr frame = std::move(m_overtaking.back().frame);
    m_overtaking.pop_back();
    Deliver(std::move(frame));
}

void
WireDirection::Arrive(uint64_t generation)
{
    if (generation != m_generation)
    {
        return; // What this event was for was dropped meanwhile.
    }
    m_armed = false;
    uint64_t now = Now();
    for (unsigned count = 0; count < FRAMES_IN_A_ROW && !m_flying.empty(); ++count)
    {
        if (m_flying.front().arrival > now)
        {
            break;
        }
        FramePtr frame = std::move(m_flying.front().frame);
        m_flying.pop_front();
        Deliver(std::move(frame));
    }
    if (!m_flying.empty() && !m_armed)
    {
        Schedule(std::max(m_flying.front().arrival, now));
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

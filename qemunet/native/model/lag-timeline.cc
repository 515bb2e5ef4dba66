/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "lag-timeline.h"

#include <algorithm>
#include <bit>

namespace ns3::qemunet
{

namespace
{

/** Classes to each power of two. */
constexpr uint64_t SUB = uint64_t{1} << LagTimeline::CLASS_BITS;

} // namespace

LagTimeline::LagTimeline()
    : m_slots(INTERVALS)
{
}

size_t
LagTimeline::ClassOf(uint64_t value)
{
    if (value < SUB)
    {
        return value;
    }
    unsigned shift = std::bit_width(value) - 1U - CLASS_BITS;
    return std::min<size_t>(((shift + 1) * SUB) + ((value >> shift) & (SUB - 1)), CLASSES - 1);
}

uint64_t
LagTimeline::UpperBound(size_t index)
{
    if (index < SUB)
    {
        return index;
    }
    unsigned shift = index / SUB - 1;
    uint64_t lower = (SUB + index % SUB) << shift;
    return lower + ((uint64_t{1} << shift) - 1);
}

void
LagTimeline::Record(uint64_t lagNs, uint64_t atNs)
{
    while ((atNs >> m_shift) >= INTERVALS)
    {
        Double();
    }
    size_t number = atNs >> m_shift;
    m_used = std::max(m_used, number + 1);
    Slot& slot = m_slots[number];
    ++slot.classes[ClassOf(lagNs)];
    slot.maxNs = std::max(slot.maxNs, lagNs);
}

void
LagTimeline::Double()
{
    ++m_shift;
    for (size_t number = 0; number < m_used; ++number)
    {
        // An interval that is read has not been written yet, but for the first, which stays.
        Slot slot = m_slots[number];
        if (number > 0)
        {
            m_slots[number] = {};
        }
        if (number % 2 == 0)
        {
            m_slots[number / 2] = slot;
            continue;
        }
        Slot& into = m_slots[number / 2];
        for (size_t index = 0; index < CLASSES; ++index)
        {
            into.classes[index] += slot.classes[index];
        }
        into.maxNs = std::max(into.maxNs, slot.maxNs);
    }
    m_used = (m_used + 1) / 2;
}

uint64_t
LagTimeline::GetIntervalNs() const
{
    return uint64_t{1} << m_shift;
}

std::vector<LagTimeline::Interval>
LagTimeline::GetIntervals() const
{
    std::vector<Interval> intervals;
    for (size_t number = 0; number < m_used; ++number)
    {
        const Slot& slot = m_slots[number];
        uint64_t events = 0;
        for (uint32_t count : slot.classes)
        {
            events += count;
        }
        uint64_t wanted = (events * 99 + 99) / 100;
        uint64_t seen = 0;
        size_t index = 0;
        while (events > 0 && (seen += slot.classes[index]) < wanted)
        {
            ++index;
        }
        // The last class has no upper bound.
        uint64_t p99Ns =
            index + 1 == CLASSES ? slot.maxNs : std::min(UpperBound(index), slot.maxNs);
        intervals.push_back({events, p99Ns, slot.maxNs});
    }
    return intervals;
}

} // namespace ns3::qemunet

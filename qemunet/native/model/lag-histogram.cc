/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "lag-histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace ns3::qemunet
{

unsigned
LagHistogram::IndexOf(uint64_t value)
{
    if (value < SUB)
    {
        return static_cast<unsigned>(value);
    }
    unsigned shift = std::bit_width(value) - 1 - SUB_BITS;
    return (shift + 1) * SUB + static_cast<unsigned>((value >> shift) & (SUB - 1));
}

uint64_t
LagHistogram::UpperBound(unsigned index)
{
    if (index < SUB)
    {
        return index;
    }
    unsigned shift = index / SUB - 1;
    uint64_t lower = static_cast<uint64_t>(SUB + index % SUB) << shift;
    return lower + ((uint64_t{1} << shift) - 1);
}

void
LagHistogram::SetLimits(LagLimits limits)
{
    m_limits = std::move(limits);
}

void
LagHistogram::Record(int64_t lagNs, uint64_t atNs)
{
    uint64_t lag = lagNs < 0 ? 0 : static_cast<uint64_t>(lagNs);
    ++m_buckets[IndexOf(lag)];
    ++m_count;
    m_missed += lag > m_limits.deadlineNs ? 1 : 0;
    m_timeline.Record(lag, atNs);
    if (lag > m_maxNs)
    {
        m_maxNs = lag;
        m_maxAtNs = atNs;
        // Only a new maximum can be the first beyond the limit: other events need not be compared.
        if (lag > m_limits.hardLimitNs && m_limits.exceeded)
        {
            std::exchange(m_limits.exceeded, nullptr)(lag, atNs);
        }
    }
}

uint64_t
LagHistogram::GetQuantileNs(double share) const
{
    auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(m_count)));
    uint64_t seen = 0;
    for (unsigned index = 0; index < m_buckets.size(); ++index)
    {
        seen += m_buckets[index];
        if (seen >= wanted && seen > 0)
        {
            return std::min(UpperBound(index), m_maxNs);
        }
    }
    return 0;
}

uint64_t
LagHistogram::GetMaxNs() const
{
    return m_maxNs;
}

uint64_t
LagHistogram::GetMaxAtNs() const
{
    return m_maxAtNs;
}

uint64_t
LagHistogram::GetCount() const
{
    return m_count;
}

uint64_t
LagHistogram::GetMissed() const
{
    return m_missed;
}

const LagTimeline&
LagHistogram::GetTimeline() const
{
    return m_timeline;
}

} // namespace ns3::qemunet

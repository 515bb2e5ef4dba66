/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "delay-distribution.h"

#include <algorithm>
#include <cmath>

namespace ns3::qemunet
{

namespace
{

/** @returns A delay in ns as it may be. */
int64_t
Bounded(double ns, int64_t least, int64_t largest)
{
    // In doubles first: what is out of range of an integer must not become one.
    double inside = std::clamp(ns, static_cast<double>(least), static_cast<double>(largest));
    return std::clamp(static_cast<int64_t>(std::llround(inside)), least, largest);
}

} // namespace

bool
DelayDistribution::IsValid(std::span<const DelayPart> parts)
{
    return !parts.empty() && std::all_of(parts.begin(), parts.end(), [](const DelayPart& part) {
        bool numbers =
            std::isfinite(part.weight) && std::isfinite(part.first) && std::isfinite(part.second);
        if (!numbers || part.weight <= 0 || part.reserved != 0)
        {
            return false;
        }
        if (part.kind == static_cast<uint32_t>(DelayKind::UNIFORM))
        {
            return part.first >= 0 && part.first <= part.second;
        }
        return part.kind <= static_cast<uint32_t>(DelayKind::LOGNORMAL) && part.second >= 0 &&
               part.minNs >= 0 && part.minNs <= part.maxNs && part.maxNs <= LONGEST_NS;
    });
}

DelayDistribution::DelayDistribution(std::span<const DelayPart> parts)
    : m_parts(parts.begin(), parts.end()),
      m_slots(parts.size())
{
    double total = 0;
    for (const DelayPart& part : m_parts)
    {
        total += part.weight;
    }
    // Vose's way to build the table: each slot with room takes the rest from one with too much.
    std::vector<double> left;
    std::vector<uint32_t> small;
    std::vector<uint32_t> large;
    for (uint32_t index = 0; index < m_parts.size(); ++index)
    {
        left.push_back(m_parts[index].weight / total * static_cast<double>(m_parts.size()));
        (left.back() < 1 ? small : large).push_back(index);
        m_slots[index].other = index;
    }
    while (!small.empty() && !large.empty())
    {
        uint32_t poor = small.back();
        uint32_t rich = large.back();
        small.pop_back();
        m_slots[poor] = {left[poor], rich};
        left[rich] -= 1 - left[poor];
        if (left[rich] < 1)
        {
            large.pop_back();
            small.push_back(rich);
        }
    }
}

const DelayPart&
DelayDistribution::Choose(UniformRandomVariable& uniform) const
{
    if (m_parts.size() == 1)
    {
        return m_parts.front();
    }
    double place = uniform.GetValue(0, 1) * static_cast<double>(m_slots.size());
    auto index = std::min(static_cast<size_t>(place), m_slots.size() - 1);
    const Slot& slot = m_slots[index];
    return m_parts[place - static_cast<double>(index) < slot.own ? index : slot.other];
}

int64_t
DelayDistribution::Draw(UniformRandomVariable& uniform, NormalRandomVariable& normal) const
{
    const DelayPart& part = Choose(uniform);
    double first = part.first;
    double second = part.second;
    if (part.kind == static_cast<uint32_t>(DelayKind::UNIFORM))
    {
        double ns = first < second ? uniform.GetValue(first, second) : first;
        return Bounded(ns, 0, LONGEST_NS);
    }
    bool logarithm = part.kind == static_cast<uint32_t>(DelayKind::LOGNORMAL);
    auto least = static_cast<double>(part.minNs);
    auto largest = static_cast<double>(part.maxNs);
    double ns = 0;
    for (unsigned draw = 0; draw < MAX_DRAWS; ++draw)
    {
        ns = first + second * normal.GetValue(0, 1);
        ns = logarithm ? std::exp(ns) : ns;
        if (ns >= least && ns <= largest)
        {
            break;
        }
    }
    return Bounded(ns, part.minNs, part.maxNs);
}

} // namespace ns3::qemunet

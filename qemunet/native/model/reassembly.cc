/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "reassembly.h"

#include <algorithm>
#include <utility>

namespace ns3::qemunet
{

std::list<Reassembly::Datagram>::iterator
Reassembly::Find(const Key& key, uint64_t nowNs)
{
    while (!m_waiting.empty() && m_waiting.front().untilNs <= nowNs)
    {
        m_waiting.pop_front();
    }
    auto found = std::find_if(m_waiting.begin(), m_waiting.end(), [&](const Datagram& each) {
        return each.key == key;
    });
    if (found != m_waiting.end())
    {
        return found;
    }
    if (m_waiting.size() >= MOST_DATAGRAMS)
    {
        m_waiting.pop_front();
    }
    Datagram& made = m_waiting.emplace_back();
    made.key = key;
    made.untilNs = nowNs + LIFETIME_NS;
    return std::prev(m_waiting.end());
}

const Reassembly::Whole*
Reassembly::Add(const Fragment& fragment, const uint8_t* head, uint32_t headBytes, uint64_t nowNs)
{
    uint32_t end = fragment.offset + fragment.size;
    if (fragment.size == 0 || end > MOST_BYTES || (fragment.more && fragment.size % 8 != 0))
    {
        return nullptr;
    }
    auto datagram = Find(fragment.key, nowNs);
    datagram->blocks.resize(std::max<size_t>(datagram->blocks.size(), (end + 7) / 8));
    auto from = datagram->blocks.begin() + fragment.offset / 8;
    auto to = datagram->blocks.begin() + (end + 7) / 8;
    auto present = std::count(from, to, true);
    bool misfit = (datagram->total != 0 && end > datagram->total) ||
                  (!fragment.more && datagram->total != 0 && end != datagram->total) ||
                  (!fragment.more && end < datagram->bytes.size());
    if (misfit || (present > 0 && present < to - from))
    {
        m_waiting.erase(datagram);
        return nullptr;
    }
    if (present > 0)
    {
        return nullptr; // A duplicate.
    }
    std::fill(from, to, true);
    datagram->bytes.resize(std::max<size_t>(datagram->bytes.size(), end));
    std::copy_n(fragment.data, fragment.size, datagram->bytes.begin() + fragment.offset);
    datagram->received += fragment.size;
    datagram->total = fragment.more ? datagram->total : end;
    if (fragment.offset == 0)
    {
        datagram->head.assign(head, head + headBytes);
    }
    if (datagram->received != datagram->total)
    {
        return nullptr;
    }
    m_whole = {std::move(datagram->head), std::move(datagram->bytes)};
    m_waiting.erase(datagram);
    return &m_whole;
}

} // namespace ns3::qemunet

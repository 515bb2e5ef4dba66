/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "load-watch.h"

#include "ns3/nstime.h"
#include "ns3/simulator.h"

#include <ctime>
#include <utility>

namespace ns3::qemunet
{

namespace
{

/** What is left over at the end and shorter than this is no second, in ns. */
constexpr int64_t LEAST_NS = 500'000'000;

/** @returns What a clock says, in ns. */
int64_t
ReadClock(clockid_t clock)
{
    timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

} // namespace

LoadWatch::LoadWatch(std::function<uint64_t()> drops)
    : m_drops(std::move(drops))
{
}

LoadWatch::Look
LoadWatch::TakeLook() const
{
    return {ReadClock(CLOCK_MONOTONIC),
            ReadClock(CLOCK_THREAD_CPUTIME_ID),
            ReadClock(CLOCK_PROCESS_CPUTIME_ID),
            m_drops(),
            static_cast<uint64_t>(Simulator::Now().GetNanoSeconds())};
}

void
LoadWatch::Begin()
{
    m_on = true;
    m_first = m_last = TakeLook();
    Simulator::Schedule(Seconds(1), &LoadWatch::Sample, this);
}

void
LoadWatch::Sample()
{
    if (!m_on)
    {
        return;
    }
    // Where a loop that was late catches up, its seconds are short, and several count as one.
    if (Look now = TakeLook(); now.wallNs - m_last.wallNs >= LEAST_NS)
    {
        Note(now);
    }
    Simulator::Schedule(Seconds(1), &LoadWatch::Sample, this);
}

void
LoadWatch::Note(const Look& now)
{
    int64_t wall = now.wallNs - m_last.wallNs;
    uint64_t drops = now.drops - m_last.drops;
    if (drops > m_load.mostDrops)
    {
        m_load.mostDrops = drops;
        m_load.mostDropsAtNs = m_last.atNs;
    }
    auto cpu = static_cast<uint64_t>(now.threadNs - m_last.threadNs);
    auto most = static_cast<double>(m_load.busiestCpuNs);
    if (wall >= LEAST_NS && static_cast<double>(cpu) * static_cast<double>(m_load.busiestWallNs) >=
                                most * static_cast<double>(wall))
    {
        m_load.busiestCpuNs = cpu;
        m_load.busiestWallNs = static_cast<uint64_t>(wall);
        m_load.busiestAtNs = m_last.atNs;
    }
    m_last = now;
}

void
LoadWatch::End()
{
    if (!m_on)
    {
        return;
    }
    m_on = false;
    Look now = TakeLook();
    Note(now);
    m_load.wallNs = static_cast<uint64_t>(now.wallNs - m_first.wallNs);
    m_load.threadNs = static_cast<uint64_t>(now.threadNs - m_first.threadNs);
    m_load.processNs = static_cast<uint64_t>(now.processNs - m_first.processNs);
}

const Load&
LoadWatch::Get() const
{
    return m_load;
}

} // namespace ns3::qemunet

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "event-inbox.h"

#include "ns3/abort.h"
#include "ns3/event-impl.h"

#include <cerrno>
#include <cstring>
#include <sys/eventfd.h>

namespace ns3::qemunet
{

EventInbox::EventInbox()
    : m_wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    NS_ABORT_MSG_UNLESS(m_wake, "eventfd: " << std::strerror(errno));
}

EventInbox::~EventInbox()
{
    for (const Entry& entry : m_entries)
    {
        entry.event->Unref();
    }
}

int
EventInbox::GetFd() const
{
    return m_wake.Get();
}

void
EventInbox::Put(const Entry& entry)
{
    bool first;
    {
        std::lock_guard lock(m_mutex);
        first = m_entries.empty();
        m_entries.push_back(entry);
        m_filled.store(true, std::memory_order_release);
    }
    if (first)
    {
        uint64_t one = 1;
        // Only an overflowing counter could refuse, and that one wakes the loop as well.
        [[maybe_unused]] auto written = ::write(m_wake.Get(), &one, sizeof(one));
    }
}

const std::vector<EventInbox::Entry>&
EventInbox::Take()
{
    m_taken.clear();
    if (m_filled.load(std::memory_order_acquire))
    {
        std::lock_guard lock(m_mutex);
        m_taken.swap(m_entries);
        m_filled.store(false, std::memory_order_relaxed);
    }
    return m_taken;
}

void
EventInbox::HandleReady(uint32_t /* events */)
{
    uint64_t value;
    [[maybe_unused]] auto got = ::read(m_wake.Get(), &value, sizeof(value));
}

} // namespace ns3::qemunet

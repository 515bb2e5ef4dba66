/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "poll-set.h"

#include "ns3/abort.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/timerfd.h>

namespace ns3::qemunet
{

namespace
{

/** Descriptors served in one turn. */
constexpr int READY_PER_TURN = 16;
/** What epoll has of the timer, which is no descriptor's. */
constexpr uint64_t TIMER = UINT64_MAX;

} // namespace

PollSet::PollSet()
    : m_epoll(epoll_create1(EPOLL_CLOEXEC)),
      m_timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK))
{
    NS_ABORT_MSG_UNLESS(m_epoll, "epoll_create1: " << std::strerror(errno));
    NS_ABORT_MSG_UNLESS(m_timer, "timerfd_create: " << std::strerror(errno));
    epoll_event event{};
    // By edge, so that nobody has to read how often it has run out.
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = TIMER;
    NS_ABORT_MSG_IF(epoll_ctl(m_epoll.Get(), EPOLL_CTL_ADD, m_timer.Get(), &event) != 0,
                    "the timer cannot be watched: " << std::strerror(errno));
}

void
PollSet::SetTimer(int64_t untilNs)
{
    itimerspec when{};
    when.it_value = {untilNs / 1'000'000'000, untilNs % 1'000'000'000};
    NS_ABORT_MSG_IF(timerfd_settime(m_timer.Get(), TFD_TIMER_ABSTIME, &when, nullptr) != 0,
                    "timerfd_settime: " << std::strerror(errno));
    m_timerNs = untilNs;
}

void
PollSet::Control(int operation, int fd, uint32_t events)
{
    epoll_event event{};
    event.events = events;
    event.data.u64 = (uint64_t{m_watches[fd].generation} << 32) | static_cast<uint32_t>(fd);
    NS_ABORT_MSG_IF(epoll_ctl(m_epoll.Get(), operation, fd, &event) != 0,
                    "descriptor " << fd << " cannot be watched: " << std::strerror(errno));
}

void
PollSet::Add(int fd, uint32_t events, Pollable* pollable, uint32_t context)
{
    if (m_watches.size() <= static_cast<size_t>(fd))
    {
        m_watches.resize(fd + 1);
    }
    m_watches[fd].pollable = pollable;
    m_watches[fd].context = context;
    Control(EPOLL_CTL_ADD, fd, events);
}

void
PollSet::Modify(int fd, uint32_t events)
{
    Control(EPOLL_CTL_MOD, fd, events);
}

void
PollSet::Remove(int fd)
{
    Control(EPOLL_CTL_DEL, fd, 0);
    m_watches[fd].pollable = nullptr;
    ++m_watches[fd].generation;
}

void
PollSet::WaitAndServe(int64_t untilNs, const std::function<bool(uint32_t context)>& before)
{
    std::array<epoll_event, READY_PER_TURN> ready;
    // A time-out of the call would be set and taken back with every frame that ends the wait, and
    // each may have to set the processor's timer, which is dear on a computer that is emulated.
    if (untilNs > 0 && untilNs != m_timerNs)
    {
        SetTimer(untilNs);
    }
    int count = epoll_wait(m_epoll.Get(), ready.data(), READY_PER_TURN, untilNs == 0 ? 0 : -1);
    NS_ABORT_MSG_IF(count < 0 && errno != EINTR, "epoll_wait: " << std::strerror(errno));
    for (int index = 0; index < count; ++index)
    {
        if (ready[index].data.u64 == TIMER)
        {
            m_timerNs = 0;
            continue;
        }
        auto fd = static_cast<int>(ready[index].data.u64 & 0xffffffff);
        auto generation = static_cast<uint32_t>(ready[index].data.u64 >> 32);
        if (!before(m_watches[fd].context))
        {
            // Among those that are left may be the timer.
            m_timerNs = 0;
            return;
        }
        // What was served or run before in this turn may have removed it, or put another in its
        // place.
        const Watch watch = m_watches[fd];
        if (watch.pollable != nullptr && watch.generation == generation)
        {
            watch.pollable->HandleReady(ready[index].events);
        }
    }
}

} // namespace ns3::qemunet

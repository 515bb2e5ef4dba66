/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "poll-set.h"

#include "ns3/abort.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <sys/epoll.h>

namespace ns3::qemunet
{

namespace
{

/** Descriptors served in one turn. */
constexpr int READY_PER_TURN = 16;

} // namespace

PollSet::PollSet()
    : m_epoll(epoll_create1(EPOLL_CLOEXEC))
{
    NS_ABORT_MSG_UNLESS(m_epoll, "epoll_create1: " << std::strerror(errno));
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
PollSet::WaitAndServe(int64_t waitNs, const std::function<bool(uint32_t context)>& before)
{
    std::array<epoll_event, READY_PER_TURN> ready;
    timespec timeout{waitNs / 1'000'000'000, waitNs % 1'000'000'000};
    int count = epoll_pwait2(m_epoll.Get(),
                             ready.data(),
                             READY_PER_TURN,
                             waitNs < 0 ? nullptr : &timeout,
                             nullptr);
    NS_ABORT_MSG_IF(count < 0 && errno != EINTR,
                    "epoll_pwait2: " << std::strerror(errno) << " (it needs Linux 5.11 or later)");
    for (int index = 0; index < count; ++index)
    {
        auto fd = static_cast<int>(ready[index].data.u64 & 0xffffffff);
        auto generation = static_cast<uint32_t>(ready[index].data.u64 >> 32);
        if (!before(m_watches[fd].context))
        {
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

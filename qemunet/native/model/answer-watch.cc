/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "answer-watch.h"

#include "real-time-simulator.h"

#include "ns3/abort.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

namespace ns3::qemunet
{

namespace
{

/** Above the simulation's own: what little it does is to be done in time. */
constexpr int PRIORITY = 51;
/** Stands for m_stop among the numbers of what is watched. */
constexpr uint64_t STOP = UINT64_MAX;

} // namespace

AnswerWatch::AnswerWatch()
    : m_epoll(epoll_create1(EPOLL_CLOEXEC)),
      m_stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = STOP;
    NS_ABORT_MSG_UNLESS(m_epoll && m_stop &&
                            epoll_ctl(m_epoll.Get(), EPOLL_CTL_ADD, m_stop.Get(), &event) == 0,
                        "answers cannot be watched: " << std::strerror(errno));
    // Signals are the simulation's.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    m_thread = std::thread([this] { Run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

AnswerWatch::~AnswerWatch()
{
    eventfd_write(m_stop.Get(), 1);
    m_thread.join();
}

void
AnswerWatch::Expect(std::vector<NumberedAnswers> answers)
{
    std::lock_guard lock(m_mutex);
    Forget();
    m_arrivals.clear();
    m_expected = std::move(answers);
    ++m_generation;
    for (size_t index = 0; index < m_expected.size(); ++index)
    {
        epoll_event event{};
        event.events = EPOLLIN | EPOLLONESHOT;
        event.data.u64 = (uint64_t{m_generation} << 32) | index;
        if (epoll_ctl(m_epoll.Get(), EPOLL_CTL_ADD, m_expected[index].second->Get(), &event) != 0)
        {
            // It is measured by its reader alone.
            m_expected[index].second = nullptr;
        }
    }
}

void
AnswerWatch::Forget()
{
    for (const auto& [number, fd] : m_expected)
    {
        if (fd)
        {
            epoll_ctl(m_epoll.Get(), EPOLL_CTL_DEL, fd->Get(), nullptr);
        }
    }
    m_expected.clear();
}

std::vector<ArrivedConsole>
AnswerWatch::GetArrivals() const
{
    std::lock_guard lock(m_mutex);
    return m_arrivals;
}

void
AnswerWatch::Run()
{
    sched_param parameters{};
    parameters.sched_priority = PRIORITY;
    // Where it is not allowed, the thread comes a little later.
    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters);
    std::array<epoll_event, 64> events;
    for (;;)
    {
        int count = epoll_wait(m_epoll.Get(), events.data(), events.size(), -1);
        int64_t now = RealTimeSimulator::MonotonicNs();
        std::lock_guard lock(m_mutex);
        for (int index = 0; index < count; ++index)
        {
            uint64_t which = events[index].data.u64;
            if (which == STOP)
            {
                Forget();
                return;
            }
            if (which >> 32 == m_generation)
            {
                auto& [number, fd] = m_expected[static_cast<uint32_t>(which)];
                m_arrivals.push_back({number, now});
                epoll_ctl(m_epoll.Get(), EPOLL_CTL_DEL, fd->Get(), nullptr);
                fd = nullptr;
            }
        }
    }
}

} // namespace ns3::qemunet

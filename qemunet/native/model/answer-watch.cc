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
#include <sys/timerfd.h>

namespace ns3::qemunet
{

namespace
{

/** Above the simulation's own: what little it does is to be done in time. */
constexpr int PRIORITY = 51;
/** A guest that has not answered by then does without its head start. */
constexpr long HEAD_START_NS = 50'000'000;
/** Stand for m_stop and m_timer among the numbers of what is watched. */
constexpr uint64_t STOP = UINT64_MAX;
constexpr uint64_t TIMER = UINT64_MAX - 1;

} // namespace

AnswerWatch::AnswerWatch()
    : m_epoll(epoll_create1(EPOLL_CLOEXEC)),
      m_stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      m_timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK))
{
    epoll_event stop{};
    stop.events = EPOLLIN;
    stop.data.u64 = STOP;
    epoll_event timer{};
    timer.events = EPOLLIN | EPOLLET;
    timer.data.u64 = TIMER;
    NS_ABORT_MSG_UNLESS(m_epoll && m_stop && m_timer &&
                            epoll_ctl(m_epoll.Get(), EPOLL_CTL_ADD, m_stop.Get(), &stop) == 0 &&
                            epoll_ctl(m_epoll.Get(), EPOLL_CTL_ADD, m_timer.Get(), &timer) == 0,
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
AnswerWatch::Expect(const std::vector<ExpectedAnswer>& expected)
{
    std::lock_guard lock(m_mutex);
    Forget();
    m_arrivals.clear();
    ++m_generation;
    for (const ExpectedAnswer& each : expected)
    {
        epoll_event event{};
        event.events = EPOLLIN | EPOLLONESHOT;
        event.data.u64 = (uint64_t{m_generation} << 32) | m_watched.size();
        // One that cannot be watched is measured by its reader alone.
        if (epoll_ctl(m_epoll.Get(), EPOLL_CTL_ADD, each.answers->Get(), &event) == 0)
        {
            m_watched.push_back({each.number, each.answers, HeadStart(each.threads)});
        }
    }
    itimerspec limit{};
    limit.it_value.tv_nsec = HEAD_START_NS;
    timerfd_settime(m_timer.Get(), 0, &limit, nullptr);
}

void
AnswerWatch::Forget()
{
    for (const Watched& each : m_watched)
    {
        if (each.answers)
        {
            epoll_ctl(m_epoll.Get(), EPOLL_CTL_DEL, each.answers->Get(), nullptr);
        }
    }
    m_watched.clear();
}

void
AnswerWatch::EndHeadStarts()
{
    // One that began after the timer ran out is ended early: it is only help.
    for (Watched& each : m_watched)
    {
        each.headStart = HeadStart({});
    }
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
            if (which == TIMER)
            {
                EndHeadStarts();
            }
            else if (which >> 32 == m_generation)
            {
                Watched& heard = m_watched[static_cast<uint32_t>(which)];
                heard.headStart = HeadStart({});
                m_arrivals.push_back({heard.number, now});
                epoll_ctl(m_epoll.Get(), EPOLL_CTL_DEL, heard.answers->Get(), nullptr);
                heard.answers = nullptr;
            }
        }
    }
}

} // namespace ns3::qemunet

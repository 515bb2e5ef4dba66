/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "head-start.h"

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <sched.h>
#include <string>
#include <system_error>

namespace ns3::qemunet
{

namespace
{

/** Below the simulation's. */
constexpr int PRIORITY = 10;

} // namespace

HeadStart::HeadStart(const std::vector<pid_t>& threads)
{
    sched_param parameters{};
    parameters.sched_priority = PRIORITY;
    for (pid_t thread : threads)
    {
        // -1, if it has ended, is no policy either.
        if ((sched_getscheduler(thread) & ~SCHED_RESET_ON_FORK) == SCHED_OTHER &&
            sched_setscheduler(thread, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) == 0)
        {
            m_threads.push_back(thread);
        }
    }
}

HeadStart::~HeadStart()
{
    End();
}

HeadStart&
HeadStart::operator=(HeadStart&& other) noexcept
{
    if (this != &other)
    {
        End();
        m_threads = std::move(other.m_threads);
    }
    return *this;
}

void
HeadStart::End()
{
    sched_param parameters{};
    for (pid_t thread : m_threads)
    {
        if (sched_setscheduler(thread, SCHED_OTHER, &parameters) != 0 && errno == EPERM)
        {
            // Who has the right by a limit (RLIMIT_RTPRIO) alone cannot take the flag back. It does
            // nothing to a thread that is scheduled as usual.
            sched_setscheduler(thread, SCHED_OTHER | SCHED_RESET_ON_FORK, &parameters);
        }
    }
    m_threads.clear();
}

std::vector<pid_t>
ListThreads(pid_t process)
{
    std::vector<pid_t> threads;
    std::error_code error;
    std::filesystem::directory_iterator entry("/proc/" + std::to_string(process) + "/task", error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    {
        std::string name = entry->path().filename().string();
        pid_t thread = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), thread).ec == std::errc())
        {
            threads.push_back(thread);
        }
    }
    return threads;
}

} // namespace ns3::qemunet

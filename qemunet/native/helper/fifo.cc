/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "fifo.h"

#include <cerrno>
#include <csignal>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace ns3::qemunet
{

namespace
{

/** CPU time without sleep that the thread may take under SCHED_FIFO, in us. */
constexpr rlim_t AWAKE_US = 2'000'000;

volatile std::sig_atomic_t g_demoted = 0; //!< The handler ran.
volatile pid_t g_thread = 0;              //!< The thread under SCHED_FIFO.

/** The kernel says that the thread did not sleep for too long. */
extern "C" void
HandleAwakeTooLong(int /* signal */)
{
    int saved = errno;
    sched_param usual{};
    sched_setscheduler(g_thread, SCHED_OTHER, &usual);
    g_demoted = 1;
    errno = saved;
}

} // namespace

int
UseFifo(int priority)
{
    g_thread = gettid();
    struct sigaction action
    {
    };
    action.sa_handler = HandleAwakeTooLong;
    action.sa_flags = SA_RESTART;
    rlimit limit{};
    if (sigaction(SIGXCPU, &action, nullptr) != 0 || getrlimit(RLIMIT_RTTIME, &limit) != 0)
    {
        return errno;
    }
    limit.rlim_cur = limit.rlim_max < AWAKE_US ? limit.rlim_max : AWAKE_US;
    sched_param parameters{};
    parameters.sched_priority = priority;
    if (setrlimit(RLIMIT_RTTIME, &limit) != 0 ||
        sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) != 0)
    {
        return errno;
    }
    return 0;
}

bool
WasDemoted()
{
    return g_demoted != 0;
}

} // namespace ns3::qemunet

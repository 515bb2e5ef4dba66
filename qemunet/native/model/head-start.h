/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_HEAD_START_H
#define QEMUNET_HEAD_START_H

#include <sys/types.h>
#include <vector>

namespace ns3::qemunet
{

/**
 * As long as it lives, threads go before all else on the machine but the simulation.
 *
 * Where there are more guests than processors, those that have begun a command would otherwise keep
 * the others from beginning theirs. It needs the right to real-time scheduling; without it, nothing
 * happens. Threads that are scheduled in a way of their own are left alone, and what they start is
 * scheduled as usual.
 */
class HeadStart
{
  public:
    /** @param threads By their ids; they may have ended. */
    explicit HeadStart(const std::vector<pid_t>& threads);
    ~HeadStart();
    HeadStart(const HeadStart&) = delete;
    HeadStart& operator=(const HeadStart&) = delete;
    HeadStart(HeadStart&& other) noexcept = default;
    HeadStart& operator=(HeadStart&& other) noexcept;

  private:
    void End();

    std::vector<pid_t> m_threads; //!< Those that have one.
};

/** @returns The ids of a process's threads; none if it cannot be looked at. */
std::vector<pid_t> ListThreads(pid_t process);

} // namespace ns3::qemunet

#endif /* QEMUNET_HEAD_START_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_POLL_SET_H
#define QEMUNET_POLL_SET_H

#include "unique-fd.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace ns3::qemunet
{

/** Something with a descriptor that the simulator's loop watches. */
class Pollable
{
  public:
    virtual ~Pollable() = default;
    /**
     * Its descriptor is ready. Do a bounded amount of work: what is left makes it ready again.
     *
     * @param events As of epoll.
     */
    virtual void HandleReady(uint32_t events) = 0;
};

/** The descriptors of a loop, by level-triggered epoll. Mistakes end the process. */
class PollSet
{
  public:
    PollSet();

    /**
     * Watch a descriptor. It must be removed before it is closed.
     *
     * @param fd The descriptor.
     * @param events As of epoll.
     * @param pollable Called when it is ready.
     * @param context ns-3 context in which it is called.
     */
    void Add(int fd, uint32_t events, Pollable* pollable, uint32_t context);

    /**
     * @param fd A descriptor that is watched.
     * @param events What to watch it for from now on.
     */
    void Modify(int fd, uint32_t events);

    /**
     * @param fd The descriptor to watch no longer.
     */
    void Remove(int fd);

    /**
     * Wait, and serve some of what is ready.
     *
     * @param untilNs CLOCK_MONOTONIC at which to stop waiting, if nothing is ready before; 0 is not
     * to wait, negative to wait for ever. It may stop at what was asked for before as well.
     * @param before Called with the context before each descriptor is served; false ends the turn.
     */
    void WaitAndServe(int64_t untilNs, const std::function<bool(uint32_t context)>& before);

  private:
    /** One watched descriptor. */
    struct Watch
    {
        Pollable* pollable{nullptr}; //!< Whom to call, nullptr if not watched.
        uint32_t context{0};         //!< In which context.
        uint32_t generation{0};      //!< Tells a descriptor from a later one of the same number.
    };

    void Control(int operation, int fd, uint32_t events);
    void SetTimer(int64_t untilNs);

    UniqueFd m_epoll;             //!< All descriptors.
    UniqueFd m_timer;             //!< Ends a wait.
    int64_t m_timerNs{0};         //!< When it does, 0 if it does not.
    std::vector<Watch> m_watches; //!< By descriptor.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_POLL_SET_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_ANSWER_WATCH_H
#define QEMUNET_ANSWER_WATCH_H

#include "control-messages.h"
#include "head-start.h"
#include "unique-fd.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace ns3::qemunet
{

/** A guest that is to be fired. */
struct ExpectedAnswer
{
    uint32_t number;                         //!< Of its console.
    std::shared_ptr<const UniqueFd> answers; //!< Where its answers arrive; open while watched.
    std::vector<pid_t> threads;              //!< Run it; they get a HeadStart until it answers.
};

/**
 * Notes when guests that were fired are first heard of.
 *
 * Somebody else reads what they say. A thread of its own only waits until there is something to
 * read: it has nothing else to do, so neither the reader's work nor the simulation's is in what it
 * measures. An answer that is read before the thread comes to see it is not noted.
 */
class AnswerWatch
{
  public:
    AnswerWatch();
    ~AnswerWatch();
    AnswerWatch(const AnswerWatch&) = delete;
    AnswerWatch& operator=(const AnswerWatch&) = delete;

    /**
     * Wait for the first answer of each from now on, and forget what was noted before.
     *
     * @param expected Their answers are stream sockets or terminals at which nothing is left to
     * read.
     */
    void Expect(const std::vector<ExpectedAnswer>& expected);

    /** @returns What was noted since Expect(). Any thread may ask. */
    std::vector<ArrivedConsole> GetArrivals() const;

  private:
    /** One that is watched. */
    struct Watched
    {
        uint32_t number;                         //!< Of its console.
        std::shared_ptr<const UniqueFd> answers; //!< Null once it was heard of.
        HeadStart headStart;                     //!< Until then, or until the time for it is over.
    };

    void Run();
    void Forget();
    void EndHeadStarts();

    UniqueFd m_epoll;                       //!< All that is watched, m_stop and m_timer.
    UniqueFd m_stop;                        //!< Readable when the thread is to end.
    UniqueFd m_timer;                       //!< Readable when the head starts are to end.
    mutable std::mutex m_mutex;             //!< Guards what follows.
    uint32_t m_generation{0};               //!< Of m_watched.
    std::vector<Watched> m_watched;         //!< Since Expect().
    std::vector<ArrivedConsole> m_arrivals; //!< What was noted.
    std::thread m_thread;                   //!< Waits.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_ANSWER_WATCH_H */

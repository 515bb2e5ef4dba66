/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_ANSWER_WATCH_H
#define QEMUNET_ANSWER_WATCH_H

#include "control-messages.h"
#include "unique-fd.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace ns3::qemunet
{

/** Where a guest's answers arrive, by the number of its console. It stays open while watched. */
using NumberedAnswers = std::pair<uint32_t, std::shared_ptr<const UniqueFd>>;

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
     * @param answers Stream sockets or terminals at which nothing is left to read.
     */
    void Expect(std::vector<NumberedAnswers> answers);

    /** @returns What was noted since Expect(). Any thread may ask. */
    std::vector<ArrivedConsole> GetArrivals() const;

  private:
    void Run();
    void Forget();

    UniqueFd m_epoll;                        //!< All that is watched, and m_stop.
    UniqueFd m_stop;                         //!< Readable when the thread is to end.
    mutable std::mutex m_mutex;              //!< Guards what follows.
    uint32_t m_generation{0};                //!< Of m_expected.
    std::vector<NumberedAnswers> m_expected; //!< Those watched; nullptr once heard.
    std::vector<ArrivedConsole> m_arrivals;  //!< What was noted.
    std::thread m_thread;                    //!< Waits.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_ANSWER_WATCH_H */

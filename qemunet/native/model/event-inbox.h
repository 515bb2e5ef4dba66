/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_EVENT_INBOX_H
#define QEMUNET_EVENT_INBOX_H

#include "poll-set.h"
#include "unique-fd.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

namespace ns3
{
class EventImpl;
}

namespace ns3::qemunet
{

/** Events that other threads schedule, until the simulation's thread takes them. */
class EventInbox : public Pollable
{
  public:
    /** An event from another thread. */
    struct Entry
    {
        uint32_t context; //!< Its context.
        uint64_t delayNs; //!< When it is due, from when it is taken.
        EventImpl* event; //!< The event; one reference is ours.
    };

    EventInbox();
    ~EventInbox() override;
    EventInbox(const EventInbox&) = delete;
    EventInbox& operator=(const EventInbox&) = delete;

    /** @returns A descriptor to watch: ready when something was put in. */
    int GetFd() const;

    /**
     * Any thread may.
     *
     * @param entry What to put in.
     */
    void Put(const Entry& entry);

    /**
     * Take all. Cheap if there is nothing.
     *
     * @returns What was put in, in order; valid until the next call.
     */
    const std::vector<Entry>& Take();

    /** It was what woke the loop: let it sleep again. */
    void HandleReady(uint32_t events) override;

  private:
    UniqueFd m_wake;                   //!< eventfd.
    std::mutex m_mutex;                //!< Guards m_entries.
    std::vector<Entry> m_entries;      //!< Put in and not yet taken.
    std::vector<Entry> m_taken;        //!< Its other half, to keep its memory.
    std::atomic<bool> m_filled{false}; //!< Cheap question whether to look.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_EVENT_INBOX_H */

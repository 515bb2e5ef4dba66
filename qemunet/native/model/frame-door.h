/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_FRAME_DOOR_H
#define QEMUNET_FRAME_DOOR_H

#include "counters.h"
#include "frame.h"
#include "real-time-simulator.h"
#include "unique-fd.h"

#include <deque>

namespace ns3::qemunet
{

/**
 * Where frames pass between a guest and the simulation: a Unix datagram socket, one frame to a
 * datagram.
 *
 * Closed (before time 0) it discards what comes, from either side, and counts nothing. Towards the
 * guest it has a bounded queue: while the guest does not read, frames wait in it and the latest
 * ones are dropped and counted.
 */
class FrameDoor
    : public Pollable
    , public Flushable
    , public FrameSink
{
  public:
    /** Frames that may wait for the guest beyond what its socket holds. */
    static constexpr size_t QUEUE_FRAMES = 1024;

    /**
     * @param simulator Its loop serves the door.
     * @param context Id of the ghost node.
     * @param mtu Of the link, in bytes.
     * @param inward Gets the guest's frames.
     */
    FrameDoor(Ptr<RealTimeSimulator> simulator, uint32_t context, uint32_t mtu, FrameSink* inward);
    ~FrameDoor() override;
    FrameDoor(const FrameDoor&) = delete;
    FrameDoor& operator=(const FrameDoor&) = delete;

    /**
     * Join the guest, instead of the one before if there was one.
     *
     * @param fd A datagram socket with a peer.
     * @returns False if it is no datagram socket; the door is then as it was.
     */
    bool Attach(UniqueFd fd);

    /** Let frames pass from now on. */
    void Open();

    /** @returns The counters. */
    const DoorCounters& GetCounters() const;

    void HandleReady(uint32_t events) override;
    void Flush() override;
    /** Takes a frame to the guest. */
    void PutFrame(FramePtr frame) override;

  private:
    void Detach();
    void Receive();
    void Accept(FramePtr frame, uint32_t bytes);
    void SetBlocked(bool blocked);
    void DropQueue();

    Ptr<RealTimeSimulator> m_simulator; //!< The loop.
    uint32_t m_context;                 //!< Of the ghost node.
    uint32_t m_maxBytes;                //!< Longest frame.
    FrameSink* m_inward;                //!< To the link.
    UniqueFd m_socket;                  //!< To the guest.
    bool m_open{false};                 //!< Time 0 has passed.
    bool m_blocked{false};              //!< The guest's socket is full; epoll says when it is not.
    bool m_flushing{false};             //!< Flush() is asked for.
    std::deque<FramePtr> m_queue;       //!< To the guest.
    DoorCounters m_counters;            //!< What happened.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_FRAME_DOOR_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_FRAME_DOOR_H
#define QEMUNET_FRAME_DOOR_H

#include "counters.h"
#include "frame-capture.h"
#include "frame-stream.h"
#include "frame.h"
#include "real-time-simulator.h"
#include "unique-fd.h"

#include <deque>
#include <memory>

namespace ns3::qemunet
{

/**
 * Where frames pass between a guest and the simulation: over a FrameStream, which is a machine's
 * socket or a container's tap.
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
    /** Frames that may wait for the guest beyond what its descriptor holds. */
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
     * @param fd As FrameStream::Open() takes it.
     * @returns False if it is nothing of that kind; the door is then as it was.
     */
    bool Attach(UniqueFd fd);

    /** Let frames pass from now on. */
    void Open();

    /** @returns The counters. */
    const DoorCounters& GetCounters() const;

    /** @returns Records what passes. */
    FrameCapture& GetCapture();

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

    Ptr<RealTimeSimulator> m_simulator;    //!< The loop.
    uint32_t m_context;                    //!< Of the ghost node.
    uint32_t m_maxBytes;                   //!< Longest frame.
    FrameSink* m_inward;                   //!< To the link.
    std::unique_ptr<FrameStream> m_stream; //!< To the guest.
    bool m_open{false};                    //!< Time 0 has passed.
    bool m_blocked{false};                 //!< The guest's side is full; epoll says when it is not.
    bool m_flushing{false};                //!< Flush() is asked for.
    std::deque<FramePtr> m_queue;          //!< To the guest.
    DoorCounters m_counters;               //!< What happened.
    FrameCapture m_capture;                //!< Records what passes.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_FRAME_DOOR_H */

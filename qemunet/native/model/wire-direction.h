/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_WIRE_DIRECTION_H
#define QEMUNET_WIRE_DIRECTION_H

#include "counters.h"
#include "frame.h"
#include "impairments.h"

#include "ns3/ptr.h"
#include "ns3/random-variable-stream.h"

#include <deque>

namespace ns3::qemunet
{

class WireNetDevice;

/**
 * One direction of a wire: a queue, a transmitter and a medium, in this order.
 *
 * A frame takes (size, padded to 60 bytes, + 4 bytes FCS) × 8 / rate to transmit; preamble and
 * inter-frame gap are not counted, as ns-3's own csma and point-to-point devices do not. Then, on
 * the medium, it is lost, or it arrives after delay plus jitter, but never before its predecessor:
 * without reorder= the order is kept. A duplicate follows right behind its original and costs no
 * transmission time. A reordered frame skips the delay. Each kind of draw has a random stream of
 * its own, so that changing the loss does not change which frames are reordered.
 */
class WireDirection
{
  public:
    /** Random streams of a direction. */
    static constexpr int64_t STREAMS = 4;

    WireDirection();
    WireDirection(const WireDirection&) = delete;
    WireDirection& operator=(const WireDirection&) = delete;

    /**
     * @param receiver The device at the far end.
     */
    void SetReceiver(WireNetDevice* receiver);

    /**
     * @param stream The first of STREAMS streams.
     */
    void AssignStreams(int64_t stream);

    /**
     * Change what happens to frames from now on. The frame in transmission ends as it began; what
     * waits goes by the new values, what is on the medium arrives as it would have.
     *
     * @param impairments The new values, valid.
     */
    void Set(const Impairments& impairments);

    /**
     * Send a frame.
     *
     * @param frame Not longer than the MTU allows.
     */
    void Put(FramePtr frame);

    /** Count a frame that was too long for the link. */
    void CountOversize();

    /** @returns The counters. */
    const LinkCounters& GetCounters() const;

    /** Drop all frames. */
    void Clear();

  private:
    /** A frame on the medium. */
    struct Flying
    {
        uint64_t arrival; //!< Simulation time in ns.
        FramePtr frame;   //!< The frame.
    };

    void Transmit(FramePtr frame);
    void EndTransmission();
    void Depart(FramePtr frame);
    void Land(uint64_t arrival, FramePtr frame);
    void Overtake();
    void Arrive();
    void Deliver(FramePtr frame);
    void Schedule(uint64_t arrival);

    Impairments m_impairments;          //!< Present values.
    WireNetDevice* m_receiver{nullptr}; //!< The far end.
    std::deque<FramePtr> m_queue;       //!< Waiting for the transmitter.
    FramePtr m_transmitting;            //!< In the transmitter.
    uint64_t m_remainder{0}; //!< Of the last transmission time, so that rates are exact over time.
    std::deque<Flying> m_flying;                //!< On the medium, in order of arrival.
    std::deque<FramePtr> m_overtaking;          //!< Reordered, to arrive at once.
    bool m_armed{false};                        //!< An event waits for the first of m_flying.
    uint64_t m_lastArrival{0};                  //!< Of the last frame that kept the order.
    LinkCounters m_counters;                    //!< What happened.
    Ptr<UniformRandomVariable> m_lossDraw;      //!< For loss.
    Ptr<UniformRandomVariable> m_jitterDraw;    //!< For jitter.
    Ptr<UniformRandomVariable> m_duplicateDraw; //!< For duplicate.
    Ptr<UniformRandomVariable> m_reorderDraw;   //!< For reorder.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_WIRE_DIRECTION_H */

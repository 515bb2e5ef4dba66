/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_WIRE_DIRECTION_H
#define QEMUNET_WIRE_DIRECTION_H

#include "counters.h"
#include "delay-distribution.h"
#include "frame.h"
#include "impairments.h"

#include "ns3/event-id.h"
#include "ns3/ptr.h"
#include "ns3/random-variable-stream.h"

#include <deque>
#include <memory>
#include <vector>

namespace ns3::qemunet
{

class WireNetDevice;

/**
 * One direction of a wire: a queue, a transmitter and a medium, in this order.
 *
 * A frame takes (size, padded to 60 bytes, + 4 bytes FCS) × 8 / rate to transmit; preamble and
 * inter-frame gap are not counted, as ns-3's own csma and point-to-point devices do not. Then, on
 * the medium, it is lost, or it arrives after delay plus jitter. The delay is fixed, or drawn for
 * each frame from a distribution. A frame that would overtake arrives right behind its predecessor,
 * except for the share that reorder says: of these, a frame skips a fixed delay, and keeps one that
 * was drawn whatever the others drew. A duplicate follows right behind its original and costs no
 * transmission time. Each kind of draw has a random stream of its own, so that changing the loss
 * does not change which frames are reordered.
 *
 * The medium holds what is on its way as long as there is memory (see FramePool::IsFull()): beyond
 * that frames are lost, and counted as those that the queue has no room for.
 *
 * A direction that is down loses whatever is in it, and all that comes.
 */
class WireDirection
{
  public:
    /** Random streams of a direction. */
    static constexpr int64_t STREAMS = 6;

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
     * @param delays What delays are drawn from; none: the fixed delay.
     */
    void Set(const Impairments& impairments, std::shared_ptr<const DelayDistribution> delays);

    /**
     * @param up False: lose every frame from now on, also those on their way.
     */
    void SetUp(bool up);

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

    /** A frame on the medium that may overtake. */
    struct Overtaking : Flying
    {
        uint64_t number; //!< Tells the first of those that arrive at one instant.

        /** @returns True if it arrives after another one: the next to arrive is on top of a heap.
         */
        bool operator<(const Overtaking& other) const
        {
            return arrival != other.arrival ? arrival > other.arrival : number > other.number;
        }
    };

    void Transmit(FramePtr frame);
    void EndTransmission();
    void Depart(FramePtr frame);
    int64_t DrawDelay();
    void Land(uint64_t arrival, FramePtr frame);
    void LandFreely(uint64_t arrival, FramePtr frame);
    /** @returns True if the medium takes a frame; one that it does not take is counted. */
    bool HasRoom();
    void Overtake();
    void Arrive(uint64_t generation);
    void Deliver(FramePtr frame);
    void Schedule(uint64_t arrival);
    uint64_t DropAll();

    Impairments m_impairments;                         //!< Present values.
    std::shared_ptr<const DelayDistribution> m_delays; //!< None: the delay is fixed.
    WireNetDevice* m_receiver{nullptr};                //!< The far end.
    std::deque<FramePtr> m_queue;                      //!< Waiting for the transmitter.
    FramePtr m_transmitting;                           //!< In the transmitter.
    uint64_t m_remainder{0}; //!< Of the last transmission time, so that rates are exact over time.
    std::deque<Flying> m_flying;                //!< On the medium, in order of arrival.
    std::vector<Overtaking> m_overtaking;       //!< On the medium, a heap by arrival.
    uint64_t m_overtakers{0};                   //!< Frames ever put there.
    bool m_armed{false};                        //!< An event waits for the first of m_flying.
    uint64_t m_generation{0};                   //!< Of the event that counts.
    uint64_t m_lastArrival{0};                  //!< Of the last frame that kept the order.
    bool m_up{true};                            //!< Frames pass.
    EventId m_transmission;                     //!< End of the transmission.
    LinkCounters m_counters;                    //!< What happened.
    Ptr<UniformRandomVariable> m_lossDraw;      //!< For loss.
    Ptr<UniformRandomVariable> m_jitterDraw;    //!< For jitter.
    Ptr<UniformRandomVariable> m_duplicateDraw; //!< For duplicate.
    Ptr<UniformRandomVariable> m_reorderDraw;   //!< For reorder.
    Ptr<UniformRandomVariable> m_delayDraw;     //!< For delays.
    Ptr<NormalRandomVariable> m_normalDraw;     //!< For delays of Gaussian kinds.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_WIRE_DIRECTION_H */

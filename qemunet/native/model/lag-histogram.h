/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_LAG_HISTOGRAM_H
#define QEMUNET_LAG_HISTOGRAM_H

#include "lag-timeline.h"

#include <array>
#include <cstdint>
#include <functional>

namespace ns3::qemunet
{

/** How late an event may run. */
struct LagLimits
{
    uint64_t deadlineNs{UINT64_MAX};  //!< Events later than this are counted.
    uint64_t hardLimitNs{UINT64_MAX}; //!< None may be later than this.
    /** Told of the first event that is later than the hard limit: by how much, and at which
     * simulation time it was due. */
    std::function<void(uint64_t lagNs, uint64_t atNs)> exceeded;
};

/**
 * How late events ran, in buckets of logarithmic width: 16 to each power of two, so that a quantile
 * is at most 6 % too large; and when that was. Recording takes a few nanoseconds and no memory.
 */
class LagHistogram
{
  public:
    /** @param limits To hold events to from now on. */
    void SetLimits(LagLimits limits);

    /**
     * Record one event.
     *
     * @param lagNs How late it ran; what is negative counts as 0.
     * @param atNs Simulation time at which it was due.
     */
    void Record(int64_t lagNs, uint64_t atNs);

    /**
     * @param share 0..1.
     * @returns A lag in ns that this share of the events did not exceed; 0 without events.
     */
    uint64_t GetQuantileNs(double share) const;

    /** @returns The largest lag in ns. */
    uint64_t GetMaxNs() const;

    /** @returns Simulation time in ns of the event with the largest lag. */
    uint64_t GetMaxAtNs() const;

    /** @returns Number of events recorded. */
    uint64_t GetCount() const;

    /** @returns Number of events later than the deadline. */
    uint64_t GetMissed() const;

    /** @returns The same in the course of simulation time. */
    const LagTimeline& GetTimeline() const;

  private:
    /** log2 of the buckets to each power of two. */
    static constexpr unsigned SUB_BITS = 4;
    /** Buckets to each power of two. */
    static constexpr unsigned SUB = 1U << SUB_BITS;

    /**
     * @param value In ns.
     * @returns The bucket of a value.
     */
    static unsigned IndexOf(uint64_t value);

    /**
     * @param index Of a bucket.
     * @returns The largest value of that bucket.
     */
    static uint64_t UpperBound(unsigned index);

    std::array<uint64_t, (64 - SUB_BITS + 1) * SUB> m_buckets{}; //!< Events by lag.
    uint64_t m_count{0};                                         //!< Events.
    uint64_t m_maxNs{0};                                         //!< Largest lag.
    uint64_t m_maxAtNs{0};                                       //!< When it was.
    uint64_t m_missed{0};                                        //!< Later than the deadline.
    LagLimits m_limits;                                          //!< See SetLimits().
    LagTimeline m_timeline;                                      //!< By simulation time.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_LAG_HISTOGRAM_H */

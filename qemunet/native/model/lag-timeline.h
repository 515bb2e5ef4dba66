/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_LAG_TIMELINE_H
#define QEMUNET_LAG_TIMELINE_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ns3::qemunet
{

/**
 * How late events ran in the course of a run: number, 99 % quantile and maximum of each interval of
 * simulation time. There is room for a fixed number of intervals; a run that outlasts them gets
 * intervals twice as long, and what is there already is added up in pairs. So memory is bounded,
 * and recording costs an index and two additions.
 */
class LagTimeline
{
  public:
    /** log2 of the classes of lags to each power of two: a quantile is at most 12.5 % too large. */
    static constexpr unsigned CLASS_BITS = 3;
    /** Lags of 2^36 ns (69 s) and more are in one class. */
    static constexpr unsigned MOST_BITS = 36;
    /** Classes of lags. */
    static constexpr size_t CLASSES = (MOST_BITS - CLASS_BITS + 1U) << CLASS_BITS;
    /** Room for so many intervals. */
    static constexpr size_t INTERVALS = 256;

    /** What is known of an interval. */
    struct Interval
    {
        uint64_t events; //!< Number of events that were due in it.
        uint64_t p99Ns;  //!< 99 % of them ran at most this late.
        uint64_t maxNs;  //!< Largest lag.
    };

    LagTimeline();

    /**
     * Record one event.
     *
     * @param lagNs How late it ran.
     * @param atNs Simulation time at which it was due.
     */
    void Record(uint64_t lagNs, uint64_t atNs);

    /** @returns The length of an interval in ns. */
    uint64_t GetIntervalNs() const;

    /** @returns The intervals from time 0 to the last one with an event. */
    std::vector<Interval> GetIntervals() const;

  private:
    /** Lags by class, and the largest. */
    struct Slot
    {
        std::array<uint32_t, CLASSES> classes{}; //!< Events by class of their lag.
        uint64_t maxNs{0};                       //!< Largest lag.
    };

    /**
     * @param value In ns.
     * @returns The class of a value.
     */
    static size_t ClassOf(uint64_t value);

    /**
     * @param index Of a class.
     * @returns The largest value of that class.
     */
    static uint64_t UpperBound(size_t index);

    /** Make the intervals twice as long. */
    void Double();

    unsigned m_shift{24};      //!< log2 of the length of an interval in ns: at first 17 ms.
    size_t m_used{0};          //!< Intervals up to the last one with an event.
    std::vector<Slot> m_slots; //!< All, made before time 0.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_LAG_TIMELINE_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_LOAD_WATCH_H
#define QEMUNET_LOAD_WATCH_H

#include <cstdint>
#include <functional>
#include <type_traits>

namespace ns3::qemunet
{

/** What a simulation cost, from time 0 to its end, and its worst seconds. Times are in ns. */
struct Load
{
    uint64_t wallNs{0};        //!< How long it ran.
    uint64_t threadNs{0};      //!< CPU time of the simulation's thread.
    uint64_t processNs{0};     //!< CPU time of all threads of its process.
    uint64_t busiestCpuNs{0};  //!< CPU time of the thread in the second in which it had most to do.
    uint64_t busiestWallNs{0}; //!< How long that second was: longer, if the loop was late.
    uint64_t busiestAtNs{0};   //!< Simulation time at which it began.
    uint64_t mostDrops{0};     //!< Frames dropped at the doors in the worst second.
    uint64_t mostDropsAtNs{0}; //!< Simulation time at which that began.
};

static_assert(std::is_standard_layout_v<Load> && sizeof(Load) == 8 * sizeof(uint64_t),
              "qemunet/simulation/native.py reads it as an array");

/** Measures the Load by one look a second, as an event of the simulation. */
class LoadWatch
{
  public:
    /** @param drops Returns the frames dropped at the doors so far. */
    explicit LoadWatch(std::function<uint64_t()> drops);

    /** Measure from now on. Called, as End() is, in the simulation's thread. */
    void Begin();

    /** Measure no more; without Begin() nothing happens. */
    void End();

    /** @returns What was measured. */
    const Load& Get() const;

  private:
    /** What clocks and counters say. */
    struct Look
    {
        int64_t wallNs;    //!< CLOCK_MONOTONIC.
        int64_t threadNs;  //!< CPU time of the calling thread.
        int64_t processNs; //!< CPU time of the process.
        uint64_t drops;    //!< See the constructor.
        uint64_t atNs;     //!< Simulation time.
    };

    Look TakeLook() const;
    void Sample();
    void Note(const Look& now);

    std::function<uint64_t()> m_drops; //!< See the constructor.
    bool m_on{false};                  //!< Between Begin() and End().
    Look m_first{};                    //!< At Begin().
    Look m_last{};                     //!< One second ago.
    Load m_load;                       //!< What was measured.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_LOAD_WATCH_H */

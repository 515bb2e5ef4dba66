/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_IMPAIRMENTS_H
#define QEMUNET_IMPAIRMENTS_H

#include <cstdint>

namespace ns3::qemunet
{

/**
 * What one direction of a link does to frames. Its layout is that of the control messages
 * (little-endian, packed).
 */
struct [[gnu::packed]] Impairments
{
    uint64_t rateBps{0};        //!< Bits per second; 0 is unlimited.
    int64_t delayNs{0};         //!< Propagation delay, if it is fixed.
    int64_t jitterNs{0};        //!< Half width of a uniform addition to the delay.
    double loss{0};             //!< Share of frames lost.
    double duplicate{0};        //!< Share of frames sent twice.
    double reorder{0};          //!< Share of frames that may overtake.
    uint32_t queueFrames{1000}; //!< Frames that may wait for the transmitter.
    uint32_t delay{0};          //!< Number of the distribution that delays are drawn from, or 0.

    /** @returns True if all values make sense. */
    bool IsValid() const
    {
        auto share = [](double value) { return value >= 0 && value <= 1; };
        return delayNs >= 0 && jitterNs >= 0 && share(loss) && share(duplicate) && share(reorder);
    }
};

static_assert(sizeof(Impairments) == 56);

} // namespace ns3::qemunet

#endif /* QEMUNET_IMPAIRMENTS_H */

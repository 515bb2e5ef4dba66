/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_DELAY_DISTRIBUTION_H
#define QEMUNET_DELAY_DISTRIBUTION_H

#include "ns3/random-variable-stream.h"

#include <cstdint>
#include <span>
#include <vector>

namespace ns3::qemunet
{

/** What a DelayPart is. */
enum class DelayKind : uint32_t
{
    UNIFORM = 0,   //!< Between first and second, in ns.
    NORMAL = 1,    //!< Mean first, standard deviation second, in ns; drawn again out of bounds.
    LOGNORMAL = 2, //!< As NORMAL, of the logarithm of the time in ns.
};

/**
 * A part of a delay distribution. Its layout is that of the control messages (little-endian,
 * packed).
 */
struct [[gnu::packed]] DelayPart
{
    uint32_t kind{0};     //!< A DelayKind.
    uint32_t reserved{0}; //!< 0.
    double weight{1};     //!< Of this part among all.
    double first{0};      //!< See DelayKind.
    double second{0};     //!< See DelayKind.
    int64_t minNs{0};     //!< NORMAL, LOGNORMAL: least.
    int64_t maxNs{0};     //!< NORMAL, LOGNORMAL: largest.
};

static_assert(sizeof(DelayPart) == 48);

/**
 * What delays are drawn from: one of its parts by weight (Walker's alias method: one draw, whatever
 * their number), then from that part. Never changes, so that many directions share one.
 */
class DelayDistribution
{
  public:
    /**
     * How often a draw that is out of bounds is done again. The topology's reader refuses bounds
     * that hold less than 1 % of the draws: so many in a row fail once in 10^17 frames. The last
     * one is then moved to the nearer bound.
     */
    static constexpr unsigned MAX_DRAWS = 4000;
    /** No delay is longer, in ns: times stay far from where they would overflow. */
    static constexpr int64_t LONGEST_NS = int64_t{1} << 61;

    /**
     * @param parts Parts of a distribution.
     * @returns True if they make sense.
     */
    static bool IsValid(std::span<const DelayPart> parts);

    /**
     * @param parts At least one, all valid.
     */
    explicit DelayDistribution(std::span<const DelayPart> parts);

    /**
     * Draw a delay.
     *
     * @param uniform Draws from 0 to 1.
     * @param normal Draws of mean 0 and variance 1.
     * @returns In ns, from 0 to LONGEST_NS.
     */
    int64_t Draw(UniformRandomVariable& uniform, NormalRandomVariable& normal) const;

  private:
    /** A place of the alias table: as many as there are parts, all as likely. */
    struct Slot
    {
        double own{1};     //!< Share in which it stands for its own part.
        uint32_t other{0}; //!< The part that it stands for otherwise.
    };

    const DelayPart& Choose(UniformRandomVariable& uniform) const;

    std::vector<DelayPart> m_parts; //!< The parts.
    std::vector<Slot> m_slots;      //!< The alias table.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_DELAY_DISTRIBUTION_H */

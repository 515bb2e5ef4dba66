/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_REASSEMBLY_H
#define QEMUNET_REASSEMBLY_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

namespace ns3::qemunet
{

/**
 * Puts the fragments together that a node gets for itself.
 *
 * ns-3 would do it, but holds as many as come, however they overlap. Here are no more than some
 * datagrams at once, the oldest of which makes room, and what overlaps is dropped.
 */
class Reassembly
{
  public:
    /** Datagrams that wait for their fragments at once. */
    static constexpr size_t MOST_DATAGRAMS = 128;
    /** Bytes of a datagram without its IP header. */
    static constexpr uint32_t MOST_BYTES = 65515;
    /** How long a datagram may wait, in ns of simulation time. */
    static constexpr uint64_t LIFETIME_NS = 30'000'000'000;

    /** What fragments of one datagram have in common: addresses, identification, protocol. */
    using Key = std::array<uint8_t, 37>;

    /** A datagram of which all fragments have come. */
    struct Whole
    {
        std::vector<uint8_t> first;   //!< What was given with the fragment at offset 0.
        std::vector<uint8_t> payload; //!< All that IP carries.
    };

    /** One fragment. */
    struct Fragment
    {
        Key key;             //!< Of its datagram.
        uint32_t offset;     //!< In bytes, a multiple of 8.
        bool more;           //!< It is not the last one.
        const uint8_t* data; //!< Its payload.
        uint32_t size;       //!< Bytes of it.
    };

    /**
     * @param fragment A fragment.
     * @param head Kept if it is the first one: what is needed to make a whole packet.
     * @param headBytes Its length.
     * @param nowNs Simulation time.
     * @returns The datagram if this was the last one that it lacked, valid until the next call;
     * else nullptr.
     */
    const Whole* Add(const Fragment& fragment,
                     const uint8_t* head,
                     uint32_t headBytes,
                     uint64_t nowNs);

  private:
    /** A datagram that waits. */
    struct Datagram
    {
        Key key{};                  //!< Its.
        uint64_t untilNs{0};        //!< It waits so long.
        uint32_t total{0};          //!< Bytes of all; 0: the last fragment has not come.
        uint32_t received{0};       //!< Bytes that have come.
        std::vector<bool> blocks;   //!< Which eights of bytes have come.
        std::vector<uint8_t> head;  //!< As Whole::first.
        std::vector<uint8_t> bytes; //!< As Whole::payload.
    };

    std::list<Datagram>::iterator Find(const Key& key, uint64_t nowNs);

    std::list<Datagram> m_waiting; //!< The oldest first.
    Whole m_whole;                 //!< The last one that was returned.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_REASSEMBLY_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_MALFORMED_FRAMES_H
#define QEMUNET_MALFORMED_FRAMES_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

/** A MAC address. */
using Mac = std::array<uint8_t, 6>;

/**
 * Write the Internet's checksum into what it covers.
 *
 * @param covered What it covers.
 * @param at Where it stands in that.
 * @param more What else it covers, summed up.
 */
void Seal(std::span<uint8_t> covered, size_t at, uint32_t more = 0);

/**
 * Makes frames that no well-behaved guest would send, always the same ones from the same seed.
 *
 * Short and giant ones, random bytes, headers that are cut off, type fields of all kinds, VLAN tags
 * in heaps, and IPv4, IPv6, ARP, ICMP, UDP, TCP and OLSR whose lengths and options lie. Many have
 * checksums that are right, or they would not get far.
 */
class MalformedFrames
{
  public:
    /** Shorter than any frame that is too long for a socket. */
    static constexpr size_t LONGEST = 65000;

    /**
     * @param seed Of all random choices.
     * @param own Address of the guest that sends.
     * @param far Address of its neighbour.
     * @param honest Share of frames that carry the guest's own address as their source.
     */
    MalformedFrames(uint64_t seed, Mac own, Mac far, double honest);

    /** @returns The next frame; valid until the next call. */
    std::span<const uint8_t> Next();

  private:
    uint32_t Draw(uint32_t below);
    bool Chance(double share);
    uint8_t Byte();
    void Bytes(size_t count);
    void Add(std::initializer_list<uint8_t> bytes);
    void AddNumber(uint32_t number, unsigned bytes);
    void AddMac(const Mac& mac);
    Mac DrawMac();
    void AddEthernet(uint16_t type);
    void AddIpv4Address();
    void AddIpv6Address(bool source);
    void AddTags();
    void AddLlc();
    void AddArp();
    void AddIpv4();
    void AddIpv6();
    void AddTransport(uint8_t protocol);
    void AddIcmp();
    void AddIcmpv6();
    void AddTcp();
    void AddOlsr();
    void AddExtension(uint8_t next, uint8_t kind);
    void Lie(size_t from);
    void RepairIpv4(size_t at);
    void RepairTransport(size_t addresses, size_t addressBytes, size_t at, uint8_t protocol);

    std::mt19937_64 m_random;     //!< All choices.
    Mac m_own;                    //!< The guest's.
    Mac m_far;                    //!< Its neighbour's.
    double m_honest;              //!< Share of frames in the guest's name.
    std::vector<uint8_t> m_bytes; //!< The frame.
    std::vector<uint8_t> m_noise; //!< What giants are made of.
};

#endif /* QEMUNET_MALFORMED_FRAMES_H */

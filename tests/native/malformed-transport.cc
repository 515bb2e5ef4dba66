/*
 * SPDX-License-Identifier: GPL-2.0-only
 */

/**
 * @file
 * What malformed packets carry above IP, and checksums.
 */

#include "malformed-frames.h"

#include <algorithm>

namespace
{

constexpr uint8_t ICMP = 1;
constexpr uint8_t TCP = 6;
constexpr uint8_t UDP = 17;
constexpr uint8_t ICMPV6 = 58;

/** Offset of the checksum in what a protocol above IP begins with; 0: there is none. */
size_t
GetChecksumOffset(uint8_t protocol)
{
    return protocol == ICMP || protocol == ICMPV6 ? 2
           : protocol == UDP                      ? 6
           : protocol == TCP                      ? 16
                                                  : 0;
}

/** @returns The sum of 16-bit numbers. */
uint32_t
Sum(std::span<const uint8_t> bytes)
{
    uint32_t sum = 0;
    for (size_t index = 0; index < bytes.size(); index += 2)
    {
        uint32_t low = index + 1 < bytes.size() ? bytes[index + 1] : 0;
        sum += static_cast<uint32_t>(bytes[index] << 8) + low;
    }
    return sum;
}

} // namespace

void
Seal(std::span<uint8_t> covered, size_t at, uint32_t more)
{
    covered[at] = covered[at + 1] = 0;
    uint32_t sum = Sum(covered) + more;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    covered[at] = static_cast<uint8_t>(~sum >> 8);
    covered[at + 1] = static_cast<uint8_t>(~sum);
}

void
MalformedFrames::AddTransport(uint8_t protocol)
{
    switch (protocol)
    {
    case ICMP:
        AddIcmp();
        break;
    case ICMPV6:
        AddIcmpv6();
        break;
    case TCP:
        AddTcp();
        break;
    case UDP:
        if (Chance(0.3))
        {
            AddOlsr();
            break;
        }
        AddNumber(Draw(0x10000), 2);
        AddNumber(Chance(0.5) ? 9 : Draw(0x10000), 2);
        AddNumber(Chance(0.7) ? 8 + 32 : Draw(0x10000), 2);
        AddNumber(0, 2);
        Bytes(32);
        break;
    default:
        Bytes(Draw(200));
    }
}

void
MalformedFrames::AddIcmp()
{
    constexpr std::array<uint8_t, 8> TYPES{8, 8, 0, 3, 11, 5, 13, 17};
    Add({Chance(0.9) ? TYPES[Draw(TYPES.size())] : Byte(), static_cast<uint8_t>(Draw(6)), 0, 0});
    Bytes(4);
    if (Chance(0.5))
    {
        Add({static_cast<uint8_t>(0x40 + Draw(16)), 0, 0, static_cast<uint8_t>(Draw(80))});
    }
    Bytes(Draw(Chance(0.1) ? 1400 : 80));
}

void
MalformedFrames::AddIcmpv6()
{
    constexpr std::array<uint8_t, 12> TYPES{128, 129, 135, 135, 136, 136, 133, 134, 137, 1, 2, 4};
    uint8_t type = Chance(0.95) ? TYPES[Draw(TYPES.size())] : Byte();
    Add({type, 0, 0, 0, 0, 0, 0, 0});
    if (type == 135 || type == 136)
    {
        AddIpv6Address(false);
    }
    if (type == 137)
    {
        AddIpv6Address(false);
        AddIpv6Address(true);
    }
    while (Chance(0.6))
    {
        auto eights = static_cast<uint8_t>(Draw(4));
        Add({static_cast<uint8_t>(1 + Draw(5)), eights});
        Bytes(Chance(0.9) ? std::max(6, eights * 8 - 2) : Draw(8));
    }
}

void
MalformedFrames::AddTcp()
{
    auto words = static_cast<uint8_t>(Chance(0.7) ? 5 + Draw(6) : Draw(16));
    AddNumber(Draw(0x10000), 2);
    AddNumber(Draw(100), 2);
    Bytes(8);
    Add({static_cast<uint8_t>(words << 4), Byte(), 0xff, 0xff, 0, 0, 0, 0});
    for (size_t end = m_bytes.size() + (words > 5 ? (words - 5) * 4U : 0); m_bytes.size() < end;)
    {
        Add({static_cast<uint8_t>(Draw(9)), static_cast<uint8_t>(Draw(12))});
    }
    Bytes(Draw(30));
}

void
MalformedFrames::AddOlsr()
{
    AddNumber(698, 2);
    AddNumber(698, 2);
    size_t length = m_bytes.size();
    AddNumber(0, 4);
    size_t packet = m_bytes.size();
    AddNumber(0, 4);
    for (uint32_t count = Draw(3); count > 0; --count)
    {
        uint32_t bytes = 4 * Draw(10);
        Add({static_cast<uint8_t>(Draw(6)), Byte()});
        AddNumber(Chance(0.9) ? 12 + bytes : Draw(0x10000), 2);
        AddIpv4Address();
        Add({static_cast<uint8_t>(Draw(4)), 0, 0, Byte()});
        Bytes(bytes);
    }
    size_t size = m_bytes.size() - packet;
    m_bytes[packet] = static_cast<uint8_t>(size >> 8);
    m_bytes[packet + 1] = static_cast<uint8_t>(size);
    m_bytes[length] = static_cast<uint8_t>((size + 8) >> 8);
    m_bytes[length + 1] = static_cast<uint8_t>(size + 8);
}

void
MalformedFrames::RepairTransport(size_t addresses, size_t bytes, size_t at, uint8_t protocol)
{
    size_t offset = GetChecksumOffset(protocol);
    if (offset == 0 || at + offset + 2 > m_bytes.size())
    {
        return;
    }
    uint32_t pseudo = protocol == ICMP ? 0
                                       : protocol + static_cast<uint32_t>(m_bytes.size() - at) +
                                             Sum(std::span(m_bytes).subspan(addresses, bytes));
    Seal(std::span(m_bytes).subspan(at), offset, pseudo);
}

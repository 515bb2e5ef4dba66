/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "sane-packets.h"

#include "packet-bytes.h"

#include <algorithm>
#include <array>
#include <bitset>

namespace ns3::qemunet
{

namespace
{

constexpr std::array<uint8_t, 7> ARP_START{0, 1, 8, 0, 6, 4, 0};
constexpr uint32_t ARP_BYTES = 28;

constexpr uint8_t ICMP = 1;
constexpr uint32_t OLSR_PORT = 698;

/** @returns True if an ICMP message is as long as its type needs. */
bool
IsSaneIcmp(const uint8_t* bytes, uint32_t size)
{
    if (size < 8)
    {
        return false;
    }
    bool error = bytes[0] == 3 || bytes[0] == 11;
    // An error quotes a header, whose own length ns-3 believes, and eight bytes more.
    return !error || (size >= 8 + IPV4_BYTES + 8 && bytes[8] == 0x45);
}

/** @returns True if a TCP option is as long as its kind needs. */
bool
IsSaneTcpOption(uint8_t kind, uint8_t length)
{
    switch (kind)
    {
    case 2: // largest segment
        return length == 4;
    case 3: // window scale
        return length == 3;
    case 4: // selective acknowledgements permitted
        return length == 2;
    case 5: // selective acknowledgements
        return length >= 10 && length % 8 == 2;
    case 8: // timestamps
        return length == 10;
    default:
        return length >= 2;
    }
}

/** @returns True if a chain of TCP options ends where it should. */
bool
AreSaneTcpOptions(const uint8_t* bytes, uint32_t size)
{
    for (uint32_t at = 0; at < size && bytes[at] != 0;)
    {
        if (bytes[at] == 1)
        {
            ++at;
            continue;
        }
        if (at + 1 >= size || at + bytes[at + 1] > size ||
            !IsSaneTcpOption(bytes[at], bytes[at + 1]))
        {
            return false;
        }
        at += bytes[at + 1];
    }
    return true;
}

/** @returns True if what neighbour discovery says in options is what ns-3 can read. */
bool
AreSaneDiscoveryOptions(const uint8_t* bytes, uint32_t size)
{
    std::bitset<256> seen;
    for (uint32_t at = 0; at < size;)
    {
        if (at + 2 > size || bytes[at + 1] == 0 || at + bytes[at + 1] * 8U > size)
        {
            return false;
        }
        uint8_t type = bytes[at];
        // A second link address keeps ns-3 busy for ever.
        if (seen.test(type))
        {
            return false;
        }
        seen.set(type);
        bool small = type == 1 || type == 2 || type == 5; // link addresses, MTU
        if ((small && bytes[at + 1] != 1) || (type == 3 && bytes[at + 1] != 4) || type == 4)
        {
            return false;
        }
        at += bytes[at + 1] * 8U;
    }
    return true;
}

/** @returns True if an ICMPv6 message is as long as its type needs. */
bool
IsSaneIcmpv6(const uint8_t* bytes, uint32_t size)
{
    if (size < 8)
    {
        return false;
    }
    switch (bytes[0])
    {
    case 1:
    case 2:
    case 3:
    case 4:
        return size >= 8 + IPV6_BYTES + 8 && bytes[8] >> 4 == 6;
    case 133:
        // Without an option there is nothing to learn from it, and ns-3 would look for one.
        return size > 8 && AreSaneDiscoveryOptions(bytes + 8, size - 8);
    case 135:
        // ns-3 answers to the address that it says to have, and believes that it does.
        return size >= 32 && bytes[24] == 1 && AreSaneDiscoveryOptions(bytes + 24, size - 24);
    case 136:
        return size >= 24 && AreSaneDiscoveryOptions(bytes + 24, size - 24);
    case 134:
    case 137:
        // Addresses and routes of a node are what the plan says, not a guest's affair.
        return false;
    default:
        return true;
    }
}

/** @returns True if the lists of neighbours in an OLSR HELLO are whole. */
bool
IsSaneHello(const uint8_t* bytes, uint32_t size)
{
    if (size < 4)
    {
        return false;
    }
    for (uint32_t at = 4; at < size;)
    {
        uint32_t length = at + 4 <= size ? Number(bytes + at + 2) : 0;
        if (length < 4 || length % 4 != 0 || at + length > size)
        {
            return false;
        }
        at += length;
    }
    return true;
}

/** @returns True if an OLSR packet and its messages have the lengths that they say. */
bool
IsSaneOlsr(const uint8_t* bytes, uint32_t size)
{
    constexpr uint32_t MESSAGE = 12;
    if (size < 4 || Number(bytes) != size)
    {
        return false;
    }
    for (uint32_t at = 4; at < size;)
    {
        uint32_t length = at + MESSAGE <= size ? Number(bytes + at + 2) : 0;
        if (length < MESSAGE || length % 4 != 0 || at + length > size)
        {
            return false;
        }
        const uint8_t* content = bytes + at + MESSAGE;
        uint32_t left = length - MESSAGE;
        uint8_t type = bytes[at];
        bool sane = type == 1   ? IsSaneHello(content, left)
                    : type == 2 ? left >= 4
                    : type == 4 ? left % 8 == 0
                                : type == 3;
        if (!sane)
        {
            return false;
        }
        at += length;
    }
    return true;
}

} // namespace

bool
IsSaneArp(const uint8_t* bytes, uint32_t size)
{
    return size >= ARP_BYTES && std::equal(ARP_START.begin(), ARP_START.end(), bytes) &&
           (bytes[7] == 1 || bytes[7] == 2);
}

bool
IsSaneTransport(uint8_t protocol, const uint8_t* bytes, uint32_t size)
{
    switch (protocol)
    {
    case ICMP:
        return IsSaneIcmp(bytes, size);
    case ICMPV6:
        return IsSaneIcmpv6(bytes, size);
    case UDP:
        return size >= 8 && Number(bytes + 4) >= 8 && Number(bytes + 4) <= size &&
               (Number(bytes + 2) != OLSR_PORT ||
                (Number(bytes) == OLSR_PORT && IsSaneOlsr(bytes + 8, Number(bytes + 4) - 8)));
    case TCP: {
        uint32_t header = size >= 20 ? (bytes[12] >> 4) * 4U : 0;
        return header >= 20 && header <= size && AreSaneTcpOptions(bytes + 20, header - 20);
    }
    default:
        return true;
    }
}

bool
AreKnownLinkAddresses(const uint8_t* bytes,
                      uint32_t size,
                      const std::function<bool(const uint8_t*)>& isKnown)
{
    // Behind the addresses of a solicitation and an advertisement; a router solicitation has none.
    for (uint32_t at = bytes[0] == 133 ? 8 : 24; at < size; at += bytes[at + 1] * 8U)
    {
        if ((bytes[at] == 1 || bytes[at] == 2) && !isKnown(bytes + at + 2))
        {
            return false;
        }
    }
    return true;
}

bool
AreSaneIpv6Options(const uint8_t* bytes, uint32_t size)
{
    for (uint32_t at = 0; at < size;)
    {
        if (bytes[at] == 0)
        {
            ++at;
            continue;
        }
        bool alert = bytes[at] == 5;
        if (at + 2 > size || at + 2 + bytes[at + 1] > size || (alert && bytes[at + 1] != 2) ||
            (bytes[at] != 1 && !alert))
        {
            return false;
        }
        at += 2U + bytes[at + 1];
    }
    return true;
}

} // namespace ns3::qemunet

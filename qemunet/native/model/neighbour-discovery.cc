/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "neighbour-discovery.h"

#include <algorithm>

namespace ns3::qemunet
{

namespace
{

constexpr uint32_t IPV6_NEXT = 6;
constexpr uint32_t IPV6_HOP_LIMIT = 7;
/** That of a packet that no router has passed on. */
constexpr uint8_t SAME_LINK = 255;
constexpr uint8_t TARGET_LINK_ADDRESS = 2;

} // namespace

uint8_t
GetDiscoveryType(const uint8_t* packet, uint32_t size)
{
    bool whole = size >= DISCOVERY_BYTES && packet[IPV6_NEXT] == ICMPV6 &&
                 packet[IPV6_HOP_LIMIT] == SAME_LINK;
    uint8_t type = whole ? packet[IPV6_BYTES] : 0;
    return type == SOLICITATION || type == ADVERTISEMENT ? type : 0;
}

bool
IsAnswerable(const uint8_t* packet, uint32_t size)
{
    return GetDiscoveryType(packet, size) == SOLICITATION &&
           std::any_of(packet + IPV6_SOURCE, packet + IPV6_DESTINATION, [](uint8_t byte) {
               return byte != 0;
           });
}

Advertisement
MakeAdvertisement(const uint8_t* source,
                  const uint8_t* destination,
                  const uint8_t* target,
                  uint8_t flags,
                  Mac48Address link)
{
    Advertisement packet{};
    constexpr uint32_t MESSAGE_BYTES = std::tuple_size_v<Advertisement> - IPV6_BYTES;
    packet[0] = 0x60;
    packet[5] = MESSAGE_BYTES;
    packet[IPV6_NEXT] = ICMPV6;
    packet[IPV6_HOP_LIMIT] = SAME_LINK;
    std::copy_n(source, IPV6_ADDRESS_BYTES, packet.begin() + IPV6_SOURCE);
    std::copy_n(destination, IPV6_ADDRESS_BYTES, packet.begin() + IPV6_DESTINATION);
    packet[IPV6_BYTES] = ADVERTISEMENT;
    packet[DISCOVERY_FLAGS] = flags;
    std::copy_n(target, IPV6_ADDRESS_BYTES, packet.begin() + DISCOVERY_TARGET);
    packet[DISCOVERY_BYTES] = TARGET_LINK_ADDRESS;
    packet[DISCOVERY_BYTES + 1] = 1; // of 8 bytes
    link.CopyTo(packet.data() + DISCOVERY_BYTES + 2);
    // The checksum covers addresses, length, next header and the message.
    uint32_t sum = MESSAGE_BYTES + ICMPV6;
    for (uint32_t at = IPV6_SOURCE; at < packet.size(); at += 2)
    {
        sum += Number(packet.data() + at);
    }
    while (sum >> 16)
    {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[IPV6_BYTES + 2] = static_cast<uint8_t>(~sum >> 8 & 0xff);
    packet[IPV6_BYTES + 3] = static_cast<uint8_t>(~sum & 0xff);
    return packet;
}

} // namespace ns3::qemunet

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_SANE_PACKETS_H
#define QEMUNET_SANE_PACKETS_H

#include <cstdint>
#include <functional>

/**
 * @file
 * Whether ns-3 can read a packet: its headers are whole, and the lengths in them agree.
 */

namespace ns3::qemunet
{

/** @returns True if an ARP packet is one for IPv4 over Ethernet, request or reply. */
bool IsSaneArp(const uint8_t* bytes, uint32_t size);

/**
 * @param protocol Number of the protocol above IP.
 * @param bytes What IP carries, from its first byte.
 * @param size How much of it there is.
 * @returns True if its header is one that a node can read, or one that it ignores.
 */
bool IsSaneTransport(uint8_t protocol, const uint8_t* bytes, uint32_t size);

/** @returns True if the options of a hop-by-hop header are whole. */
bool AreSaneIpv6Options(const uint8_t* bytes, uint32_t size);

/**
 * @param bytes An ICMPv6 message of neighbour discovery that IsSaneTransport() is true for.
 * @param size Its length.
 * @param isKnown Says whether a link address is one that a neighbour may have.
 * @returns True if all link addresses in its options are.
 */
bool AreKnownLinkAddresses(const uint8_t* bytes,
                           uint32_t size,
                           const std::function<bool(const uint8_t*)>& isKnown);

} // namespace ns3::qemunet

#endif /* QEMUNET_SANE_PACKETS_H */

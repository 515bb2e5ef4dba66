/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_NEIGHBOUR_DISCOVERY_H
#define QEMUNET_NEIGHBOUR_DISCOVERY_H

#include "packet-bytes.h"

#include "ns3/mac48-address.h"

#include <array>
#include <cstdint>

/**
 * @file
 * Neighbour discovery of IPv6 (RFC 4861), as far as it is answered and completed here.
 */

namespace ns3::qemunet
{

constexpr uint8_t SOLICITATION = 135;           //!< Type of message.
constexpr uint8_t ADVERTISEMENT = 136;          //!< Likewise.
constexpr uint32_t IPV6_SOURCE = 8;             //!< Place in a packet.
constexpr uint32_t IPV6_DESTINATION = 24;       //!< Likewise.
constexpr uint32_t IPV6_ADDRESS_BYTES = 16;     //!< Length of an address.
constexpr uint32_t DISCOVERY_FLAGS = 44;        //!< Place of an advertisement's flags in a packet.
constexpr uint32_t DISCOVERY_TARGET = 48;       //!< Place of the address asked for.
constexpr uint32_t DISCOVERY_BYTES = 64;        //!< Header and message without options.
constexpr uint8_t ADVERTISES_ROUTER = 0x80;     //!< Flag.
constexpr uint8_t ADVERTISES_SOLICITED = 0x40;  //!< Flag.
constexpr uint8_t ADVERTISES_OVERRIDING = 0x20; //!< Flag.

/** A packet with an advertisement that names a link address. */
using Advertisement = std::array<uint8_t, DISCOVERY_BYTES + 8>;

/** @returns SOLICITATION or ADVERTISEMENT from the same link, 0 for any other packet. */
uint8_t GetDiscoveryType(const uint8_t* packet, uint32_t size);

/** @returns True for a solicitation whose sender has an address. */
bool IsAnswerable(const uint8_t* packet, uint32_t size);

/**
 * @param source Address from which to send.
 * @param destination Address to send to.
 * @param target Address of which the link address is told.
 * @param flags ADVERTISES_...
 * @param link The link address.
 * @returns The packet.
 */
Advertisement MakeAdvertisement(const uint8_t* source,
                                const uint8_t* destination,
                                const uint8_t* target,
                                uint8_t flags,
                                Mac48Address link);

} // namespace ns3::qemunet

#endif /* QEMUNET_NEIGHBOUR_DISCOVERY_H */

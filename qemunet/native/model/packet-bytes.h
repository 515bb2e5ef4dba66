/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_PACKET_BYTES_H
#define QEMUNET_PACKET_BYTES_H

#include <cstdint>

/**
 * @file
 * What those who look into packets know of them.
 */

namespace ns3::qemunet
{

constexpr uint32_t IPV4_BYTES = 20; //!< An IPv4 header without options.
constexpr uint32_t IPV6_BYTES = 40; //!< An IPv6 header.

constexpr uint8_t TCP = 6;     //!< As a protocol above IP.
constexpr uint8_t UDP = 17;    //!< Likewise.
constexpr uint8_t ICMPV6 = 58; //!< Likewise.

/** @returns The 16-bit number at a place. */
inline uint32_t
Number(const uint8_t* bytes)
{
    return static_cast<uint32_t>(bytes[0] << 8 | bytes[1]);
}

} // namespace ns3::qemunet

#endif /* QEMUNET_PACKET_BYTES_H */

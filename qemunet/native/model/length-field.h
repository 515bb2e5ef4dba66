/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_LENGTH_FIELD_H
#define QEMUNET_LENGTH_FIELD_H

#include "ns3/packet.h"
#include "ns3/ptr.h"

#include <cstdint>

namespace ns3::qemunet
{

/**
 * @file
 * Frames whose type field is a length (IEEE 802.3, spanning tree for one) on their way through
 * ns-3, whose devices would take the LLC header for their own, or abort. Such a frame crosses with
 * the EtherType for local experiments, its true field in a packet tag.
 */

/**
 * For a frame that enters ns-3.
 *
 * @param packet Its payload, which gets a tag where the field is a length.
 * @param field What stands where an EtherType would.
 * @returns The EtherType to use.
 */
uint16_t HideLengthField(Ptr<Packet> packet, uint16_t field);

/**
 * For a frame that leaves ns-3.
 *
 * @param packet Its payload.
 * @param protocol Its EtherType.
 * @returns What stands where an EtherType would.
 */
uint16_t GetTypeField(Ptr<const Packet> packet, uint16_t protocol);

} // namespace ns3::qemunet

#endif /* QEMUNET_LENGTH_FIELD_H */

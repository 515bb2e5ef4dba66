/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_STACK_GUARD_H
#define QEMUNET_STACK_GUARD_H

#include "reassembly.h"

#include "ns3/ipv4-l3-protocol.h"
#include "ns3/ipv6-l3-protocol.h"
#include "ns3/net-device.h"
#include "ns3/node.h"
#include "ns3/ptr.h"
#include "ns3/simple-ref-count.h"
#include "ns3/traffic-control-layer.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

namespace ns3::qemunet
{

/**
 * Stands before the Internet stack of an ns-3 node and drops what ns-3 would abort on: it takes
 * packets for its own, made by its own serializers, but guests can send anything.
 *
 * Headers must be whole and their lengths must agree. Those above IP are looked at only where the
 * node itself would read them: a router passes on what it does not understand. Neighbour
 * advertisements that leave the link address out get it from their frame, and who asks for us has
 * told us his.
 *
 * Nobody has our own link address, and in a network where a device sends in its own name only,
 * neighbours say theirs: ns-3's Wi-Fi ends the program where it is to send to itself, and keeps a
 * state of each station that it was to send to.
 *
 * IPv4 options go no further, as ns-3 would pass on their place without them. Fragments for the
 * node are put together here (Reassembly), and what the node learns of its neighbours has a bound.
 */
class StackGuard : public SimpleRefCount<StackGuard>
{
  public:
    /** Neighbours that a node knows at once; then it forgets them all, and asks again. */
    static constexpr size_t MOST_NEIGHBOURS = 4096;

    /**
     * Put a guard before a node's stack, for good.
     *
     * @param node A node with a stack and all its interfaces.
     */
    static void Install(Ptr<Node> node);

    /**
     * @param node Its node.
     */
    explicit StackGuard(Ptr<Node> node);

  private:
    void Receive(Ptr<NetDevice> device,
                 Ptr<const Packet> packet,
                 uint16_t protocol,
                 const Address& from,
                 const Address& to,
                 NetDevice::PacketType type);
    /**
     * Make up for what ns-3 lacks in neighbour discovery. It does not take an advertisement without
     * its sender's link address for an answer, and Linux leaves that out where it was asked by
     * unicast. And where two neighbours ask for each other at once, it learns the other's link
     * address from the question and forgets what it wanted to send, which from an answer it does
     * not: so the question's sender advertises itself first.
     *
     * @returns The packet to go on with.
     */
    Ptr<const Packet> PrepareDiscovery(Ptr<NetDevice> device,
                                       Ptr<const Packet> packet,
                                       const uint8_t* bytes,
                                       uint32_t size,
                                       const Address& from);
    /**
     * @param packet An IPv4 packet.
     * @param bytes Its bytes.
     * @param size How many.
     * @returns What ns-3 is to get; none: nothing, as it is malformed, or a fragment of something
     * that is not whole yet.
     */
    Ptr<const Packet> AdmitIpv4(Ptr<const Packet> packet, const uint8_t* bytes, uint32_t size);
    /** As AdmitIpv4(), for an IPv6 packet. */
    Ptr<const Packet> AdmitIpv6(Ptr<const Packet> packet, const uint8_t* bytes, uint32_t size);
    /** As AdmitIpv6(), for a fragment for this node; the fragment header is at some place. */
    Ptr<const Packet> AdmitIpv6Fragment(const uint8_t* bytes,
                                        const uint8_t* at,
                                        const uint8_t* end);
    /**
     * @param header The IPv6 header of a packet for this node.
     * @param next What comes behind all headers of IPv6.
     * @param at Where that begins.
     * @param size How much of it there is.
     * @returns True if ns-3 can read it.
     */
    bool IsSaneIpv6Payload(const uint8_t* header,
                           uint8_t next,
                           const uint8_t* at,
                           uint32_t size) const;
    bool IsLinkAddress(const uint8_t* address) const;
    bool IsForUs(const uint8_t* destination, bool ipv6) const;
    bool IsNeighbour(Ipv4Address address) const;
    bool IsNeighbour(Ipv6Address address) const;
    /** Somebody will be asked for his link address, if he is a neighbour: forget others in time. */
    void NoteNeighbour(const uint8_t* address, bool ipv6);

    Ptr<TrafficControlLayer> m_next; //!< Where packets go.
    Ptr<Ipv4L3Protocol> m_ipv4;      //!< Knows the node's addresses.
    Ptr<Ipv6L3Protocol> m_ipv6;      //!< Likewise, if it has it.
    Ptr<NetDevice> m_device;         //!< Where the present packet came.
    Address m_from;                  //!< From whom.
    Reassembly m_reassembly;         //!< Of what is for this node.
    /** IPv4 addresses are padded with zeros. */
    std::set<std::array<uint8_t, 16>> m_neighbours;
};

} // namespace ns3::qemunet

#endif /* QEMUNET_STACK_GUARD_H */

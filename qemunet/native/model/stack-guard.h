/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_STACK_GUARD_H
#define QEMUNET_STACK_GUARD_H

#include "ns3/ipv4-l3-protocol.h"
#include "ns3/ipv6-l3-protocol.h"
#include "ns3/net-device.h"
#include "ns3/node.h"
#include "ns3/ptr.h"
#include "ns3/simple-ref-count.h"
#include "ns3/traffic-control-layer.h"

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
 */
class StackGuard : public SimpleRefCount<StackGuard>
{
  public:
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
    bool IsForUs(const uint8_t* destination, bool ipv6) const;
    bool IsNeighbour(Ipv6Address address) const;
    bool IsSaneIpv4(const uint8_t* bytes, uint32_t size) const;
    bool IsSaneIpv6(const uint8_t* bytes, uint32_t size) const;

    Ptr<TrafficControlLayer> m_next; //!< Where packets go.
    Ptr<Ipv4L3Protocol> m_ipv4;      //!< Knows the node's addresses.
    Ptr<Ipv6L3Protocol> m_ipv6;      //!< Likewise, if it has it.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_STACK_GUARD_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_NODE_STACK_H
#define QEMUNET_NODE_STACK_H

#include "ns3/node.h"
#include "ns3/ptr.h"

#include <cstdint>
#include <string>

namespace ns3::qemunet
{

/** What an ns-3 node with an Internet stack is. */
struct StackOptions
{
    bool forwards{false};  //!< Passes packets on.
    bool ipv6{false};      //!< Has IPv6.
    bool olsr{false};      //!< Runs OLSR.
    uint32_t hopLimit{64}; //!< Time to live of the packets that it makes.
};

/**
 * Give a node an Internet stack, its addresses and its routes.
 *
 * Addresses can be used at time 0 (no duplicate address detection), and the first packet to a
 * neighbour does not wait for a random time (no jitter of ARP and neighbour solicitations).
 *
 * @param node The node, with its devices.
 * @param options What it is.
 * @param configuration Lines of words:
 *     "address DEVICE ADDRESS LENGTH": an address of a device, by its index, with its prefix;
 *     "mtu DEVICE BYTES": the MTU of a device;
 *     "route ADDRESS LENGTH GATEWAY DEVICE": a route to a prefix;
 *     "exclude DEVICE": OLSR does not use it;
 *     "announce ADDRESS LENGTH": OLSR tells the others that this prefix is reached here.
 * @param stream The first random stream to use.
 * @returns How many were used.
 */
int64_t AddStack(Ptr<Node> node,
                 const StackOptions& options,
                 const std::string& configuration,
                 int64_t stream);

/**
 * Join all devices of a node by an ns-3 bridge.
 *
 * @param node The node.
 * @returns Index of the bridge's own device.
 */
uint32_t AddBridge(Ptr<Node> node);

} // namespace ns3::qemunet

#endif /* QEMUNET_NODE_STACK_H */

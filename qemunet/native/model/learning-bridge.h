/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_LEARNING_BRIDGE_H
#define QEMUNET_LEARNING_BRIDGE_H

#include "ns3/bridge-net-device.h"
#include "ns3/mac48-address.h"

#include <cstddef>
#include <cstdint>
#include <map>

namespace ns3::qemunet
{

/**
 * ns-3's bridge, which would learn addresses without bound: a guest can send from any.
 *
 * Frames from more addresses than it can learn go to all ports, as those to unknown ones do.
 */
class LearningBridge : public BridgeNetDevice
{
  public:
    /** Addresses that it knows at once. */
    static constexpr size_t MOST_ADDRESSES = 16'384;

    /**
     * @param port A device to bridge; this is on a node.
     */
    void AddPort(Ptr<NetDevice> port);

  private:
    void Receive(Ptr<NetDevice> port,
                 Ptr<const Packet> packet,
                 uint16_t protocol,
                 const Address& source,
                 const Address& destination,
                 PacketType type);
    bool MayLearn(Mac48Address source);
    void ForgetOld(int64_t nowNs);

    std::map<Mac48Address, int64_t> m_seenNs; //!< When an address was last seen.
    int64_t m_forgottenNs{0};                 //!< When ForgetOld() was last called.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_LEARNING_BRIDGE_H */

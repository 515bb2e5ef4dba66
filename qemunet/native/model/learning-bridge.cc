/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "learning-bridge.h"

#include "ns3/boolean.h"
#include "ns3/node.h"
#include "ns3/nstime.h"
#include "ns3/simulator.h"

namespace ns3::qemunet
{

namespace
{

/** How often a full bridge looks for addresses that it has not seen for long, in ns. */
constexpr int64_t FORGETTING_PERIOD_NS = 1'000'000'000;

} // namespace

void
LearningBridge::AddPort(Ptr<NetDevice> port)
{
    AddBridgePort(port);
    // In the place of the handler that this has just registered.
    GetNode()->UnregisterProtocolHandler(
        MakeCallback(&LearningBridge::ReceiveFromDevice, static_cast<BridgeNetDevice*>(this)));
    GetNode()->RegisterProtocolHandler(MakeCallback(&LearningBridge::Receive, this), 0, port, true);
}

void
LearningBridge::Receive(Ptr<NetDevice> port,
                        Ptr<const Packet> packet,
                        uint16_t protocol,
                        const Address& source,
                        const Address& destination,
                        PacketType type)
{
    bool learns = MayLearn(Mac48Address::ConvertFrom(source));
    if (!learns)
    {
        SetAttribute("EnableLearning", BooleanValue(false));
    }
    ReceiveFromDevice(port, packet, protocol, source, destination, type);
    if (!learns)
    {
        SetAttribute("EnableLearning", BooleanValue(true));
    }
}

bool
LearningBridge::MayLearn(Mac48Address source)
{
    int64_t now = Simulator::Now().GetNanoSeconds();
    auto known = m_seenNs.find(source);
    if (known == m_seenNs.end() && m_seenNs.size() >= MOST_ADDRESSES)
    {
        ForgetOld(now);
        if (m_seenNs.size() >= MOST_ADDRESSES)
        {
            return false;
        }
    }
    m_seenNs[source] = now;
    return true;
}

void
LearningBridge::ForgetOld(int64_t nowNs)
{
    if (nowNs < m_forgottenNs + FORGETTING_PERIOD_NS)
    {
        return;
    }
    m_forgottenNs = nowNs;
    TimeValue lifetime;
    GetAttribute("ExpirationTime", lifetime);
    int64_t oldest = nowNs - lifetime.Get().GetNanoSeconds();
    std::erase_if(m_seenNs, [&](const auto& seen) {
        if (seen.second > oldest)
        {
            return false;
        }
        // ns-3 forgets an address when it is asked for it.
        GetLearnedState(seen.first);
        return true;
    });
}

} // namespace ns3::qemunet

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "node-stack.h"

#include "../model/learning-bridge.h"
#include "../model/stack-guard.h"

#include "ns3/abort.h"
#include "ns3/boolean.h"
#include "ns3/icmpv6-l4-protocol.h"
#include "ns3/internet-stack-helper.h"
#include "ns3/ipv4-interface-address.h"
#include "ns3/ipv4-l3-protocol.h"
#include "ns3/ipv4-list-routing-helper.h"
#include "ns3/ipv4-static-routing-helper.h"
#include "ns3/ipv4-static-routing.h"
#include "ns3/ipv6-interface-address.h"
#include "ns3/ipv6-interface.h"
#include "ns3/ipv6-l3-protocol.h"
#include "ns3/ipv6-static-routing-helper.h"
#include "ns3/ipv6-static-routing.h"
#include "ns3/olsr-helper.h"
#include "ns3/olsr-routing-protocol.h"
#include "ns3/uinteger.h"

#include <set>
#include <sstream>
#include <vector>

namespace ns3::qemunet
{

namespace
{

/** OLSR's routes go before static ones. */
constexpr int16_t OLSR_PRIORITY = 10;

/** @returns True for an IPv6 address as text. */
bool
IsIpv6(const std::string& address)
{
    return address.find(':') != std::string::npos;
}

/** @returns The IPv4 mask of a prefix length. */
Ipv4Mask
MakeMask(uint32_t length)
{
    return Ipv4Mask(length == 0 ? 0 : ~uint32_t{0} << (32 - length));
}

/** Configures a stack, line by line. */
class Configurator
{
  public:
    /**
     * @param node A node with a stack.
     */
    explicit Configurator(Ptr<Node> node)
        : m_node(node),
          m_ipv4(node->GetObject<Ipv4L3Protocol>()),
          m_ipv6(node->GetObject<Ipv6L3Protocol>()),
          m_routes(Ipv4StaticRoutingHelper().GetStaticRouting(m_ipv4))
    {
        if (m_ipv6)
        {
            m_routes6 = Ipv6StaticRoutingHelper().GetStaticRouting(m_ipv6);
        }
    }

    /**
     * @param line As AddStack() takes it.
     */
    void Apply(const std::string& line)
    {
        std::istringstream words(line);
        std::string what;
        std::string address;
        std::string gateway;
        uint32_t device = 0;
        uint32_t length = 0;
        words >> what;
        if (what == "address" && words >> device >> address >> length)
        {
            AddAddress(device, address, length);
        }
        else if (what == "mtu" && words >> device >> length)
        {
            m_node->GetDevice(device)->SetMtu(static_cast<uint16_t>(length));
        }
        else if (what == "route" && words >> address >> length >> gateway >> device)
        {
            AddRoute(address, length, gateway, device);
        }
        else if (what == "exclude" && words >> device)
        {
            m_excluded.push_back(device);
        }
        else if (what == "announce" && words >> address >> length)
        {
            m_announced.emplace_back(Ipv4Address(address.c_str()), MakeMask(length));
        }
        else
        {
            NS_ABORT_MSG("configuration of node " << m_node->GetId() << ": " << line);
        }
    }

    /** Tell OLSR what was said of it. */
    void ConfigureOlsr(Ptr<olsr::RoutingProtocol> protocol) const
    {
        std::set<uint32_t> excluded{0}; // loopback
        for (uint32_t device : m_excluded)
        {
            int32_t interface = m_ipv4->GetInterfaceForDevice(m_node->GetDevice(device));
            if (interface >= 0)
            {
                excluded.insert(static_cast<uint32_t>(interface));
            }
        }
        protocol->SetInterfaceExclusions(excluded);
        for (const auto& [network, mask] : m_announced)
        {
            protocol->AddHostNetworkAssociation(network, mask);
        }
    }

  private:
    void AddAddress(uint32_t index, const std::string& address, uint32_t length)
    {
        Ptr<NetDevice> device = m_node->GetDevice(index);
        if (IsIpv6(address))
        {
            uint32_t interface = Interface(*m_ipv6, device);
            Ipv6Address host(address.c_str());
            m_ipv6->AddAddress(
                interface,
                Ipv6InterfaceAddress(host, Ipv6Prefix(static_cast<uint8_t>(length))));
            m_ipv6->SetUp(interface);
            // Without duplicate address detection nobody else would say that they are good.
            Ptr<Ipv6Interface> owner = m_ipv6->GetInterface(interface);
            owner->SetState(host, Ipv6InterfaceAddress::PREFERRED);
            owner->SetState(owner->GetLinkLocalAddress().GetAddress(),
                            Ipv6InterfaceAddress::PREFERRED);
            return;
        }
        uint32_t interface = Interface(*m_ipv4, device);
        m_ipv4->AddAddress(interface,
                           Ipv4InterfaceAddress(Ipv4Address(address.c_str()), MakeMask(length)));
        m_ipv4->SetUp(interface);
    }

    void AddRoute(const std::string& address,
                  uint32_t length,
                  const std::string& gateway,
                  uint32_t index)
    {
        Ptr<NetDevice> device = m_node->GetDevice(index);
        if (IsIpv6(address))
        {
            m_routes6->AddNetworkRouteTo(Ipv6Address(address.c_str()),
                                         Ipv6Prefix(static_cast<uint8_t>(length)),
                                         Ipv6Address(gateway.c_str()),
                                         Interface(*m_ipv6, device));
            return;
        }
        m_routes->AddNetworkRouteTo(Ipv4Address(address.c_str()),
                                    MakeMask(length),
                                    Ipv4Address(gateway.c_str()),
                                    Interface(*m_ipv4, device));
    }

    /** @returns The interface of a device, a new one where it has none yet. */
    template <typename T>
    uint32_t Interface(T& protocol, Ptr<NetDevice> device)
    {
        int32_t present = protocol.GetInterfaceForDevice(device);
        return present >= 0 ? static_cast<uint32_t>(present) : protocol.AddInterface(device);
    }

    Ptr<Node> m_node;                                          //!< The node.
    Ptr<Ipv4L3Protocol> m_ipv4;                                //!< Its IPv4.
    Ptr<Ipv6L3Protocol> m_ipv6;                                //!< Its IPv6, if it has it.
    Ptr<Ipv4StaticRouting> m_routes;                           //!< Its IPv4 routes.
    Ptr<Ipv6StaticRouting> m_routes6;                          //!< Its IPv6 routes.
    std::vector<uint32_t> m_excluded;                          //!< Devices without OLSR.
    std::vector<std::pair<Ipv4Address, Ipv4Mask>> m_announced; //!< Prefixes for OLSR to announce.
};

} // namespace

int64_t
AddStack(Ptr<Node> node,
         const StackOptions& options,
         const std::string& configuration,
         int64_t stream)
{
    InternetStackHelper internet;
    internet.SetIpv4ArpJitter(false);
    internet.SetIpv6NsRsJitter(false);
    internet.SetIpv6StackInstall(options.ipv6);
    Ipv4ListRoutingHelper list;
    if (options.olsr)
    {
        list.Add(Ipv4StaticRoutingHelper(), 0);
        list.Add(OlsrHelper(), OLSR_PRIORITY);
        internet.SetRoutingHelper(list);
    }
    else
    {
        internet.SetRoutingHelper(Ipv4StaticRoutingHelper());
    }
    internet.SetRoutingHelper(Ipv6StaticRoutingHelper());
    internet.Install(node);

    node->GetObject<Ipv4L3Protocol>()->SetAttribute("IpForward", BooleanValue(options.forwards));
    node->GetObject<Ipv4L3Protocol>()->SetAttribute("DefaultTtl", UintegerValue(options.hopLimit));
    if (options.ipv6)
    {
        auto ipv6 = node->GetObject<Ipv6L3Protocol>();
        ipv6->SetAttribute("IpForward", BooleanValue(options.forwards));
        ipv6->SetAttribute("DefaultTtl", UintegerValue(options.hopLimit));
        ipv6->SetAttribute("SendIcmpv6Redirect", BooleanValue(false));
        // As Linux, and as ns-3 itself with IPv4: a router answers at any interface for all of its
        // addresses.
        ipv6->SetAttribute("StrongEndSystemModel", BooleanValue(false));
        node->GetObject<Icmpv6L4Protocol>()->SetAttribute("DAD", BooleanValue(false));
    }
    Configurator configurator(node);
    std::istringstream lines(configuration);
    for (std::string line; std::getline(lines, line);)
    {
        configurator.Apply(line);
    }
    StackGuard::Install(node);
    if (!options.olsr)
    {
        return 0;
    }
    auto routing = DynamicCast<Ipv4ListRouting>(node->GetObject<Ipv4>()->GetRoutingProtocol());
    int16_t priority;
    auto protocol = DynamicCast<olsr::RoutingProtocol>(routing->GetRoutingProtocol(0, priority));
    NS_ABORT_MSG_UNLESS(protocol, "OLSR does not come first on node " << node->GetId());
    configurator.ConfigureOlsr(protocol);
    return protocol->AssignStreams(stream);
}

uint32_t
AddBridge(Ptr<Node> node)
{
    auto bridge = CreateObject<LearningBridge>();
    uint32_t ports = node->GetNDevices();
    uint32_t index = node->AddDevice(bridge);
    for (uint32_t port = 0; port < ports; ++port)
    {
        bridge->AddPort(node->GetDevice(port));
    }
    return index;
}

} // namespace ns3::qemunet

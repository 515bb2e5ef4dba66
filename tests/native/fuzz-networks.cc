/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "fuzz-networks.h"

#include "../../qemunet/native/helper/wifi.h"

#include "ns3/constant-position-mobility-model.h"
#include "ns3/node-list.h"
#include "ns3/propagation-delay-model.h"
#include "ns3/propagation-loss-model.h"

#include <array>

using namespace ns3;
using namespace ns3::qemunet;

namespace
{

using NetworkPtr = std::unique_ptr<Network>;

const std::string NEAR = "02:00:00:00:00:01";
const std::string FAR = "02:00:00:00:00:02";

/** What a host with the Internet stack at the guest's link has. */
const std::string ADDRESSES = "address 0 10.0.0.2 24\naddress 0 fd00::2 64";

/** @returns A network with nodes of these names. */
NetworkPtr
Begin(std::initializer_list<const char*> nodes, bool checksums)
{
    auto network = std::make_unique<Network>("qemunet", 1, checksums);
    for (const char* name : nodes)
    {
        network->AddNode(name);
    }
    return network;
}

/** Two guests on a wire. */
NetworkPtr
MakeWire(const Impairments& impairments)
{
    NetworkPtr network = Begin({"a", "b"}, false);
    network->AddWire({0, 1}, {NEAR, FAR}, 1500, {impairments, impairments});
    network->AddDoor(0, 0, 0);
    network->AddDoor(1, 1, 0);
    return network;
}

/** @returns Something of everything that a wire can do. */
Impairments
MakeBad()
{
    Impairments bad;
    bad.rateBps = 1'000'000'000;
    bad.delayNs = 1'000'000;
    bad.jitterNs = 500'000;
    bad.loss = bad.duplicate = bad.reorder = 0.1;
    bad.queueFrames = 50;
    return bad;
}

/** Add a csma channel between two nodes; the second is the guest's neighbour. */
void
AddCsma(Network& network, uint32_t first, uint32_t second, const std::string& near)
{
    uint32_t link = network.AddCsma(1500, {});
    network.AddCsmaEnd(link, first, near);
    network.AddCsmaEnd(link, second, FAR);
}

NetworkPtr
MakeCsma()
{
    NetworkPtr network = Begin({"a", "b"}, false);
    AddCsma(*network, 0, 1, NEAR);
    network->AddDoor(0, 0, 0);
    network->AddDoor(1, 1, 0);
    return network;
}

NetworkPtr
MakePointToPoint()
{
    NetworkPtr network = Begin({"a", "b"}, false);
    const std::array<std::string, 2> addresses{NEAR, FAR};
    uint32_t link = network->AddPointToPoint({0, 1}, addresses, 1500, {});
    network->AddPointToPointDoor(0, link, 0, addresses);
    network->AddPointToPointDoor(1, link, 1, addresses);
    return network;
}

/** A bridge of ns-3's between a wire and a csma channel. */
NetworkPtr
MakeBridge()
{
    NetworkPtr network = Begin({"a", "s", "b"}, false);
    network->AddWire({0, 1}, {NEAR, ""}, 1500, {});
    AddCsma(*network, 1, 2, "");
    network->AddBridge(1);
    network->AddDoor(0, 0, 0);
    network->AddDoor(1, 2, 0);
    return network;
}

/** A host of ns-3's on a wire or a csma channel. */
NetworkPtr
MakeHost(bool csma)
{
    NetworkPtr network = Begin({"a", "h"}, true);
    if (csma)
    {
        AddCsma(*network, 0, 1, NEAR);
    }
    else
    {
        network->AddWire({0, 1}, {NEAR, FAR}, 1500, {});
    }
    network->AddDoor(0, 0, 0);
    network->AddStack(1, {false, true, false, 64}, ADDRESSES);
    return network;
}

/** Two OLSR routers, the first of which takes the guest for another one. */
NetworkPtr
MakeOlsr()
{
    NetworkPtr network = Begin({"a", "r", "s"}, true);
    network->AddWire({0, 1}, {NEAR, FAR}, 1500, {});
    network->AddWire({1, 2}, {"", ""}, 1500, {});
    network->AddDoor(0, 0, 0);
    network->AddStack(1,
                      {true, true, true, 64},
                      ADDRESSES + "\naddress 1 10.0.1.1 24\naddress 1 fd00:0:0:1::1 64\nmtu 1 600");
    network->AddStack(2, {true, false, true, 64}, "address 0 10.0.1.2 24");
    return network;
}

/** Behind a point-to-point link a router, a bridge and a host. */
NetworkPtr
MakeRouted()
{
    NetworkPtr network = Begin({"a", "r", "s", "h"}, true);
    const std::array<std::string, 2> addresses{NEAR, FAR};
    uint32_t link = network->AddPointToPoint({0, 1}, addresses, 1500, {});
    network->AddPointToPointDoor(0, link, 0, addresses);
    network->AddWire({1, 2}, {"", ""}, 1500, {});
    network->AddWire({2, 3}, {"", ""}, 1500, {});
    network->AddBridge(2);
    network->AddStack(1,
                      {true, true, false, 64},
                      ADDRESSES +
                          "\naddress 1 10.0.1.1 24\naddress 1 fd00:0:0:1::1 64\nmtu 1 1400");
    network->AddStack(3,
                      {false, false, false, 64},
                      "address 0 10.0.1.2 24\nroute 0.0.0.0 0 10.0.1.1 0");
    return network;
}

/** Nodes of a Wi-Fi some metres apart. */
NetworkPtr
MakeWifi(std::initializer_list<const char*> macs)
{
    NetworkPtr network = Begin({"a", "b"}, true);
    Wifi wifi(*network,
              {"802.11g", "{0, 0, BAND_2_4GHZ, 0}", "ns3::IdealWifiManager", "fuzz", 1500},
              CreateObject<ConstantSpeedPropagationDelayModel>());
    wifi.AddLoss(CreateObject<LogDistancePropagationLossModel>());
    uint32_t node = 0;
    for (const char* mac : macs)
    {
        auto place = CreateObject<ConstantPositionMobilityModel>();
        place->SetPosition({5.0 * node, 0, 0});
        NodeList::GetNode(node)->AggregateObject(place);
        wifi.AddEnd(node, mac, node == 0 ? NEAR : FAR);
        ++node;
    }
    network->AddDoor(0, 0, 0);
    return network;
}

NetworkPtr
MakeWifiGuests(const char* first, const char* second)
{
    NetworkPtr network = MakeWifi({first, second});
    network->AddDoor(1, 1, 0);
    return network;
}

NetworkPtr
MakeWifiHost()
{
    NetworkPtr network = MakeWifi({"ns3::AdhocWifiMac", "ns3::AdhocWifiMac"});
    network->AddStack(1, {false, true, false, 64}, ADDRESSES);
    return network;
}

} // namespace

std::vector<FuzzNetwork>
GetFuzzNetworks()
{
    using enum FuzzNetwork::Way;
    using enum FuzzNetwork::Kind;
    constexpr const char* AP = "ns3::ApWifiMac";
    constexpr const char* STATION = "ns3::StaWifiMac";
    constexpr const char* AD_HOC = "ns3::AdhocWifiMac";
    return {
        {"wire", SOCKET, PLAIN, true, 0.3, [] { return MakeWire({}); }},
        {"impaired", SOCKET, PLAIN, true, 0.3, [] { return MakeWire(MakeBad()); }},
        {"csma", SOCKET, PLAIN, true, 0.3, MakeCsma},
        {"bridge", SOCKET, PLAIN, true, 0.3, MakeBridge},
        {"p2p", SOCKET, POINT_TO_POINT, true, 0.3, MakePointToPoint},
        {"wire-host", SOCKET, PLAIN, false, 0.7, [] { return MakeHost(false); }},
        {"csma-host", SOCKET, PLAIN, false, 0.7, [] { return MakeHost(true); }},
        {"olsr", SOCKET, PLAIN, false, 0.7, MakeOlsr},
        {"routed", SOCKET, POINT_TO_POINT, false, 0.7, MakeRouted},
        {"ad-hoc", SOCKET, RADIO, true, 0.9, [] { return MakeWifiGuests(AD_HOC, AD_HOC); }},
        {"ad-hoc-host", SOCKET, RADIO, false, 0.9, MakeWifiHost},
        {"station", SOCKET, RADIO, true, 0.9, [] { return MakeWifiGuests(STATION, AP); }},
        {"access-point", SOCKET, RADIO, true, 0.9, [] { return MakeWifiGuests(AP, STATION); }},
        {"tap", TAP, PLAIN, true, 0.3, [] { return MakeWire({}); }},
        {"tap-host", TAP, PLAIN, false, 0.7, [] { return MakeHost(false); }},
    };
}

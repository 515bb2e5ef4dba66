/*
 * SPDX-License-Identifier: GPL-2.0-only
 */

/**
 * @file
 * The C interface of libqemunet-wifi.so, for ctypes: see qemunet/simulation/wifi.py. A library of
 * its own, so that only who has a Wi-Fi, or nodes that move, loads ns-3's libraries for it. Objects
 * go by their numbers, as in qemunet-objects.cc.
 */

#include "objects.h"
#include "wifi.h"

#include "ns3/abort.h"
#include "ns3/constant-velocity-mobility-model.h"
#include "ns3/mobility-model.h"
#include "ns3/node-list.h"
#include "ns3/node.h"
#include "ns3/wifi-net-device.h"

#include <memory>
#include <vector>

using ns3::DynamicCast;
using ns3::Ptr;
using ns3::qemunet::CurrentNetwork;
using ns3::qemunet::GetObjects;
using ns3::qemunet::Wifi;

namespace
{

/** @returns The Wi-Fis of this process. */
std::vector<Wifi>&
GetWifis()
{
    static std::vector<Wifi> wifis;
    return wifis;
}

/**
 * @param number Of an object.
 * @returns The object as a T.
 */
template <typename T>
Ptr<T>
GetAs(uint32_t number)
{
    Ptr<T> object = DynamicCast<T>(GetObjects().Get(number));
    NS_ABORT_MSG_UNLESS(object,
                        GetObjects().Get(number)->GetInstanceTypeId().GetName()
                            << " is no " << T::GetTypeId().GetName());
    return object;
}

/** How long a guest's first frames may wait for its Wi-Fi. A beacon comes every 102 ms. */
const ns3::Time LONGEST_HOLD = ns3::MilliSeconds(250);

/**
 * A station has found its access point.
 *
 * @param port Of its guest.
 */
void
ReleaseStation(ns3::qemunet::DevicePort* port, ns3::Mac48Address /* accessPoint */)
{
    port->Release();
}

/**
 * A station has found this access point.
 *
 * @param port Of its guest.
 * @param missing How many have not found it yet.
 */
void
CountStation(ns3::qemunet::DevicePort* port,
             std::shared_ptr<uint32_t> missing,
             uint16_t /* associationId */,
             ns3::Mac48Address /* station */)
{
    if (*missing > 0 && --*missing == 0)
    {
        port->Release();
    }
}

} // namespace

#define QEMUNET_API extern "C" __attribute__((visibility("default")))

/**
 * Give a node its place and the way it moves.
 *
 * @param model Number of a MobilityModel.
 * @param velocity In m/s, three numbers, or null.
 */
QEMUNET_API void
qemunet_place(uint32_t node, uint32_t model, double x, double y, double z, const double* velocity)
{
    auto mobility = GetAs<ns3::MobilityModel>(model);
    mobility->SetPosition({x, y, z});
    if (velocity != nullptr)
    {
        GetAs<ns3::ConstantVelocityMobilityModel>(model)->SetVelocity(
            {velocity[0], velocity[1], velocity[2]});
    }
    ns3::NodeList::GetNode(node)->AggregateObject(mobility);
    CurrentNetwork().AssignStreams([&](int64_t stream) { return mobility->AssignStreams(stream); });
}

/**
 * @param delay Number of a PropagationDelayModel.
 * @returns Number of the Wi-Fi, from 0.
 */
QEMUNET_API uint32_t
qemunet_add_wifi(const char* standard,
                 const char* channelSettings,
                 const char* manager,
                 const char* ssid,
                 uint16_t mtu,
                 uint32_t delay)
{
    GetWifis().emplace_back(CurrentNetwork(),
                            Wifi::Settings{standard, channelSettings, manager, ssid, mtu},
                            GetAs<ns3::PropagationDelayModel>(delay));
    return static_cast<uint32_t>(GetWifis().size() - 1);
}

/**
 * @param loss Number of a PropagationLossModel.
 */
QEMUNET_API void
qemunet_add_wifi_loss(uint32_t wifi, uint32_t loss)
{
    GetWifis().at(wifi).AddLoss(GetAs<ns3::PropagationLossModel>(loss));
}

QEMUNET_API void
qemunet_add_wifi_end(uint32_t wifi, uint32_t node, const char* mac, const char* address)
{
    GetWifis().at(wifi).AddEnd(node, mac, address);
}

/**
 * Let the frames of a guest wait, for a moment at most, until its station has found the access
 * point, or its access point was found by all stations.
 *
 * @param stations How many the access point has.
 */
QEMUNET_API void
qemunet_hold_wifi_end(uint32_t node, uint32_t index, uint32_t stations)
{
    Ptr<ns3::NetDevice> device = ns3::NodeList::GetNode(node)->GetDevice(index);
    ns3::qemunet::DevicePort& port = CurrentNetwork().GetPort(device);
    Ptr<ns3::WifiMac> mac = DynamicCast<ns3::WifiNetDevice>(device)->GetMac();
    port.Hold(LONGEST_HOLD);
    bool traced =
        mac->TraceConnectWithoutContext("Assoc", ns3::MakeBoundCallback(&ReleaseStation, &port)) ||
        mac->TraceConnectWithoutContext(
            "AssociatedSta",
            ns3::MakeBoundCallback(&CountStation, &port, std::make_shared<uint32_t>(stations)));
    NS_ABORT_MSG_UNLESS(traced, "an ad hoc network has nothing to wait for");
}

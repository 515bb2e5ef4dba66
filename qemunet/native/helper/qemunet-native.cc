/*
 * SPDX-License-Identifier: GPL-2.0-only
 */

/**
 * @file
 * The C interface of libqemunet-native.so, for ctypes: see qemunet/simulation/native.py. One
 * network to a process. Mistakes of the caller end the process with a message, as everywhere in
 * ns-3.
 */

#include "control-server.h"
#include "fifo.h"
#include "network.h"

#include "ns3/abort.h"
#include "ns3/node-list.h"
#include "ns3/node.h"

#include <memory>

using ns3::qemunet::ControlServer;
using ns3::qemunet::DelayPart;
using ns3::qemunet::Impairments;
using ns3::qemunet::LagHistogram;
using ns3::qemunet::LagTimeline;
using ns3::qemunet::Load;
using ns3::qemunet::Network;
using ns3::qemunet::TimingOptions;

namespace
{

std::unique_ptr<Network> g_network; //!< The network of this process.
TimingOptions g_timing;             //!< How its run keeps time.
LagHistogram g_lag;                 //!< How late events of its run ran.
Load g_load;                        //!< What its run cost.

/** @returns The network, which must have been opened. */
Network&
GetNetwork()
{
    NS_ABORT_MSG_UNLESS(g_network, "qemunet_open() comes first");
    return *g_network;
}

} // namespace

Network&
ns3::qemunet::CurrentNetwork()
{
    return GetNetwork();
}

#define QEMUNET_API extern "C" __attribute__((visibility("default")))

QEMUNET_API void
qemunet_open(const char* simulator, uint32_t seed, int checksums)
{
    NS_ABORT_MSG_IF(g_network, "qemunet_open() was called twice");
    g_network = std::make_unique<Network>(simulator, seed, checksums != 0);
}

QEMUNET_API uint32_t
qemunet_add_node(const char* name)
{
    return GetNetwork().AddNode(name);
}

QEMUNET_API uint32_t
qemunet_add_wire(uint32_t nodeA,
                 const char* addressA,
                 uint32_t nodeB,
                 const char* addressB,
                 uint16_t mtu,
                 const Impairments* there,
                 const Impairments* back)
{
    return GetNetwork().AddWire({nodeA, nodeB}, {addressA, addressB}, mtu, {*there, *back});
}

QEMUNET_API uint32_t
qemunet_add_csma(uint16_t mtu, const Impairments* impairments)
{
    return GetNetwork().AddCsma(mtu, *impairments);
}

QEMUNET_API void
qemunet_add_csma_end(uint32_t link, uint32_t node, const char* address)
{
    GetNetwork().AddCsmaEnd(link, node, address);
}

QEMUNET_API uint32_t
qemunet_add_point_to_point(uint32_t nodeA,
                           const char* addressA,
                           uint32_t nodeB,
                           const char* addressB,
                           uint16_t mtu,
                           const Impairments* there,
                           const Impairments* back)
{
    return GetNetwork().AddPointToPoint({nodeA, nodeB}, {addressA, addressB}, mtu, {*there, *back});
}

QEMUNET_API void
qemunet_add_point_to_point_door(
    uint32_t number, uint32_t link, uint32_t end, const char* addressA, const char* addressB)
{
    GetNetwork().AddPointToPointDoor(number, link, end, {addressA, addressB});
}

QEMUNET_API uint32_t
qemunet_add_foreign(uint16_t mtu)
{
    return GetNetwork().AddForeign(mtu);
}

QEMUNET_API uint32_t
qemunet_add_bridge(uint32_t node)
{
    return GetNetwork().AddBridge(node);
}

QEMUNET_API void
qemunet_add_stack(
    uint32_t node, int forwards, int ipv6, int olsr, uint32_t hopLimit, const char* configuration)
{
    GetNetwork().AddStack(node, {forwards != 0, ipv6 != 0, olsr != 0, hopLimit}, configuration);
}

QEMUNET_API void
qemunet_add_door(uint32_t number, uint32_t node, uint32_t device)
{
    GetNetwork().AddDoor(number, node, device);
}

QEMUNET_API void
qemunet_add_tap(uint32_t node, uint32_t device, const char* tap)
{
    GetNetwork().AddTap(node, device, tap);
}

/** @returns Number of the distribution, from 1. */
QEMUNET_API uint32_t
qemunet_add_delay(const DelayPart* parts, uint32_t count)
{
    return GetNetwork().AddDelay({parts, count});
}

/** Record the frames of a device in a file; files are numbered from 0. Door -1 is none. */
QEMUNET_API void
qemunet_add_pcap(uint32_t node, uint32_t device, int64_t door, const char* path)
{
    GetNetwork().AddPcap(node, device, door, path);
}

/** Write out what waits to be recorded. */
QEMUNET_API void
qemunet_close_pcap()
{
    GetNetwork().GetPcapWriter().Close();
}

/** @returns Frames in a file. */
QEMUNET_API uint64_t
qemunet_pcap_frames(uint32_t file)
{
    return GetNetwork().GetPcapWriter().GetCounts(file).frames;
}

/** @returns Frames that are missing in a file. */
QEMUNET_API uint64_t
qemunet_pcap_dropped(uint32_t file)
{
    return GetNetwork().GetPcapWriter().GetCounts(file).dropped;
}

/** @returns Number of devices of a node; the next one gets this index. */
QEMUNET_API uint32_t
qemunet_device_count(uint32_t node)
{
    return ns3::NodeList::GetNode(node)->GetNDevices();
}

/**
 * @param priority Of SCHED_FIFO, for the calling thread.
 * @returns 0, or why not, as an errno.
 */
QEMUNET_API int
qemunet_use_fifo(int priority)
{
    return ns3::qemunet::UseFifo(priority);
}

/** @returns 1 if the thread lost SCHED_FIFO because it did not sleep for too long. */
QEMUNET_API int
qemunet_was_demoted()
{
    return ns3::qemunet::WasDemoted() ? 1 : 0;
}

/**
 * Say how the run keeps time.
 *
 * @param deadlineNs Events later than this are counted.
 * @param hardLimitNs The controller is told of the first event later than this; 0 is no limit.
 * @param busyPoll Not 0 if the loop is never to sleep.
 */
QEMUNET_API void
qemunet_set_timing(uint64_t deadlineNs, uint64_t hardLimitNs, int busyPoll)
{
    g_timing = {deadlineNs, hardLimitNs == 0 ? UINT64_MAX : hardLimitNs, busyPoll != 0};
}

/** @returns The id of the request to stop, or -1 if the controller is gone. */
QEMUNET_API int64_t
qemunet_run(int controlFd)
{
    ControlServer server(GetNetwork(), controlFd, g_timing);
    auto id = server.Run();
    g_lag = server.GetLag();
    g_load = server.GetLoad();
    return id ? static_cast<int64_t>(*id) : -1;
}

/** @returns After qemunet_run(): the length of the intervals of qemunet_lag() in ns. */
QEMUNET_API uint64_t
qemunet_lag_interval_ns()
{
    return g_lag.GetTimeline().GetIntervalNs();
}

/**
 * @param intervals After qemunet_run(): set to events, 99 % quantile and maximum of the lag (in ns)
 * of each interval from time 0; room for LagTimeline::INTERVALS.
 * @returns Number of intervals.
 */
QEMUNET_API uint32_t
qemunet_lag(uint64_t (*intervals)[3])
{
    uint32_t count = 0;
    for (const LagTimeline::Interval& each : g_lag.GetTimeline().GetIntervals())
    {
        intervals[count][0] = each.events;
        intervals[count][1] = each.p99Ns;
        intervals[count][2] = each.maxNs;
        ++count;
    }
    return count;
}

/** @returns After qemunet_run(): events later than the deadline. */
QEMUNET_API uint64_t
qemunet_missed()
{
    return g_lag.GetMissed();
}

/** @returns After qemunet_run(): what the simulation cost. */
QEMUNET_API const Load*
qemunet_load()
{
    return &g_load;
}

QEMUNET_API void
qemunet_close()
{
    g_network.reset();
}

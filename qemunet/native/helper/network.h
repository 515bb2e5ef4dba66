/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_NETWORK_H
#define QEMUNET_NETWORK_H

#include "../model/csma-watch.h"
#include "../model/device-port.h"
#include "../model/frame-door.h"
#include "../model/link-watch.h"
#include "../model/pcap-writer.h"
#include "../model/point-to-point-port.h"
#include "../model/point-to-point-watch.h"
#include "../model/wire-channel.h"
#include "node-stack.h"

#include "ns3/csma-channel.h"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ns3::qemunet
{

/** Builds the simulated network of a Run piece by piece, in the order of the plan, and holds it. */
class Network
{
  public:
    /** A link: a wire, a csma channel, a point-to-point channel, or one that somebody else made. */
    struct Link
    {
        Ptr<WireChannel> wire;             //!< Set for a wire.
        Ptr<CsmaChannel> csma;             //!< Set for csma.
        uint32_t mtu{1500};                //!< In bytes.
        std::unique_ptr<CsmaWatch> watch;  //!< csma: its counters.
        Impairments shared;                //!< csma: present values.
        std::unique_ptr<LinkWatch> medium; //!< Its counters, where another library of ours made it.
        std::unique_ptr<PointToPointWatch> pointToPoint;   //!< p2p: its counters.
        std::array<Ptr<PointToPointNetDevice>, 2> devices; //!< p2p: its ends.
    };

    /**
     * Choose the simulator: before anything else of ns-3 is used.
     *
     * @param simulator "qemunet" or "ns3".
     * @param seed Of all random streams, not 0.
     * @param checksums True if ns-3's own stacks talk to guests.
     */
    Network(const std::string& simulator, uint32_t seed, bool checksums);
    ~Network();
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    /** @returns True if the simulator is ours. */
    bool IsOurs() const;

    /**
     * @param name Of the node, for ns-3's Names.
     * @returns Its id.
     */
    uint32_t AddNode(const std::string& name);

    /**
     * @param nodes The two ends' nodes.
     * @param addresses MAC addresses of the two devices; empty gives one of ns-3's own.
     * @param mtu In bytes.
     * @param impairments First to second end, and back.
     * @returns Number of the link.
     */
    uint32_t AddWire(const std::array<uint32_t, 2>& nodes,
                     const std::array<std::string, 2>& addresses,
                     uint16_t mtu,
                     const std::array<Impairments, 2>& impairments);

    /**
     * @param mtu In bytes.
     * @param impairments Rate, delay and loss count.
     * @returns Number of the link.
     */
    uint32_t AddCsma(uint16_t mtu, const Impairments& impairments);

    /**
     * @param link Number of a csma link.
     * @param node Its new end's node.
     * @param address As for AddWire().
     */
    void AddCsmaEnd(uint32_t link, uint32_t node, const std::string& address);

    /**
     * Add a link of a kind that another library builds.
     *
     * @param watch Counts what passes.
     * @returns Number of the link.
     */
    uint32_t AddMedium(std::unique_ptr<LinkWatch> watch);

    /**
     * Give random streams to something.
     *
     * @param assign Takes the first stream and returns how many it used.
     */
    void AssignStreams(const std::function<int64_t(int64_t)>& assign);

    /**
     * @param nodes The two ends' nodes.
     * @param addresses As for AddWire().
     * @param mtu In bytes.
     * @param impairments First to second end, and back: rate, loss and queue count, and the delay
     *     of the first.
     * @returns Number of the link.
     */
    uint32_t AddPointToPoint(const std::array<uint32_t, 2>& nodes,
                             const std::array<std::string, 2>& addresses,
                             uint16_t mtu,
                             const std::array<Impairments, 2>& impairments);

    /**
     * Keep a number for a link of a kind that is built elsewhere.
     *
     * @param mtu In bytes.
     * @returns Number of the link.
     */
    uint32_t AddForeign(uint16_t mtu);

    /**
     * Join all devices of a node by an ns-3 bridge.
     *
     * @param node The node.
     * @returns Index of the bridge's device on the node.
     */
    uint32_t AddBridge(uint32_t node);

    /**
     * Give a node an Internet stack, once it has its devices.
     *
     * @param node The node.
     * @param options What it is.
     * @param configuration As qemunet::AddStack() takes it.
     */
    void AddStack(uint32_t node, const StackOptions& options, const std::string& configuration);

    /**
     * Join a guest's door to a point-to-point device, which has to be shown an Ethernet.
     *
     * @param number Of the door.
     * @param link Number of a p2p link.
     * @param end 0 or 1.
     * @param addresses MAC addresses that the ends have in the guest's eyes: first, second.
     */
    void AddPointToPointDoor(uint32_t number,
                             uint32_t link,
                             uint32_t end,
                             const std::array<std::string, 2>& addresses);

    /**
     * Join a guest's door to a device.
     *
     * @param number Of the door.
     * @param node The ghost node.
     * @param index Of the device on the node.
     */
    void AddDoor(uint32_t number, uint32_t node, uint32_t index);

    /**
     * Join a tap to a device by ns-3's TapBridge: UseBridge where the device can send in another's
     * name, else UseLocal, and the device has the guest's address.
     *
     * @param node The ghost node.
     * @param index Of the device on the node.
     * @param tap Name of a tap that exists.
     */
    void AddTap(uint32_t node, uint32_t index, const std::string& tap);

    /**
     * @param device A device with a native door, no wire's.
     * @returns What is between the two.
     */
    DevicePort& GetPort(Ptr<NetDevice> device);

    /**
     * @param parts Of a distribution, valid.
     * @returns Its number for Impairments::delay.
     */
    uint32_t AddDelay(std::span<const DelayPart> parts);

    /**
     * @param impairments Of a wire.
     * @returns True if they make sense.
     */
    bool Knows(const Impairments& impairments) const;

    /**
     * @param link Number of a wire.
     * @param direction 0 or 1.
     * @param impairments What Knows() returned true for.
     */
    void SetWire(uint32_t link, uint32_t direction, const Impairments& impairments);

    /**
     * @param link Number of a csma link.
     * @param impairments New delay and loss. The rate is that of before: ns-3 takes it once.
     */
    void SetCsma(uint32_t link, const Impairments& impairments);

    /**
     * @param link Number of a link of ours.
     * @param up True if frames pass.
     */
    void SetUp(uint32_t link, bool up);

    /**
     * Record the frames of an interface; after its door was added.
     *
     * @param node The node.
     * @param index Of its device on the node.
     * @param door Number of its native door, or -1.
     * @param path Of the file.
     */
    void AddPcap(uint32_t node, uint32_t index, int64_t door, const std::string& path);

    /** @returns Writes pcap files; each has the number of its AddPcap(). */
    PcapWriter& GetPcapWriter();

    /** Time 0 comes: let frames pass, and count. */
    void Open();

    /** @returns The doors by number. */
    const std::map<uint32_t, std::unique_ptr<FrameDoor>>& GetDoors() const;

    /** @returns The links by number. */
    const std::vector<Link>& GetLinks() const;

  private:
    FrameDoor& OpenDoor(uint32_t number, Ptr<NetDevice> device, FrameSink* inward);
    template <typename T>
    void SetLoss(T& device, double share);

    bool m_ours;                                            //!< The simulator is ours.
    PcapWriter m_pcap;                                      //!< Writes what is recorded.
    int64_t m_stream{0};                                    //!< Next random stream.
    std::vector<Link> m_links;                              //!< By number.
    std::map<uint32_t, std::unique_ptr<FrameDoor>> m_doors; //!< By number.
    std::vector<std::unique_ptr<DevicePort>>
        m_ports; //!< Between doors and devices other than wires.
    std::vector<std::unique_ptr<PointToPointPort>>
        m_pointToPointPorts;                 //!< Between doors and point-to-point devices.
    std::vector<Ptr<CsmaNetDevice>> m_gated; //!< Devices of TapBridges, shut before time 0.
    std::vector<std::shared_ptr<const DelayDistribution>> m_delays; //!< By number, from 1.
    std::vector<std::unique_ptr<FrameCapture>>
        m_captures; //!< Of devices that have none of their own.
};

/** @returns The network of this process, which must have been opened. */
Network& CurrentNetwork();

} // namespace ns3::qemunet

#endif /* QEMUNET_NETWORK_H */

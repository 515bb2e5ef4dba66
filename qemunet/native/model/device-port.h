/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_DEVICE_PORT_H
#define QEMUNET_DEVICE_PORT_H

#include "frame.h"

#include "ns3/mac48-address.h"
#include "ns3/net-device.h"
#include "ns3/node.h"
#include "ns3/nstime.h"
#include "ns3/ptr.h"

#include <set>
#include <vector>

namespace ns3::qemunet
{

/**
 * Joins raw frames to any NetDevice with addresses as Ethernet has.
 *
 * Frames keep the guest's addresses and EtherType; for those with a length in its place see
 * length-field.h. A device that cannot send in another's name (Wi-Fi, unless it is an access point)
 * would send every frame in its own, so it carries only those of the guest that has its address,
 * and brings only those to that guest or to a group.
 *
 * A Wi-Fi device has a queue for each group of stations and, where there is no access point
 * between, a state of each station that it was to send to; it keeps them for good, and looks at all
 * queues for each frame. So it carries only frames to stations that are there, to some others, and
 * to some hundred groups.
 */
class DevicePort : public FrameSink
{
  public:
    /** Stations that are not there, to which frames are sent all the same. */
    static constexpr size_t MOST_STRANGERS = 32;
    /** Groups to which a Wi-Fi device sends; each neighbour with IPv6 makes one. */
    static constexpr size_t MOST_GROUPS = 512;

    /**
     * @param device The device.
     */
    explicit DevicePort(Ptr<NetDevice> device);
    DevicePort(const DevicePort&) = delete;
    DevicePort& operator=(const DevicePort&) = delete;

    /** @returns The device. */
    Ptr<NetDevice> GetDevice() const;

    /**
     * Keep frames until Release(), as long as they are few: they are a guest's first words, such as
     * an ARP request that it would repeat after a second only.
     *
     * @param atMost After which time, from now, they are released in any case.
     */
    void Hold(Time atMost);

    /** Send what was held, and hold nothing more. */
    void Release();

    /**
     * @param receiver Gets every frame that the device hears.
     */
    void SetFrameReceiver(FrameSink* receiver);

    /** Sends a frame through the device. */
    void PutFrame(FramePtr frame) override;

    bool Carries(const Frame& frame) const override;

  private:
    void Receive(Ptr<NetDevice> device,
                 Ptr<const Packet> packet,
                 uint16_t protocol,
                 const Address& source,
                 const Address& destination,
                 NetDevice::PacketType type);

    void SendHeld();
    bool MaySendTo(Mac48Address destination) const;

    Ptr<NetDevice> m_device;        //!< The device.
    bool m_anyName;                 //!< It can send in another's name.
    bool m_wifi;                    //!< It has a queue for each group.
    bool m_direct;                  //!< It has one for each station, not for an access point only.
    bool m_waiting{false};          //!< Until Release().
    std::vector<FramePtr> m_held;   //!< Frames that wait for it.
    FrameSink* m_receiver{nullptr}; //!< The door.
    /** Wi-Fi: stations that are not there, to which frames were sent. */
    mutable std::set<Mac48Address> m_strangers;
    mutable std::set<Mac48Address> m_groups; //!< Wi-Fi: groups to which frames were sent.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_DEVICE_PORT_H */

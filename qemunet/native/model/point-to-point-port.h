/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_POINT_TO_POINT_PORT_H
#define QEMUNET_POINT_TO_POINT_PORT_H

#include "frame.h"
#include "point-to-point-watch.h"

#include "ns3/mac48-address.h"
#include "ns3/node.h"
#include "ns3/point-to-point-net-device.h"
#include "ns3/ptr.h"

namespace ns3::qemunet
{

/**
 * Joins a guest's Ethernet interface to a point-to-point device, which carries IPv4 and IPv6
 * packets and knows no addresses.
 *
 * The guest has to believe in an Ethernet. So the port answers its ARP requests and neighbour
 * solicitations in the name of whoever is at the far end, except where the guest only looks whether
 * an address of its own is taken, and it writes headers before what arrives. Frames that carry
 * neither IP nor a question are dropped and counted.
 */
class PointToPointPort : public FrameSink
{
  public:
    /**
     * @param device The device.
     * @param guest Address of the guest's interface.
     * @param far Address that the far end has for the guest.
     * @param watch Counts what is dropped.
     * @param end Of the channel, 0 or 1.
     */
    PointToPointPort(Ptr<PointToPointNetDevice> device,
                     Mac48Address guest,
                     Mac48Address far,
                     PointToPointWatch& watch,
                     uint32_t end);
    PointToPointPort(const PointToPointPort&) = delete;
    PointToPointPort& operator=(const PointToPointPort&) = delete;

    /**
     * @param receiver Gets every frame for the guest.
     */
    void SetFrameReceiver(FrameSink* receiver);

    /** Takes a frame from the guest. */
    void PutFrame(FramePtr frame) override;

  private:
    /** @returns False if it is no question: an answer that nobody asked for. */
    bool AnswerArp(const Frame& request);
    /** @returns As AnswerArp(). */
    bool AnswerSolicitation(const Frame& frame);
    FramePtr MakeFrame(Mac48Address destination, uint16_t type) const;
    void Receive(Ptr<NetDevice> device,
                 Ptr<const Packet> packet,
                 uint16_t protocol,
                 const Address& source,
                 const Address& destination,
                 NetDevice::PacketType type);

    Ptr<PointToPointNetDevice> m_device; //!< The device.
    Mac48Address m_guest;                //!< Of the guest's interface, as it last said.
    Mac48Address m_far;                  //!< Of the far end.
    PointToPointWatch& m_watch;          //!< Counts.
    uint32_t m_end;                      //!< Of the channel.
    FrameSink* m_receiver{nullptr};      //!< The door.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_POINT_TO_POINT_PORT_H */

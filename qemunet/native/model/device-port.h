/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_DEVICE_PORT_H
#define QEMUNET_DEVICE_PORT_H

#include "frame.h"

#include "ns3/net-device.h"
#include "ns3/node.h"
#include "ns3/ptr.h"

namespace ns3::qemunet
{

/**
 * Joins raw frames to any NetDevice that can send in another's name.
 *
 * Frames keep the guest's addresses and EtherType; for those with a length in its place see
 * length-field.h.
 */
class DevicePort : public FrameSink
{
  public:
    /**
     * @param device A device whose SupportsSendFrom() is true.
     */
    explicit DevicePort(Ptr<NetDevice> device);
    DevicePort(const DevicePort&) = delete;
    DevicePort& operator=(const DevicePort&) = delete;

    /**
     * @param receiver Gets every frame that the device hears, whoever it is for.
     */
    void SetFrameReceiver(FrameSink* receiver);

    /** Sends a frame through the device. */
    void PutFrame(FramePtr frame) override;

  private:
    void Receive(Ptr<NetDevice> device,
                 Ptr<const Packet> packet,
                 uint16_t protocol,
                 const Address& source,
                 const Address& destination,
                 NetDevice::PacketType type);

    Ptr<NetDevice> m_device;        //!< The device.
    FrameSink* m_receiver{nullptr}; //!< The door.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_DEVICE_PORT_H */

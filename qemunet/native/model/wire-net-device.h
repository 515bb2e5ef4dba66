/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_WIRE_NET_DEVICE_H
#define QEMUNET_WIRE_NET_DEVICE_H

#include "frame-capture.h"
#include "frame.h"

#include "ns3/mac48-address.h"
#include "ns3/net-device.h"
#include "ns3/traced-callback.h"

namespace ns3::qemunet
{

class WireChannel;

/**
 * One end of a WireChannel: an Ethernet interface that carries any EtherType and sends in any name.
 *
 * It has two faces. With a frame receiver (a door) raw frames go in by PutFrame() and come out
 * there; no ns-3 packet is made. Without, it is an ns-3 device like any other: packets become
 * frames when they are sent and packets again when they arrive. Packet tags do not cross a wire.
 */
class WireNetDevice
    : public NetDevice
    , public FrameSink
{
  public:
    /** @returns The TypeId. */
    static TypeId GetTypeId();

    /**
     * @param channel The wire; its next free end is taken.
     */
    void Attach(Ptr<WireChannel> channel);

    /**
     * @param receiver Gets every frame that arrives, instead of the ns-3 stack.
     */
    void SetFrameReceiver(FrameSink* receiver);

    /** @returns True if raw frames are wanted. */
    bool HasFrameReceiver() const;

    /** Tell who listens that the link went up or down. */
    void NotifyLinkChange();

    /** @returns Records what passes. */
    FrameCapture& GetCapture();

    /**
     * A frame arrives from the wire.
     *
     * @param frame The frame.
     */
    void Receive(FramePtr frame);

    /** Sends a raw frame. */
    void PutFrame(FramePtr frame) override;

    // Inherited from NetDevice
    void SetIfIndex(const uint32_t index) override;
    uint32_t GetIfIndex() const override;
    Ptr<Channel> GetChannel() const override;
    void SetAddress(Address address) override;
    Address GetAddress() const override;
    bool SetMtu(const uint16_t mtu) override;
    uint16_t GetMtu() const override;
    bool IsLinkUp() const override;
    void AddLinkChangeCallback(Callback<void> callback) override;
    bool IsBroadcast() const override;
    Address GetBroadcast() const override;
    bool IsMulticast() const override;
    Address GetMulticast(Ipv4Address multicastGroup) const override;
    Address GetMulticast(Ipv6Address addr) const override;
    bool IsBridge() const override;
    bool IsPointToPoint() const override;
    bool Send(Ptr<Packet> packet, const Address& dest, uint16_t protocolNumber) override;
    bool SendFrom(Ptr<Packet> packet,
                  const Address& source,
                  const Address& dest,
                  uint16_t protocolNumber) override;
    Ptr<Node> GetNode() const override;
    void SetNode(Ptr<Node> node) override;
    bool NeedsArp() const override;
    void SetReceiveCallback(ReceiveCallback cb) override;
    void SetPromiscReceiveCallback(PromiscReceiveCallback cb) override;
    bool SupportsSendFrom() const override;

  protected:
    void DoDispose() override;

  private:
    PacketType Classify(Mac48Address destination) const;

    Ptr<WireChannel> m_channel;              //!< The wire.
    uint32_t m_end{0};                       //!< Which end this is.
    FrameSink* m_frameReceiver{nullptr};     //!< The door, if there is one.
    Ptr<Node> m_node;                        //!< The node.
    uint32_t m_ifIndex{0};                   //!< Index on the node.
    uint32_t m_mtu{1500};                    //!< In bytes.
    Mac48Address m_address;                  //!< Of this device.
    ReceiveCallback m_receive;               //!< For frames to this device.
    PromiscReceiveCallback m_promiscReceive; //!< For all frames.
    TracedCallback<> m_linkChange;           //!< The link went up or down.
    FrameCapture m_capture;                  //!< Records what passes.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_WIRE_NET_DEVICE_H */

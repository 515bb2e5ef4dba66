/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_FRAME_CAPTURE_H
#define QEMUNET_FRAME_CAPTURE_H

#include "frame.h"
#include "pcap-writer.h"

#include "ns3/packet.h"

namespace ns3::qemunet
{

/** Records the frames of one interface, if it was told to. */
class FrameCapture
{
  public:
    /**
     * Record from now on.
     *
     * @param writer Writes the file; outlives this.
     * @param file Its number.
     */
    void Start(PcapWriter& writer, uint32_t file);

    /**
     * Record a frame that passes now.
     *
     * @param frame The frame.
     */
    void Record(const Frame& frame)
    {
        if (m_writer != nullptr)
        {
            Write(frame);
        }
    }

    /**
     * Record a packet of ns-3 that passes now.
     *
     * @param packet With its link's header.
     */
    void RecordPacket(Ptr<const Packet> packet);

    /**
     * Record an Ethernet packet of ns-3 that passes now.
     *
     * @param packet With its header, and a frame check sequence, which is left out.
     */
    void RecordEthernetPacket(Ptr<const Packet> packet);

  private:
    void Write(const Frame& frame);
    void WritePacket(Ptr<const Packet> packet, uint32_t bytes);

    PcapWriter* m_writer{nullptr}; //!< Whom to tell.
    uint32_t m_file{0};            //!< Number of the file.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_FRAME_CAPTURE_H */

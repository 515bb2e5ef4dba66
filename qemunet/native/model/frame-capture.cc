/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "frame-capture.h"

#include "ns3/nstime.h"
#include "ns3/simulator.h"

namespace ns3::qemunet
{

void
FrameCapture::Start(PcapWriter& writer, uint32_t file)
{
    m_writer = &writer;
    m_file = file;
}

void
FrameCapture::RecordPacket(Ptr<const Packet> packet)
{
    WritePacket(packet, packet->GetSize());
}

void
FrameCapture::RecordEthernetPacket(Ptr<const Packet> packet)
{
    WritePacket(packet, packet->GetSize() - ETHERNET_FCS_BYTES);
}

void
FrameCapture::WritePacket(Ptr<const Packet> packet, uint32_t bytes)
{
    if (bytes <= FramePool::Get().GetCapacity())
    {
        FramePtr frame = FramePool::Get().Allocate();
        frame->size = packet->CopyData(frame->data, bytes);
        Record(*frame);
    }
}

void
FrameCapture::Write(const Frame& frame)
{
    auto now = static_cast<uint64_t>(Simulator::Now().GetNanoSeconds());
    m_writer->Write(m_file, now, frame.data, frame.size);
}

} // namespace ns3::qemunet

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_LENGTH_STREAM_H
#define QEMUNET_LENGTH_STREAM_H

#include "frame-stream.h"

#include <cstdint>
#include <vector>

namespace ns3::qemunet
{

/**
 * A Unix stream socket on which each frame stands behind its length, four bytes in network order:
 * QEMU's netdev "stream".
 *
 * QEMU reads one datagram a turn of its loop, but all that a stream holds; many frames to a call on
 * either side are what it is for. A length that no frame can have costs the bytes that it speaks
 * of, never memory.
 */
class LengthStream : public FrameStream
{
  public:
    /**
     * @param fd The socket.
     */
    explicit LengthStream(UniqueFd fd);

    int Read(FrameBatch& batch) override;
    bool HasMore() const override;
    int Write(const std::deque<FramePtr>& queue, unsigned wanted) override;

  private:
    int Receive();
    unsigned Parse(FrameBatch& batch);
    size_t GetBytes() const;
    uint32_t GetLength() const;
    bool IsFrameWhole() const;

    std::vector<uint8_t> m_buffer; //!< What was read.
    size_t m_begin{0};             //!< Of what is not parsed yet, in the buffer.
    size_t m_end{0};               //!< Its end.
    size_t m_skip{0};              //!< Bytes of a giant frame that are still to come.
    size_t m_sent{0};              //!< Bytes of the first frame, length included, that are sent.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_LENGTH_STREAM_H */

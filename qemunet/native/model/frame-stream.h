/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_FRAME_STREAM_H
#define QEMUNET_FRAME_STREAM_H

#include "frame.h"
#include "unique-fd.h"

#include <array>
#include <cstdint>
#include <deque>
#include <memory>

namespace ns3::qemunet
{

/** Frames to a call, and the most that one door reads in a turn. */
constexpr unsigned FRAME_BATCH = 64;

/** Frames that were read, shared by all doors: they are used by one thread, one door at a time. */
struct FrameBatch
{
    std::array<FramePtr, FRAME_BATCH> frames; //!< Frames; all are there before a read.
    std::array<uint32_t, FRAME_BATCH> bytes;  //!< Lengths; of one cut to the frame more than that.
    uint32_t capacity{0};                     //!< Of the frames.
};

/** A descriptor that carries whole frames, either way, and never blocks. */
class FrameStream
{
  public:
    /**
     * @param fd A datagram socket with a peer, a stream socket with one on which lengths stand
     * before frames, or a tap without any header before its frames.
     * @returns The stream, or nullptr if the descriptor is something else.
     */
    static std::unique_ptr<FrameStream> Open(UniqueFd fd);

    virtual ~FrameStream() = default;

    /** @returns The descriptor, for a loop to watch. */
    int GetFd() const;

    /**
     * @param batch Filled from its start.
     * @returns Number of frames read, or -1 and errno.
     */
    virtual int Read(FrameBatch& batch) = 0;

    /** @returns True if there are frames that it has, so that the descriptor does not tell of them.
     */
    virtual bool HasMore() const
    {
        return false;
    }

    /**
     * @param queue Frames to send.
     * @param wanted At most so many of its first ones, and at most FRAME_BATCH.
     * @returns Number of frames sent whole, or -1 and errno for the first. ENETDOWN: it was taken,
     * but the guest does not listen. The first that is not sent has to be the first next time.
     */
    virtual int Write(const std::deque<FramePtr>& queue, unsigned wanted) = 0;

  protected:
    explicit FrameStream(UniqueFd fd);

  private:
    UniqueFd m_fd; //!< The descriptor.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_FRAME_STREAM_H */

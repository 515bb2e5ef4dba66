/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "frame-stream.h"

#include "length-stream.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

namespace ns3::qemunet
{

namespace
{

/** What our end of a socket may hold for the guest, in bytes; the kernel allows what
 * net.core.wmem_max says. */
constexpr int SEND_BUFFER_BYTES = 1 << 20;

/** A Unix datagram socket, one frame to a datagram: a program in place of a guest. */
class SocketStream : public FrameStream
{
  public:
    explicit SocketStream(UniqueFd fd)
        : FrameStream(std::move(fd))
    {
    }

    int Read(FrameBatch& batch) override
    {
        std::array<iovec, FRAME_BATCH> vectors;
        std::array<mmsghdr, FRAME_BATCH> messages;
        uint32_t capacity = FramePool::Get().GetCapacity();
        for (unsigned index = 0; index < FRAME_BATCH; ++index)
        {
            vectors[index] = {batch.frames[index]->data, capacity};
            messages[index] = {};
            messages[index].msg_hdr.msg_iov = &vectors[index];
            messages[index].msg_hdr.msg_iovlen = 1;
        }
        // MSG_TRUNC: the length is that of the datagram, also of one too long for the frame.
        int count =
            ::recvmmsg(GetFd(), messages.data(), FRAME_BATCH, MSG_DONTWAIT | MSG_TRUNC, nullptr);
        for (int index = 0; index < count; ++index)
        {
            batch.bytes[index] = messages[index].msg_len;
        }
        return count;
    }

    int Write(const std::deque<FramePtr>& queue, unsigned wanted) override
    {
        std::array<iovec, FRAME_BATCH> vectors;
        std::array<mmsghdr, FRAME_BATCH> messages;
        for (unsigned index = 0; index < wanted; ++index)
        {
            vectors[index] = {queue[index]->data, queue[index]->size};
            messages[index] = {};
            messages[index].msg_hdr.msg_iov = &vectors[index];
            messages[index].msg_hdr.msg_iovlen = 1;
        }
        return ::sendmmsg(GetFd(), messages.data(), wanted, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
};

/** A tap, one frame to a read or write: a container's interface. */
class TapStream : public FrameStream
{
  public:
    explicit TapStream(UniqueFd fd)
        : FrameStream(std::move(fd))
    {
    }

    int Read(FrameBatch& batch) override
    {
        uint32_t room = FramePool::Get().GetCapacity() + FRAME_SPARE_BYTES;
        for (unsigned index = 0; index < FRAME_BATCH; ++index)
        {
            ssize_t bytes = ::read(GetFd(), batch.frames[index]->data, room);
            if (bytes < 0)
            {
                return index == 0 ? -1 : static_cast<int>(index);
            }
            batch.bytes[index] = static_cast<uint32_t>(bytes);
        }
        return FRAME_BATCH;
    }

    int Write(const std::deque<FramePtr>& queue, unsigned wanted) override
    {
        for (unsigned index = 0; index < wanted; ++index)
        {
            if (::write(GetFd(), queue[index]->data, queue[index]->size) < 0)
            {
                if (index > 0)
                {
                    return static_cast<int>(index);
                }
                // The interface is not up.
                errno = errno == EIO ? ENETDOWN : errno;
                return -1;
            }
        }
        return static_cast<int>(wanted);
    }
};

/** @returns True if frames come from this descriptor as they are on a wire, and reads do not block.
 */
bool
IsPlainTap(int fd)
{
    ifreq request{};
    int flags = ::fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK) != 0 && ::ioctl(fd, TUNGETIFF, &request) == 0 &&
           (request.ifr_flags & IFF_TAP) != 0 && (request.ifr_flags & IFF_NO_PI) != 0 &&
           (request.ifr_flags & IFF_VNET_HDR) == 0;
}

} // namespace

FrameStream::FrameStream(UniqueFd fd)
    : m_fd(std::move(fd))
{
}

int
FrameStream::GetFd() const
{
    return m_fd.Get();
}

std::unique_ptr<FrameStream>
FrameStream::Open(UniqueFd fd)
{
    int type = 0;
    socklen_t length = sizeof(type);
    if (::getsockopt(fd.Get(), SOL_SOCKET, SO_TYPE, &type, &length) == 0)
    {
        ::setsockopt(fd.Get(),
                     SOL_SOCKET,
                     SO_SNDBUF,
                     &SEND_BUFFER_BYTES,
                     sizeof(SEND_BUFFER_BYTES));
        if (type == SOCK_STREAM)
        {
            return std::make_unique<LengthStream>(std::move(fd));
        }
        return type == SOCK_DGRAM ? std::make_unique<SocketStream>(std::move(fd)) : nullptr;
    }
    return IsPlainTap(fd.Get()) ? std::make_unique<TapStream>(std::move(fd)) : nullptr;
}

} // namespace ns3::qemunet

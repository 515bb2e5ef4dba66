/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "length-stream.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utility>

namespace ns3::qemunet
{

namespace
{

/** Before each frame. */
constexpr size_t LENGTH_BYTES = sizeof(uint32_t);
/** Room for the largest frame of any link and its length, and for what was read behind it. */
constexpr size_t BUFFER_BYTES = 1 << 17;
/** Most that is read in a turn: as much as a batch of usual frames. */
constexpr size_t READ_BYTES = 1 << 16;

} // namespace

LengthStream::LengthStream(UniqueFd fd)
    : FrameStream(std::move(fd)),
      m_buffer(BUFFER_BYTES)
{
}

size_t
LengthStream::GetBytes() const
{
    return m_end - m_begin;
}

uint32_t
LengthStream::GetLength() const
{
    uint32_t length;
    std::memcpy(&length, &m_buffer[m_begin], sizeof(length));
    return ntohl(length);
}

bool
LengthStream::IsFrameWhole() const
{
    if (m_skip > 0 || GetBytes() < LENGTH_BYTES)
    {
        return false;
    }
    size_t wanted = LENGTH_BYTES + GetLength();
    return wanted > BUFFER_BYTES || wanted <= GetBytes();
}

bool
LengthStream::HasMore() const
{
    return IsFrameWhole();
}

int
LengthStream::Receive()
{
    // What is left over is a part of one frame, so there is room.
    std::memmove(m_buffer.data(), &m_buffer[m_begin], GetBytes());
    m_end = GetBytes();
    m_begin = 0;
    ssize_t bytes =
        ::recv(GetFd(), &m_buffer[m_end], std::min(READ_BYTES, BUFFER_BYTES - m_end), MSG_DONTWAIT);
    if (bytes <= 0)
    {
        // The end of a stream: nobody writes any more.
        errno = bytes == 0 ? EPIPE : errno;
        return -1;
    }
    m_end += static_cast<size_t>(bytes);
    size_t skipped = std::min(m_skip, GetBytes());
    m_skip -= skipped;
    m_begin += skipped;
    return 0;
}

unsigned
LengthStream::Parse(FrameBatch& batch)
{
    uint32_t capacity = FramePool::Get().GetCapacity();
    unsigned count = 0;
    while (count < FRAME_BATCH && IsFrameWhole())
    {
        uint32_t length = GetLength();
        size_t here = std::min<size_t>(length, GetBytes() - LENGTH_BYTES);
        m_begin += LENGTH_BYTES;
        std::memcpy(batch.frames[count]->data,
                    m_buffer.data() + m_begin,
                    std::min<size_t>(here, capacity));
        batch.bytes[count] = length;
        m_begin += here;
        m_skip = length - here;
        ++count;
    }
    return count;
}

int
LengthStream::Read(FrameBatch& batch)
{
    unsigned count = Parse(batch);
    if (count == 0 && Receive() < 0)
    {
        return -1;
    }
    return static_cast<int>(count > 0 ? count : Parse(batch));
}

int
LengthStream::Write(const std::deque<FramePtr>& queue, unsigned wanted)
{
    std::array<uint32_t, FRAME_BATCH> lengths;
    std::array<iovec, 2 * FRAME_BATCH> vectors;
    for (unsigned index = 0; index < wanted; ++index)
    {
        lengths[index] = htonl(queue[index]->size);
        vectors[2 * index] = {&lengths[index], LENGTH_BYTES};
        vectors[2 * index + 1] = {queue[index]->data, queue[index]->size};
    }
    size_t sent = m_sent;
    for (iovec* vector = vectors.data(); sent > 0; ++vector)
    {
        size_t part = std::min(sent, vector->iov_len);
        vector->iov_base = static_cast<uint8_t*>(vector->iov_base) + part;
        vector->iov_len -= part;
        sent -= part;
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = 2 * wanted;
    ssize_t bytes = ::sendmsg(GetFd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (bytes < 0)
    {
        return -1;
    }
    m_sent += static_cast<size_t>(bytes);
    unsigned whole = 0;
    while (whole < wanted && m_sent >= LENGTH_BYTES + queue[whole]->size)
    {
        m_sent -= LENGTH_BYTES + queue[whole]->size;
        ++whole;
    }
    return static_cast<int>(whole);
}

} // namespace ns3::qemunet

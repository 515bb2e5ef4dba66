/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "frame-door.h"

#include "ns3/log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace ns3::qemunet
{

NS_LOG_COMPONENT_DEFINE("QemunetFrameDoor");

namespace
{

/** Frames to a system call, and the most that one door reads in a turn. */
constexpr unsigned BATCH = 64;
/** What our end may hold for the guest, in bytes; the kernel allows what net.core.wmem_max says. */
constexpr int SEND_BUFFER_BYTES = 1 << 20;

/** The arguments of recvmmsg, shared by all doors: they are used by one thread, one door at a time.
 */
struct ReceiveBatch
{
    std::array<FramePtr, BATCH> frames;  //!< Where the kernel writes.
    std::array<iovec, BATCH> vectors;    //!< Their memory.
    std::array<mmsghdr, BATCH> messages; //!< The headers.
};

/** @returns The batch of this process. */
ReceiveBatch&
GetReceiveBatch()
{
    static ReceiveBatch batch;
    return batch;
}

} // namespace

FrameDoor::FrameDoor(Ptr<RealTimeSimulator> simulator,
                     uint32_t context,
                     uint32_t mtu,
                     FrameSink* inward)
    : m_simulator(simulator),
      m_context(context),
      m_maxBytes(MaxFrameBytes(mtu)),
      m_inward(inward)
{
    FramePool::Get().Require(m_maxBytes);
}

FrameDoor::~FrameDoor()
{
    Detach();
}

bool
FrameDoor::Attach(UniqueFd fd)
{
    int type = 0;
    socklen_t length = sizeof(type);
    if (::getsockopt(fd.Get(), SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_DGRAM)
    {
        return false;
    }
    Detach();
    m_socket = std::move(fd);
    ::setsockopt(m_socket.Get(),
                 SOL_SOCKET,
                 SO_SNDBUF,
                 &SEND_BUFFER_BYTES,
                 sizeof(SEND_BUFFER_BYTES));
    m_simulator->GetPollSet().Add(m_socket.Get(), EPOLLIN, this, m_context);
    return true;
}

void
FrameDoor::Detach()
{
    if (m_socket)
    {
        m_simulator->GetPollSet().Remove(m_socket.Get());
        m_socket = UniqueFd();
    }
    m_blocked = false;
    DropQueue();
}

void
FrameDoor::Open()
{
    m_open = true;
}

const DoorCounters&
FrameDoor::GetCounters() const
{
    return m_counters;
}

void
FrameDoor::HandleReady(uint32_t events)
{
    if (events & EPOLLOUT)
    {
        SetBlocked(false);
        Flush();
    }
    if (events & EPOLLHUP)
    {
        Detach();
    }
    else if (events & (EPOLLIN | EPOLLERR))
    {
        Receive();
    }
}

void
FrameDoor::Receive()
{
    ReceiveBatch& batch = GetReceiveBatch();
    uint32_t capacity = FramePool::Get().GetCapacity();
    for (unsigned index = 0; index < BATCH; ++index)
    {
        if (!batch.frames[index])
        {
            batch.frames[index] = FramePool::Get().Allocate();
        }
        batch.vectors[index] = {batch.frames[index]->data, capacity};
        batch.messages[index] = {};
        batch.messages[index].msg_hdr.msg_iov = &batch.vectors[index];
        batch.messages[index].msg_hdr.msg_iovlen = 1;
    }
    // MSG_TRUNC: the length is that of the datagram, also of one too long for the frame.
    int count =
        ::recvmmsg(m_socket.Get(), batch.messages.data(), BATCH, MSG_DONTWAIT | MSG_TRUNC, nullptr);
    if (count < 0)
    {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNRESET)
        {
            NS_LOG_WARN("door of node " << m_context << ": " << std::strerror(errno));
            Detach();
        }
        return;
    }
    for (int index = 0; index < count && m_open; ++index)
    {
        Accept(std::move(batch.frames[index]), batch.messages[index].msg_len);
    }
}

void
FrameDoor::Accept(FramePtr frame, uint32_t bytes)
{
    if (bytes < ETHERNET_HEADER_BYTES || bytes > m_maxBytes)
    {
        ++m_counters.inMalformed;
        return;
    }
    ++m_counters.inFrames;
    m_counters.inBytes += bytes;
    frame->size = bytes;
    m_inward->PutFrame(std::move(frame));
}

void
FrameDoor::PutFrame(FramePtr frame)
{
    if (!m_open)
    {
        return;
    }
    if (!m_socket)
    {
        ++m_counters.outUnreachable;
        return;
    }
    if (m_queue.size() >= QUEUE_FRAMES)
    {
        // Make room now if the guest reads: a burst within one turn is no reason to drop.
        if (!m_blocked)
        {
            Flush();
        }
        if (m_queue.size() >= QUEUE_FRAMES)
        {
            ++m_counters.outDropped;
            return;
        }
    }
    m_queue.push_back(std::move(frame));
    if (!m_blocked && !m_flushing)
    {
        m_flushing = true;
        m_simulator->FlushLater(this);
    }
}

void
FrameDoor::Flush()
{
    m_flushing = false;
    std::array<iovec, BATCH> vectors;
    std::array<mmsghdr, BATCH> messages;
    while (!m_queue.empty() && m_socket && !m_blocked)
    {
        auto wanted = static_cast<unsigned>(std::min<size_t>(BATCH, m_queue.size()));
        for (unsigned index = 0; index < wanted; ++index)
        {
            vectors[index] = {m_queue[index]->data, m_queue[index]->size};
            messages[index] = {};
            messages[index].msg_hdr.msg_iov = &vectors[index];
            messages[index].msg_hdr.msg_iovlen = 1;
        }
        int sent = ::sendmmsg(m_socket.Get(), messages.data(), wanted, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
        {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
            {
                SetBlocked(true);
            }
            else if (errno == EMSGSIZE || errno == ENOBUFS || errno == ENOMEM)
            {
                ++m_counters.outDropped;
                m_queue.pop_front();
            }
            else if (errno != EINTR)
            {
                // The guest is gone (ECONNREFUSED and its kin); a restarted one attaches anew.
                DropQueue();
            }
            continue;
        }
        for (int index = 0; index < sent; ++index)
        {
            ++m_counters.outFrames;
            m_counters.outBytes += m_queue.front()->size;
            m_queue.pop_front();
        }
    }
}

void
FrameDoor::SetBlocked(bool blocked)
{
    if (m_blocked != blocked)
    {
        m_blocked = blocked;
        m_simulator->GetPollSet().Modify(m_socket.Get(), EPOLLIN | (blocked ? EPOLLOUT : 0U));
    }
}

void
FrameDoor::DropQueue()
{
    m_counters.outUnreachable += m_queue.size();
    m_queue.clear();
}

} // namespace ns3::qemunet

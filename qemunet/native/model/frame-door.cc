/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "frame-door.h"

#include "ns3/log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <utility>

namespace ns3::qemunet
{

NS_LOG_COMPONENT_DEFINE("QemunetFrameDoor");

namespace
{

/** @returns The batch of this process, with a frame of the largest size at every place. */
FrameBatch&
GetBatch()
{
    static FrameBatch batch;
    uint32_t capacity = FramePool::Get().GetCapacity();
    bool outgrown = std::exchange(batch.capacity, capacity) < capacity;
    for (FramePtr& frame : batch.frames)
    {
        if (!frame || outgrown)
        {
            frame = FramePool::Get().Allocate();
        }
    }
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
    std::unique_ptr<FrameStream> stream = FrameStream::Open(std::move(fd));
    if (!stream)
    {
        return false;
    }
    Detach();
    m_stream = std::move(stream);
    m_simulator->GetPollSet().Add(m_stream->GetFd(), EPOLLIN, this, m_context);
    return true;
}

void
FrameDoor::Detach()
{
    if (m_stream)
    {
        m_simulator->GetPollSet().Remove(m_stream->GetFd());
        m_stream.reset();
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

FrameCapture&
FrameDoor::GetCapture()
{
    return m_capture;
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
    do
    {
        FrameBatch& batch = GetBatch();
        int count = m_stream->Read(batch);
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
            Accept(std::move(batch.frames[index]), batch.bytes[index]);
        }
    } while (m_stream->HasMore());
}

void
FrameDoor::Accept(FramePtr frame, uint32_t bytes)
{
    frame->size = bytes;
    if (bytes < ETHERNET_HEADER_BYTES || bytes > m_maxBytes || !m_inward->Carries(*frame))
    {
        ++m_counters.inMalformed;
        return;
    }
    ++m_counters.inFrames;
    m_counters.inBytes += bytes;
    m_capture.Record(*frame);
    m_inward->PutFrame(std::move(frame));
}

void
FrameDoor::PutFrame(FramePtr frame)
{
    if (!m_open)
    {
        return;
    }
    m_capture.Record(*frame);
    if (!m_stream)
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
    while (!m_queue.empty() && m_stream && !m_blocked)
    {
        auto wanted = static_cast<unsigned>(std::min<size_t>(FRAME_BATCH, m_queue.size()));
        int sent = m_stream->Write(m_queue, wanted);
        if (sent < 0)
        {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
            {
                SetBlocked(true);
            }
            else if (errno == ENETDOWN)
            {
                ++m_counters.outUnreachable;
                m_queue.pop_front();
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
        m_simulator->GetPollSet().Modify(m_stream->GetFd(), EPOLLIN | (blocked ? EPOLLOUT : 0U));
    }
}

void
FrameDoor::DropQueue()
{
    m_counters.outUnreachable += m_queue.size();
    m_queue.clear();
}

} // namespace ns3::qemunet

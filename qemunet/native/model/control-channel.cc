/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "control-channel.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace ns3::qemunet
{

namespace
{

/** Messages kept for a controller that does not read. */
constexpr size_t MAX_KEPT = 4096;
/** Descriptors taken with a message; a well-formed one has one at most. */
constexpr size_t MAX_FDS = 8;

} // namespace

ControlWriter::ControlWriter(ControlType type, uint32_t id)
{
    ControlHeader header;
    header.type = static_cast<uint16_t>(type);
    header.id = id;
    Add(header);
}

std::vector<std::byte>
ControlWriter::Take()
{
    return std::move(m_bytes);
}

ControlChannel::ControlChannel(int fd, std::function<void(bool)> wantWrite)
    : m_fd(fd),
      m_wantWrite(std::move(wantWrite)),
      m_buffer(CONTROL_MAX_BYTES)
{
}

ControlChannel::Status
ControlChannel::Receive(ControlMessage& message)
{
    message = {};
    iovec vector{m_buffer.data(), m_buffer.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(MAX_FDS * sizeof(int))> control;
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    ssize_t size = ::recvmsg(m_fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0)
    {
        return errno == EAGAIN || errno == EINTR ? Status::EMPTY : Status::CLOSED;
    }
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part))
    {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
        {
            continue;
        }
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < count; ++index)
        {
            int fd;
            std::memcpy(&fd, CMSG_DATA(part) + index * sizeof(int), sizeof(int));
            message.fds.emplace_back(fd);
        }
    }
    if (size == 0)
    {
        return Status::CLOSED; // A controller sends no empty message.
    }
    std::memcpy(&message.header, m_buffer.data(), std::min<size_t>(size, sizeof(ControlHeader)));
    if (static_cast<size_t>(size) < sizeof(ControlHeader) ||
        message.header.version != CONTROL_VERSION ||
        (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    {
        return Status::BROKEN;
    }
    message.body = std::span(m_buffer).subspan(sizeof(ControlHeader), size - sizeof(ControlHeader));
    return Status::MESSAGE;
}

void
ControlChannel::Send(std::vector<std::byte> bytes)
{
    std::lock_guard lock(m_mutex);
    if (m_kept.size() >= MAX_KEPT)
    {
        return;
    }
    m_kept.push_back(std::move(bytes));
    if (m_kept.size() == 1)
    {
        SendKept();
        if (!m_kept.empty())
        {
            m_wantWrite(true);
        }
    }
}

void
ControlChannel::FlushKept()
{
    std::lock_guard lock(m_mutex);
    SendKept();
    if (m_kept.empty())
    {
        m_wantWrite(false);
    }
}

void
ControlChannel::SendKept()
{
    while (!m_kept.empty())
    {
        ssize_t sent =
            ::send(m_fd, m_kept.front().data(), m_kept.front().size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
        {
            continue;
        }
        if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
        {
            return;
        }
        // Any other error means that the controller is gone; reading says so too, and ends the run.
        m_kept.pop_front();
    }
}

bool
ControlChannel::IsOverrun() const
{
    std::lock_guard lock(m_mutex);
    return m_kept.size() >= MAX_KEPT;
}

} // namespace ns3::qemunet

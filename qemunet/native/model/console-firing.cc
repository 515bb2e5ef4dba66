/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "console-firing.h"

#include "real-time-simulator.h"

#include <cerrno>
#include <poll.h>
#include <sys/socket.h>

namespace ns3::qemunet
{

namespace
{

/**
 * Write a newline without ever blocking. The descriptor's O_NONBLOCK is left alone: its other
 * owners share it.
 *
 * @param fd A stream socket, or a terminal's master.
 * @returns 0 or an errno.
 */
int
WriteNewline(int fd)
{
    const char newline = '\n';
    if (::send(fd, &newline, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
    {
        return 0;
    }
    if (errno != ENOTSOCK)
    {
        return errno;
    }
    pollfd room{fd, POLLOUT, 0};
    if (::poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0)
    {
        return EAGAIN;
    }
    return ::write(fd, &newline, 1) == 1 ? 0 : errno;
}

} // namespace

std::vector<FiredConsole>
FireConsoles(const std::vector<Console>& consoles)
{
    std::vector<FiredConsole> fired(consoles.size());
    // A write of nothing wakes nobody, and brings the path to each console into the caches: the
    // first real write then takes no longer than the last.
    for (const Console& console : consoles)
    {
        ::send(console.second->Get(), nullptr, 0, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    for (size_t index = 0; index < consoles.size(); ++index)
    {
        // Taken before: the write wakes the reader, which may run ahead of us.
        int64_t written = RealTimeSimulator::MonotonicNs();
        int error = WriteNewline(consoles[index].second->Get());
        fired[index] = {consoles[index].first, error, written};
    }
    return fired;
}

} // namespace ns3::qemunet

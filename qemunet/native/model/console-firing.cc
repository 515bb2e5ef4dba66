/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "console-firing.h"

#include "head-start.h"
#include "real-time-simulator.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace ns3::qemunet
{

Console::Console(UniqueFd fd, pid_t guest)
    : m_fd(std::move(fd)),
      m_threads(guest == 0 ? std::vector<pid_t>() : ListThreads(guest))
{
    struct stat status
    {
    };
    m_isSocket = ::fstat(m_fd.Get(), &status) == 0 && S_ISSOCK(status.st_mode);
}

int
Console::Type(char key) const
{
    // One system call, and none that waits for somebody else: poll() on a terminal waits for a
    // worker of the kernel.
    ssize_t written = m_isSocket ? ::send(m_fd.Get(), &key, 1, MSG_DONTWAIT | MSG_NOSIGNAL)
                                 : ::write(m_fd.Get(), &key, 1);
    return written == 1 ? 0 : errno;
}

std::vector<pid_t>
Console::GetReaders() const
{
    pid_t foreground = 0;
    if (m_threads.empty() && ::ioctl(m_fd.Get(), TIOCGPGRP, &foreground) == 0 && foreground > 0)
    {
        return {foreground};
    }
    return m_threads;
}

void
Console::Rouse() const
{
    if (!m_isSocket)
    {
        // Each time: whoever shares the terminal may have changed it.
        int flags = ::fcntl(m_fd.Get(), F_GETFL);
        if ((flags & O_NONBLOCK) == 0)
        {
            ::fcntl(m_fd.Get(), F_SETFL, flags | O_NONBLOCK);
        }
    }
    Type(' ');
}

int
Console::TypeNewline() const
{
    return Type('\n');
}

std::vector<FiredConsole>
FireConsoles(const std::vector<NumberedConsole>& consoles)
{
    std::vector<FiredConsole> fired(consoles.size());
    for (const NumberedConsole& console : consoles)
    {
        console.second->Rouse();
    }
    for (size_t index = 0; index < consoles.size(); ++index)
    {
        // Taken before: the reader may run ahead of us.
        int64_t written = RealTimeSimulator::MonotonicNs();
        int error = consoles[index].second->TypeNewline();
        fired[index] = {consoles[index].first, error, written};
    }
    return fired;
}

} // namespace ns3::qemunet

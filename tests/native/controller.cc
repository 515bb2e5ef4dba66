/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "controller.h"

#include "check.h"

#include <array>
#include <cstring>
#include <sys/socket.h>
#include <thread>

using namespace ns3;
using namespace ns3::qemunet;

namespace
{

/** @returns The entries of a page. */
template <typename Entry>
std::vector<Entry>
GetEntries(const std::vector<std::byte>& message)
{
    PageBody page;
    const std::byte* body = message.data() + sizeof(ControlHeader);
    std::memcpy(&page, body, sizeof(page));
    std::vector<Entry> entries(page.count);
    std::memcpy(entries.data(), body + sizeof(page), entries.size() * sizeof(Entry));
    return entries;
}

} // namespace

Pair::Pair(int type)
{
    std::array<int, 2> fds;
    CHECK(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds.data()) == 0);
    ours = UniqueFd(fds[0]);
    theirs = UniqueFd(fds[1]);
}

Controller::Controller(int fd)
    : m_fd(fd)
{
}

void
Controller::Send(const std::vector<std::byte>& bytes, int fd) const
{
    iovec vector{const_cast<std::byte*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    if (fd >= 0)
    {
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        cmsghdr* part = CMSG_FIRSTHDR(&header);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(part), &fd, sizeof(int));
    }
    CHECK(::sendmsg(m_fd, &header, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
}

std::vector<std::byte>
Controller::Receive() const
{
    std::vector<std::byte> bytes(CONTROL_MAX_BYTES);
    ssize_t size = ::recv(m_fd, bytes.data(), bytes.size(), 0);
    CHECK(size >= static_cast<ssize_t>(sizeof(ControlHeader)));
    bytes.resize(size);
    return bytes;
}

std::vector<std::byte>
Controller::Await(ControlType type, uint32_t id) const
{
    while (true)
    {
        std::vector<std::byte> bytes = Receive();
        ControlHeader header;
        std::memcpy(&header, bytes.data(), sizeof(header));
        if (header.type == static_cast<uint16_t>(type) && (id == 0 || header.id == id))
        {
            return bytes;
        }
    }
}

void
Controller::Attach(ControlType type, uint32_t number, int fd) const
{
    ControlWriter writer(type, 1);
    if (type == ControlType::ATTACH_CONSOLE)
    {
        writer.Add(ConsoleBody{number, 0});
    }
    else
    {
        writer.Add(NumberBody{number});
    }
    Send(writer.Take(), fd);
    Await(ControlType::OK);
}

void
Controller::Start() const
{
    Send(ControlWriter(ControlType::START, 2).Take());
    Await(ControlType::STARTED);
}

void
Controller::Synchronize() const
{
    Send(ControlWriter(ControlType::COUNTERS, ++m_lastId).Take());
    Await(ControlType::OK, m_lastId);
}

Controller::Counts
Controller::GetCounts() const
{
    Counts counts{};
    Send(ControlWriter(ControlType::COUNTERS, ++m_lastId).Take());
    while (true)
    {
        std::vector<std::byte> bytes = Receive();
        ControlHeader header;
        std::memcpy(&header, bytes.data(), sizeof(header));
        switch (static_cast<ControlType>(header.type))
        {
        case ControlType::LAG:
            std::memcpy(&counts.lag, bytes.data() + sizeof(header), sizeof(counts.lag));
            break;
        case ControlType::DOORS:
            for (const DoorEntry& entry : GetEntries<DoorEntry>(bytes))
            {
                counts.doors[entry.door] = entry.counters;
            }
            break;
        case ControlType::LINKS:
            for (const LinkEntry& entry : GetEntries<LinkEntry>(bytes))
            {
                counts.links[{entry.link, entry.direction}] = entry.counters;
            }
            break;
        default:
            if (header.id == m_lastId)
            {
                CHECK(header.type == static_cast<uint16_t>(ControlType::OK));
                return counts;
            }
        }
    }
}

void
RunWith(Network& network, const std::function<void(const Controller&)>& control)
{
    Pair pair(SOCK_SEQPACKET);
    std::thread controller([&] {
        Controller self(pair.ours.Get());
        self.Await(ControlType::READY);
        control(self);
        self.Send(ControlWriter(ControlType::STOP, 77).Take());
        self.Await(ControlType::LAG);
    });
    auto stopId = ControlServer(network, pair.theirs.Get()).Run();
    controller.join();
    CHECK(stopId == 77U);
}

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */

// The least that anything can do which carries frames between taps in user space: read one here,
// write it there. What this carries is the ceiling for a simulator that joins containers by taps.
//
//   relay LINKS
//
// Makes the taps l0a and l0b, l1a and l1b, ... of this network namespace, says "ready", and copies
// until it is killed.

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <string>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vector>

namespace
{

/** Frames taken from one tap before the next one's turn. */
constexpr int BATCH = 64;

int
OpenTap(const std::string& name)
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
    {
        std::fprintf(stderr, "relay: tap %s: %s\n", name.c_str(), std::strerror(errno));
        std::exit(1);
    }
    return fd;
}

} // namespace

int
main(int count, char** words)
{
    int links = count == 2 ? std::atoi(words[1]) : 0;
    if (links < 1)
    {
        std::fputs("usage: relay LINKS\n", stderr);
        return 2;
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    std::vector<std::array<int, 2>> pairs; // From, to.
    for (int link = 0; link < links; ++link)
    {
        int a = OpenTap("l" + std::to_string(link) + "a");
        int b = OpenTap("l" + std::to_string(link) + "b");
        pairs.push_back({a, b});
        pairs.push_back({b, a});
    }
    for (size_t index = 0; index < pairs.size(); ++index)
    {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = index;
        epoll_ctl(epoll, EPOLL_CTL_ADD, pairs[index][0], &event);
    }
    // As the simulator runs, where that is allowed.
    sched_param priority{};
    priority.sched_priority = 20;
    bool first = sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
    std::printf("ready %s\n", first ? "SCHED_FIFO" : "SCHED_OTHER");
    std::fflush(stdout);
    std::array<char, 2048> frame;
    std::array<epoll_event, BATCH> ready;
    while (true)
    {
        int events = epoll_wait(epoll, ready.data(), ready.size(), -1);
        for (int index = 0; index < events; ++index)
        {
            const auto& [from, to] = pairs[ready[index].data.u64];
            for (int frames = 0; frames < BATCH; ++frames)
            {
                ssize_t bytes = read(from, frame.data(), frame.size());
                if (bytes <= 0)
                {
                    break;
                }
                [[maybe_unused]] ssize_t written =
                    write(to, frame.data(), static_cast<size_t>(bytes));
            }
        }
    }
}

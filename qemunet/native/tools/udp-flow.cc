/*
 * SPDX-License-Identifier: GPL-2.0-only
 */

// A flow of UDP datagrams that costs its ends as little processor time as possible, for
// measurements of what a network carries: sendmmsg() on one side, recvmmsg() on the other. It is
// linked statically, so that guests need nothing.
//
//   udp-flow send ADDRESS PORT [--rate PPS] [--bytes N] [--seconds S]
//   udp-flow receive PORT [--skip S] [--seconds S] [--wait S]
//
// Each ends with one line of JSON on standard output.

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <endian.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <vector>

namespace
{

/** Datagrams of one call of the kernel. */
constexpr unsigned BATCH = 64;
/** Least time between two looks at the clock; what is due by then leaves together. */
constexpr double TICK_S = 200e-6;
/** Largest payload of a datagram over IPv4. */
constexpr long MOST_BYTES = 65507;
/** What a receiver may have waiting, in bytes, if the kernel allows it. */
constexpr int RECEIVE_BYTES = 8 << 20;

/** What stands at the beginning of each datagram. */
struct Header
{
    uint64_t number; //!< From 0 on, big-endian.
};

[[noreturn]] void
Usage()
{
    std::fputs("usage: udp-flow send ADDRESS PORT [--rate PPS] [--bytes N] [--seconds S]\n"
               "       udp-flow receive PORT [--skip S] [--seconds S] [--wait S]\n"
               "A rate of 0 is as fast as it goes.\n",
               stderr);
    std::exit(2);
}

[[noreturn]] void
Fail(const char* what)
{
    std::fprintf(stderr, "udp-flow: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

double
Now()
{
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void
SleepUntil(double at)
{
    timespec until{};
    until.tv_sec = static_cast<time_t>(at);
    until.tv_nsec = static_cast<long>((at - std::floor(at)) * 1e9);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

/** Options as --NAME NUMBER, after the positional words. */
class Options
{
  public:
    Options(int count, char** words)
        : m_count(count),
          m_words(words)
    {
        if (count % 2 != 0)
        {
            Usage();
        }
    }

    /** @returns The number of an option that may be given, and forgets it. */
    double Take(const char* name, double otherwise, double least, double most)
    {
        double number = otherwise;
        for (int index = 0; index < m_count; index += 2)
        {
            if (std::strcmp(m_words[index], name) == 0)
            {
                char* end = nullptr;
                number = std::strtod(m_words[index + 1], &end);
                if (*end != '\0' || end == m_words[index + 1] ||
                    !(number >= least && number <= most))
                {
                    std::fprintf(stderr, "udp-flow: %s is %g to %g\n", name, least, most);
                    std::exit(2);
                }
                m_taken += 2;
            }
        }
        return number;
    }

    void End() const
    {
        if (m_taken != m_count)
        {
            Usage();
        }
    }

  private:
    int m_count;
    char** m_words;
    int m_taken{0};
};

uint16_t
ParsePort(const char* text)
{
    char* end = nullptr;
    long port = std::strtol(text, &end, 10);
    if (*end != '\0' || port < 1 || port > 65535)
    {
        Usage();
    }
    return static_cast<uint16_t>(port);
}

int
Send(const char* address, const char* port, Options options)
{
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(ParsePort(port));
    if (inet_pton(AF_INET, address, &peer.sin_addr) != 1)
    {
        Usage();
    }
    double rate = options.Take("--rate", 0, 0, 1e9);
    double wanted = options.Take("--bytes", 1470, sizeof(Header), static_cast<double>(MOST_BYTES));
    auto bytes = static_cast<size_t>(wanted);
    double seconds = options.Take("--seconds", 5, 0, 1e6);
    options.End();
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof(peer)) != 0)
    {
        Fail(address);
    }
    std::vector<char> rest(bytes - sizeof(Header));
    std::array<Header, BATCH> headers{};
    std::array<std::array<iovec, 2>, BATCH> parts{};
    std::array<mmsghdr, BATCH> messages{};
    for (unsigned index = 0; index < BATCH; ++index)
    {
        parts[index][0] = {&headers[index], sizeof(Header)};
        parts[index][1] = {rest.data(), rest.size()};
        messages[index].msg_hdr.msg_iov = parts[index].data();
        messages[index].msg_hdr.msg_iovlen = 2;
    }
    uint64_t sent = 0;
    uint64_t refused = 0;
    double begun = Now();
    double end = begun + seconds;
    for (double now = begun; now < end; now = Now())
    {
        // The first one leaves at once, the next when its time has come.
        double due = rate > 0 ? std::floor((now - begun) * rate) + 1
                              : static_cast<double>(sent + refused + BATCH);
        double behind = due - static_cast<double>(sent + refused);
        if (behind < 1)
        {
            double next = begun + static_cast<double>(sent + refused) / rate;
            SleepUntil(std::min(end, std::max(next, now + TICK_S)));
            continue;
        }
        auto count = static_cast<unsigned>(std::min<double>(behind, BATCH));
        for (unsigned index = 0; index < count; ++index)
        {
            headers[index].number = htobe64(sent + refused + index);
        }
        int done = sendmmsg(fd, messages.data(), count, 0);
        if (done > 0)
        {
            sent += static_cast<unsigned>(done);
        }
        else if (errno == ENOBUFS || errno == EAGAIN || errno == ECONNREFUSED)
        {
            ++refused;
        }
        else if (errno != EINTR)
        {
            Fail("send");
        }
    }
    double took = Now() - begun;
    std::printf("{\"sent\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"seconds\": %.6f}\n",
                sent,
                refused,
                took);
    return 0;
}

int
Receive(const char* port, Options options)
{
    double skip = options.Take("--skip", 0.5, 0, 1e6);
    double seconds = options.Take("--seconds", 5, 0, 1e6);
    double wait = options.Take("--wait", 5, 0, 1e6);
    options.End();
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_port = htons(ParsePort(port));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof(own)) != 0)
    {
        Fail(port);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &RECEIVE_BYTES, sizeof(RECEIVE_BYTES)) != 0)
    {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &RECEIVE_BYTES, sizeof(RECEIVE_BYTES));
    }
    timeval pause{0, 20000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof(pause));
    std::array<Header, BATCH> headers{};
    std::array<iovec, BATCH> parts{};
    std::array<mmsghdr, BATCH> messages{};
    for (unsigned index = 0; index < BATCH; ++index)
    {
        parts[index] = {&headers[index], sizeof(Header)};
        messages[index].msg_hdr.msg_iov = &parts[index];
        messages[index].msg_hdr.msg_iovlen = 1;
    }
    uint64_t received = 0;
    uint64_t bytes = 0;
    uint64_t reordered = 0;
    uint64_t first = UINT64_MAX;
    uint64_t highest = 0;
    double begun = 0; // Of the window that counts.
    double end = Now() + wait;
    for (double now = Now(); now < end; now = Now())
    {
        // The whole length is told though only the header is copied.
        int count = recvmmsg(fd, messages.data(), BATCH, MSG_WAITFORONE | MSG_TRUNC, nullptr);
        now = Now();
        if (count < 0 && errno != EAGAIN && errno != EINTR)
        {
            Fail("receive");
        }
        if (count > 0 && begun == 0)
        {
            begun = now + skip;
            end = begun + seconds;
        }
        if (now < begun || now >= end || count <= 0)
        {
            continue;
        }
        for (int index = 0; index < count; ++index)
        {
            uint64_t number = be64toh(headers[index].number);
            ++received;
            bytes += messages[index].msg_len;
            first = std::min(first, number);
            reordered += number < highest ? 1 : 0;
            highest = std::max(highest, number);
        }
    }
    uint64_t missing =
        received > 0 ? highest - first + 1 - std::min(received, highest - first + 1) : 0;
    std::printf("{\"received\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"missing\": %" PRIu64
                ", \"reordered\": %" PRIu64 ", \"seconds\": %.6f}\n",
                received,
                bytes,
                missing,
                reordered,
                begun > 0 ? seconds : 0.0);
    return 0;
}

} // namespace

int
main(int count, char** words)
{
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    if (count >= 4 && std::strcmp(words[1], "send") == 0)
    {
        return Send(words[2], words[3], Options(count - 4, words + 4));
    }
    if (count >= 3 && std::strcmp(words[1], "receive") == 0)
    {
        return Receive(words[2], Options(count - 3, words + 3));
    }
    Usage();
}

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "fuzz-guests.h"

#include "check.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

using namespace ns3::qemunet;

namespace
{

/** How long a ping may take, under sanitizers on a busy machine. */
constexpr std::chrono::seconds LONGEST_PING{60};
/** After which time it is sent again. */
constexpr std::chrono::milliseconds PING_AGAIN{50};

/** The MTU of a tap: the largest that there is. */
constexpr int TAP_MTU = 65521;

/** An echo request from 10.0.0.200, with a checksum of 0 in ICMP and a place for a nonce; nothing
 * else says that it has this address, so that nobody has lied about it. */
constexpr std::array<uint8_t, 50> ECHO{2,  0, 0, 0, 0, 2,  2, 0, 0, 0,  0, 1, 8,   0,  0x45, 0, 0,
                                       36, 0, 1, 0, 0, 64, 1, 0, 0, 10, 0, 0, 200, 10, 0,    0, 2,
                                       8,  0, 0, 0, 0, 7,  0, 1, 0, 0,  0, 0, 0,   0,  0,    0};
constexpr size_t IP = 14;        //!< Where it has its IP header.
constexpr size_t ICMP = 34;      //!< Its message.
constexpr size_t NONCE = 42;     //!< Its nonce.
constexpr size_t ARP_BYTES = 42; //!< An ARP packet, with the Ethernet header.

class SocketInterface : public FuzzInterface
{
  public:
    int GetTheirs() const override
    {
        return m_pair.theirs.Get();
    }

    int GetOurs() const override
    {
        return m_pair.ours.Get();
    }

    bool Send(std::span<const uint8_t> frame) override
    {
        CHECK(::send(GetOurs(), frame.data(), frame.size(), 0) ==
              static_cast<ssize_t>(frame.size()));
        return true;
    }

  private:
    Pair m_pair{SOCK_DGRAM}; //!< Both ends.
};

/** The guest's end is a packet socket on the tap. */
class TapInterface : public FuzzInterface
{
  public:
    explicit TapInterface(const std::string& name)
        : m_tap(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)),
          m_socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)))
    {
        ifreq request{};
        name.copy(request.ifr_name, IFNAMSIZ - 1);
        request.ifr_flags = IFF_TAP | IFF_NO_PI;
        CHECK(::ioctl(m_tap.Get(), TUNSETIFF, &request) == 0);
        // The kernel has nothing to say here.
        std::ofstream("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6") << 1;
        request.ifr_mtu = TAP_MTU;
        CHECK(::ioctl(m_socket.Get(), SIOCSIFMTU, &request) == 0);
        request.ifr_flags = IFF_UP | IFF_RUNNING;
        CHECK(::ioctl(m_socket.Get(), SIOCSIFFLAGS, &request) == 0);
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = static_cast<int>(::if_nametoindex(name.c_str()));
        CHECK(::bind(m_socket.Get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
        int on = 1;
        CHECK(::setsockopt(m_socket.Get(), SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) == 0);
    }

    int GetTheirs() const override
    {
        return m_tap.Get();
    }

    int GetOurs() const override
    {
        return m_socket.Get();
    }

    bool Send(std::span<const uint8_t> frame) override
    {
        // The kernel refuses what has no whole header. ENOBUFS: the tap's queue is full, and the
        // kernel can tell nobody when it no longer is.
        bool sent;
        while (!(sent = ::send(m_socket.Get(), frame.data(), frame.size(), 0) >= 0) &&
               errno == ENOBUFS)
        {
            std::this_thread::yield();
        }
        return sent;
    }

  private:
    UniqueFd m_tap;    //!< The simulation's end.
    UniqueFd m_socket; //!< The guest's end.
};

} // namespace

std::unique_ptr<FuzzInterface>
MakeSocketInterface()
{
    return std::make_unique<SocketInterface>();
}

std::unique_ptr<FuzzInterface>
MakeTapInterface(const std::string& name)
{
    return std::make_unique<TapInterface>(name);
}

FuzzGuests::FuzzGuests(const FuzzNetwork& network, const Controller& controller)
    : m_goal(network.peer ? 1 : 0)
{
    for (uint32_t door = 0; door <= m_goal; ++door)
    {
        m_interfaces.push_back(network.way == FuzzNetwork::Way::TAP
                                   ? MakeTapInterface("fuzz" + std::to_string(door))
                                   : MakeSocketInterface());
        controller.Attach(ControlType::ATTACH_DOOR, door, m_interfaces.back()->GetTheirs());
    }
    m_reader = std::thread([this] { Read(); });
}

FuzzGuests::~FuzzGuests()
{
    m_ended = true;
    m_reader.join();
}

void
FuzzGuests::Send(std::span<const uint8_t> frame)
{
    if (m_interfaces[0]->Send(frame))
    {
        ++m_sent;
    }
}

void
FuzzGuests::Listen(bool listening)
{
    m_listening = listening;
}

uint64_t
FuzzGuests::GetSent() const
{
    return m_sent;
}

uint64_t
FuzzGuests::GetReceived(uint32_t door) const
{
    return m_received.at(door);
}

void
FuzzGuests::Read()
{
    std::vector<uint8_t> bytes(1 << 17);
    std::vector<pollfd> ready;
    for (const auto& interface : m_interfaces)
    {
        ready.push_back({interface->GetOurs(), POLLIN, 0});
    }
    while (!m_ended)
    {
        ::poll(ready.data(), m_listening ? ready.size() : 0, 20);
        for (uint32_t door = 0; door < ready.size() && m_listening; ++door)
        {
            ssize_t size = ::recv(ready[door].fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
            if (size >= 0)
            {
                ++m_received[door];
                Hear(door, {bytes.data(), static_cast<size_t>(size)});
            }
        }
    }
}

void
FuzzGuests::Hear(uint32_t door, std::span<const uint8_t> frame)
{
    // Who asks for the address that pings come from gets an answer.
    if (door == 0 && frame.size() >= ARP_BYTES && frame[12] == 8 && frame[13] == 6 &&
        frame[21] == 1 && std::equal(&frame[38], &frame[42], &ECHO[IP + 12]))
    {
        std::vector<uint8_t> answer(frame.begin(), frame.begin() + ARP_BYTES);
        std::copy_n(&frame[6], 6, answer.begin());
        std::copy_n(&ECHO[6], 6, answer.begin() + 6);
        answer[21] = 2;
        std::copy_n(&ECHO[6], 6, answer.begin() + 22);
        std::copy_n(&frame[38], 4, answer.begin() + 28);
        std::copy_n(&frame[22], 10, answer.begin() + 32);
        Send(answer);
    }
    if (door == m_goal)
    {
        std::lock_guard lock(m_mutex);
        if (!m_came &&
            std::search(frame.begin(), frame.end(), m_nonce.begin(), m_nonce.end()) != frame.end())
        {
            m_came = true;
            m_wake.notify_all();
        }
    }
}

void
FuzzGuests::Ping()
{
    static uint64_t number = 0;
    uint64_t nonce = 0x9e3779b97f4a7c15 * ++number;
    std::array<uint8_t, ECHO.size()> echo = ECHO;
    std::memcpy(&echo[NONCE], &nonce, sizeof(nonce));
    Seal(std::span(echo).subspan(IP, ICMP - IP), 10);
    Seal(std::span(echo).subspan(ICMP), 2);
    std::unique_lock lock(m_mutex);
    std::memcpy(m_nonce.data(), &nonce, sizeof(nonce));
    m_came = false;
    auto deadline = std::chrono::steady_clock::now() + LONGEST_PING;
    while (!m_came)
    {
        CHECK(std::chrono::steady_clock::now() < deadline);
        lock.unlock();
        Send(echo);
        lock.lock();
        m_wake.wait_for(lock, PING_AGAIN, [this] { return m_came; });
    }
}

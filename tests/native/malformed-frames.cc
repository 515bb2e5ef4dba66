/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "malformed-frames.h"

#include <algorithm>
#include <initializer_list>

namespace
{

constexpr uint16_t IPV4 = 0x0800;
constexpr uint16_t ARP = 0x0806;
constexpr uint16_t IPV6 = 0x86dd;

constexpr uint8_t ICMP = 1;
constexpr uint8_t TCP = 6;
constexpr uint8_t UDP = 17;
constexpr uint8_t FRAGMENT = 44;
constexpr uint8_t ICMPV6 = 58;

/** Offset of the checksum in what a protocol above IP begins with; 0: there is none. */
size_t
GetChecksumOffset(uint8_t protocol)
{
    return protocol == ICMP || protocol == ICMPV6 ? 2
           : protocol == UDP                      ? 6
           : protocol == TCP                      ? 16
                                                  : 0;
}

/** @returns The sum of 16-bit numbers. */
uint32_t
Sum(std::span<const uint8_t> bytes)
{
    uint32_t sum = 0;
    for (size_t index = 0; index < bytes.size(); index += 2)
    {
        uint32_t low = index + 1 < bytes.size() ? bytes[index + 1] : 0;
        sum += static_cast<uint32_t>(bytes[index] << 8) + low;
    }
    return sum;
}

} // namespace

void
Seal(std::span<uint8_t> covered, size_t at, uint32_t more)
{
    covered[at] = covered[at + 1] = 0;
    uint32_t sum = Sum(covered) + more;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    covered[at] = static_cast<uint8_t>(~sum >> 8);
    covered[at + 1] = static_cast<uint8_t>(~sum);
}

MalformedFrames::MalformedFrames(uint64_t seed, Mac own, Mac far, double honest)
    : m_random(seed),
      m_own(own),
      m_far(far),
      m_honest(honest),
      m_noise(LONGEST)
{
    std::generate(m_noise.begin(), m_noise.end(), [this] { return Byte(); });
}

uint32_t
MalformedFrames::Draw(uint32_t below)
{
    return static_cast<uint32_t>(m_random() % below);
}

bool
MalformedFrames::Chance(double share)
{
    return static_cast<double>(Draw(1'000'000)) < share * 1e6;
}

uint8_t
MalformedFrames::Byte()
{
    return static_cast<uint8_t>(m_random());
}

void
MalformedFrames::Bytes(size_t count)
{
    auto first = m_noise.begin() + Draw(static_cast<uint32_t>(m_noise.size() - count + 1));
    m_bytes.insert(m_bytes.end(), first, first + static_cast<ptrdiff_t>(count));
}

void
MalformedFrames::Add(std::initializer_list<uint8_t> bytes)
{
    m_bytes.insert(m_bytes.end(), bytes);
}

void
MalformedFrames::AddNumber(uint32_t number, unsigned bytes)
{
    while (bytes-- > 0)
    {
        m_bytes.push_back(static_cast<uint8_t>(number >> (8 * bytes)));
    }
}

void
MalformedFrames::AddMac(const Mac& mac)
{
    m_bytes.insert(m_bytes.end(), mac.begin(), mac.end());
}

Mac
MalformedFrames::DrawMac()
{
    switch (Draw(10))
    {
    case 0:
        return {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    case 1:
        return {};
    case 2:
        return {0x01, 0x00, 0x5e, 0, 0, Byte()};
    case 3:
        return {0x33, 0x33, 0xff, 0, 0, Byte()};
    case 4:
        return {0x01, 0x80, 0xc2, 0, 0, static_cast<uint8_t>(Draw(16))}; // spanning tree and kin
    case 5:
        return m_own;
    case 6:
        return {Byte(), Byte(), Byte(), Byte(), Byte(), Byte()};
    default:
        return m_far;
    }
}

void
MalformedFrames::AddEthernet(uint16_t type)
{
    AddMac(DrawMac());
    AddMac(Chance(m_honest) ? m_own : DrawMac());
    AddNumber(type, 2);
}

void
MalformedFrames::AddIpv4Address()
{
    switch (Draw(8))
    {
    case 0:
        AddNumber(static_cast<uint32_t>(m_random()), 4);
        break;
    case 1:
        Add({10, 0, 0, 255});
        break;
    case 2:
        Add({224, 0, 0, Byte()});
        break;
    case 3:
        AddNumber(Chance(0.5) ? 0 : 0xffffffff, 4);
        break;
    default:
        Add({10, 0, static_cast<uint8_t>(Draw(2)), static_cast<uint8_t>(1 + Draw(4))});
    }
}

void
MalformedFrames::AddIpv6Address(bool source)
{
    switch (Draw(8))
    {
    case 0:
        Bytes(16);
        break;
    case 1:
        Add({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2});
        break;
    case 2:
        m_bytes.resize(m_bytes.size() + 16);
        break;
    case 3:
        // A neighbour that nobody has heard of.
        Add({0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, Byte(), Byte(), Byte(), Byte(), Byte(), Byte()});
        break;
    case 4:
        Add({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, Byte(), 0xff, 0xfe, 0, 0, Byte()});
        break;
    default:
        Add({0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(source ? 1 : 2)});
    }
}

void
MalformedFrames::AddTags()
{
    constexpr std::array<uint16_t, 4> TAGS{0x8100, 0x88a8, 0x9100, 0x9200};
    AddEthernet(TAGS[Draw(TAGS.size())]);
    for (uint32_t count = Draw(Chance(0.1) ? 300 : 4); count > 0; --count)
    {
        AddNumber(Draw(0x10000), 2);
        AddNumber(TAGS[Draw(TAGS.size())], 2);
    }
    AddNumber(Draw(0x10000), 2);
    AddNumber(Chance(0.5) ? IPV4 : Draw(0x10000), 2);
    Bytes(Draw(100));
}

void
MalformedFrames::AddLlc()
{
    AddEthernet(static_cast<uint16_t>(Draw(1600)));
    Chance(0.5) ? Add({0x42, 0x42, 0x03, 0, 0}) : Add({0xaa, 0xaa, 0x03, 0, 0, 0, 8, 0});
    Bytes(Draw(100));
}

void
MalformedFrames::AddArp()
{
    AddEthernet(ARP);
    Add({0, 1, 8, 0, 6, 4, 0, static_cast<uint8_t>(1 + Draw(2))});
    AddMac(Chance(0.5) ? m_own : DrawMac());
    AddIpv4Address();
    AddMac(DrawMac());
    AddIpv4Address();
    if (Chance(0.5))
    {
        Lie(14);
    }
}

void
MalformedFrames::AddIpv4()
{
    constexpr std::array<uint8_t, 8> PROTOCOLS{ICMP, ICMP, UDP, UDP, TCP, 2, 89, 4};
    AddEthernet(IPV4);
    size_t at = m_bytes.size();
    uint8_t protocol = Chance(0.9) ? PROTOCOLS[Draw(PROTOCOLS.size())] : Byte();
    uint32_t options = Chance(0.15) ? 4 * Draw(11) : 0;
    // Now and then a fragment: the flag that more follow, an offset, or both.
    uint32_t fragment = Chance(0.3) ? Draw(4) << 13 | (Chance(0.5) ? Draw(200) : Draw(0x2000)) : 0;
    Add({static_cast<uint8_t>(0x45 + options / 4), 0, 0, 0, 0, static_cast<uint8_t>(Draw(8))});
    AddNumber(fragment, 2);
    Add({static_cast<uint8_t>(Chance(0.8) ? 64 : Draw(3)), protocol, 0, 0});
    AddIpv4Address();
    AddIpv4Address();
    Bytes(options);
    size_t above = m_bytes.size();
    AddTransport(protocol);
    size_t total = m_bytes.size() - at;
    m_bytes[at + 2] = static_cast<uint8_t>(total >> 8);
    m_bytes[at + 3] = static_cast<uint8_t>(total);
    if (Chance(0.3))
    {
        Lie(at);
    }
    if (Chance(0.9))
    {
        RepairTransport(at + 12, 8, above, protocol);
        RepairIpv4(at);
    }
}

void
MalformedFrames::AddIpv6()
{
    constexpr std::array<uint8_t, 8> EXTENSIONS{0, 43, FRAGMENT, FRAGMENT, 60, 51, 135, 59};
    constexpr std::array<uint8_t, 4> PROTOCOLS{ICMPV6, ICMPV6, UDP, TCP};
    AddEthernet(IPV6);
    size_t at = m_bytes.size();
    uint8_t protocol = PROTOCOLS[Draw(PROTOCOLS.size())];
    Add({0x60, 0, 0, 0, 0, 0, protocol, static_cast<uint8_t>(Chance(0.7) ? 255 : Draw(3))});
    AddIpv6Address(true);
    AddIpv6Address(false);
    size_t next = at + 6;
    for (uint32_t count = Chance(0.3) ? 1 + Draw(3) : 0; count > 0; --count)
    {
        uint8_t kind = EXTENSIONS[Draw(EXTENSIONS.size())];
        m_bytes[next] = kind;
        next = m_bytes.size();
        AddExtension(protocol, kind);
    }
    size_t above = m_bytes.size();
    AddTransport(protocol);
    size_t payload = m_bytes.size() - at - 40;
    m_bytes[at + 4] = static_cast<uint8_t>(payload >> 8);
    m_bytes[at + 5] = static_cast<uint8_t>(payload);
    if (Chance(0.3))
    {
        Lie(at);
    }
    if (Chance(0.9))
    {
        RepairTransport(at + 8, 32, above, protocol);
    }
}

void
MalformedFrames::AddExtension(uint8_t next, uint8_t kind)
{
    if (kind == FRAGMENT)
    {
        Add({next, 0});
        AddNumber(Draw(400), 2);
        AddNumber(Draw(20), 4);
        return;
    }
    auto eights = static_cast<uint8_t>(Draw(3));
    Add({next, eights});
    Bytes(6U + eights * 8U);
}

void
MalformedFrames::AddTransport(uint8_t protocol)
{
    switch (protocol)
    {
    case ICMP:
        AddIcmp();
        break;
    case ICMPV6:
        AddIcmpv6();
        break;
    case TCP:
        AddTcp();
        break;
    case UDP:
        if (Chance(0.3))
        {
            AddOlsr();
            break;
        }
        AddNumber(Draw(0x10000), 2);
        AddNumber(Chance(0.5) ? 9 : Draw(0x10000), 2);
        AddNumber(Chance(0.7) ? 8 + 32 : Draw(0x10000), 2);
        AddNumber(0, 2);
        Bytes(32);
        break;
    default:
        Bytes(Draw(200));
    }
}

void
MalformedFrames::AddIcmp()
{
    constexpr std::array<uint8_t, 8> TYPES{8, 8, 0, 3, 11, 5, 13, 17};
    Add({Chance(0.9) ? TYPES[Draw(TYPES.size())] : Byte(), static_cast<uint8_t>(Draw(6)), 0, 0});
    Bytes(4);
    if (Chance(0.5))
    {
        Add({static_cast<uint8_t>(0x40 + Draw(16)), 0, 0, static_cast<uint8_t>(Draw(80))});
    }
    Bytes(Draw(Chance(0.1) ? 1400 : 80));
}

void
MalformedFrames::AddIcmpv6()
{
    constexpr std::array<uint8_t, 12> TYPES{128, 129, 135, 135, 136, 136, 133, 134, 137, 1, 2, 4};
    uint8_t type = Chance(0.95) ? TYPES[Draw(TYPES.size())] : Byte();
    Add({type, 0, 0, 0, 0, 0, 0, 0});
    if (type == 135 || type == 136)
    {
        AddIpv6Address(false);
    }
    if (type == 137)
    {
        AddIpv6Address(false);
        AddIpv6Address(true);
    }
    while (Chance(0.6))
    {
        auto eights = static_cast<uint8_t>(Draw(4));
        Add({static_cast<uint8_t>(1 + Draw(5)), eights});
        Bytes(Chance(0.9) ? std::max(6, eights * 8 - 2) : Draw(8));
    }
}

void
MalformedFrames::AddTcp()
{
    auto words = static_cast<uint8_t>(Chance(0.7) ? 5 + Draw(6) : Draw(16));
    AddNumber(Draw(0x10000), 2);
    AddNumber(Draw(100), 2);
    Bytes(8);
    Add({static_cast<uint8_t>(words << 4), Byte(), 0xff, 0xff, 0, 0, 0, 0});
    for (size_t end = m_bytes.size() + (words > 5 ? (words - 5) * 4U : 0); m_bytes.size() < end;)
    {
        Add({static_cast<uint8_t>(Draw(9)), static_cast<uint8_t>(Draw(12))});
    }
    Bytes(Draw(30));
}

void
MalformedFrames::AddOlsr()
{
    AddNumber(698, 2);
    AddNumber(698, 2);
    size_t length = m_bytes.size();
    AddNumber(0, 4);
    size_t packet = m_bytes.size();
    AddNumber(0, 4);
    for (uint32_t count = Draw(3); count > 0; --count)
    {
        uint32_t bytes = 4 * Draw(10);
        Add({static_cast<uint8_t>(Draw(6)), Byte()});
        AddNumber(Chance(0.9) ? 12 + bytes : Draw(0x10000), 2);
        AddIpv4Address();
        Add({static_cast<uint8_t>(Draw(4)), 0, 0, Byte()});
        Bytes(bytes);
    }
    size_t size = m_bytes.size() - packet;
    m_bytes[packet] = static_cast<uint8_t>(size >> 8);
    m_bytes[packet + 1] = static_cast<uint8_t>(size);
    m_bytes[length] = static_cast<uint8_t>((size + 8) >> 8);
    m_bytes[length + 1] = static_cast<uint8_t>(size + 8);
}

void
MalformedFrames::Lie(size_t from)
{
    for (uint32_t count = 1 + Draw(3); count > 0; --count)
    {
        size_t at = from + Draw(static_cast<uint32_t>(m_bytes.size() - from));
        m_bytes[at] = Chance(0.5) ? Byte() : Chance(0.5) ? 0 : 0xff;
    }
}

void
MalformedFrames::RepairIpv4(size_t at)
{
    size_t bytes = std::min(m_bytes.size() - at, std::max<size_t>(20, (m_bytes[at] & 0xfU) * 4));
    Seal(std::span(m_bytes).subspan(at, bytes), 10);
}

void
MalformedFrames::RepairTransport(size_t addresses, size_t bytes, size_t at, uint8_t protocol)
{
    size_t offset = GetChecksumOffset(protocol);
    if (offset == 0 || at + offset + 2 > m_bytes.size())
    {
        return;
    }
    uint32_t pseudo = protocol == ICMP ? 0
                                       : protocol + static_cast<uint32_t>(m_bytes.size() - at) +
                                             Sum(std::span(m_bytes).subspan(addresses, bytes));
    Seal(std::span(m_bytes).subspan(at), offset, pseudo);
}

std::span<const uint8_t>
MalformedFrames::Next()
{
    m_bytes.clear();
    switch (Draw(16))
    {
    case 0:
        Bytes(Draw(1700));
        break;
    case 1:
        Bytes(Draw(20));
        break;
    case 2:
        AddEthernet(Chance(0.5) ? IPV4 : IPV6);
        Bytes(Chance(0.9) ? 1480 + Draw(40) : Draw(LONGEST - 14));
        break;
    case 3:
        AddEthernet(static_cast<uint16_t>(Draw(0x10000)));
        Bytes(Draw(200));
        break;
    case 4:
        AddTags();
        break;
    case 5:
        AddLlc();
        break;
    case 6:
    case 7:
        AddArp();
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        AddIpv6();
        break;
    default:
        AddIpv4();
    }
    if (Chance(0.1))
    {
        m_bytes.resize(Draw(static_cast<uint32_t>(m_bytes.size() + 1)));
    }
    return m_bytes;
}

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "control-server.h"

#include "ns3/boolean.h"
#include "ns3/simulator.h"

#include <cstring>
#include <ctime>
#include <span>
#include <sys/epoll.h>
#include <utility>

namespace ns3::qemunet
{

namespace
{

/** Messages served in one turn of the loop. */
constexpr unsigned MESSAGES_PER_TURN = 16;
/** Parts of a distribution. */
constexpr uint32_t MAX_DELAY_PARTS = 1'000'000;

/**
 * Read a struct from the start of a message's body.
 *
 * @param body The body.
 * @param value Set to it.
 * @returns False if the body is too short.
 */
template <typename T>
bool
ReadBody(std::span<const std::byte> body, T& value)
{
    if (body.size() < sizeof(T))
    {
        return false;
    }
    std::memcpy(&value, body.data(), sizeof(T));
    return true;
}

/**
 * Sends entries in as many messages as they need.
 */
template <typename Entry>
void
SendPages(ControlChannel& channel, ControlType type, uint32_t id, const std::vector<Entry>& entries)
{
    constexpr size_t ENTRIES =
        (CONTROL_MAX_BYTES - sizeof(ControlHeader) - sizeof(PageBody)) / sizeof(Entry);
    for (size_t first = 0; first < entries.size(); first += ENTRIES)
    {
        size_t count = std::min(ENTRIES, entries.size() - first);
        ControlWriter writer(type, id);
        writer.Add(PageBody{static_cast<uint32_t>(count)});
        for (size_t index = first; index < first + count; ++index)
        {
            writer.Add(entries[index]);
        }
        channel.Send(writer.Take());
    }
}

} // namespace

ControlServer::ControlServer(Network& network, int fd, const TimingOptions& timing)
    : m_network(network),
      m_fd(fd),
      m_driver(network.IsOurs() ? MakeRealTimeDriver() : MakeStockDriver()),
      m_channel(fd, [this](bool wanted) { m_driver->WantWrite(wanted); }),
      m_load([this] { return CountDrops(); })
{
    if (timing.busyPoll && network.IsOurs())
    {
        Simulator::GetImplementation()->SetAttribute("BusyPoll", BooleanValue(true));
    }
    uint64_t hard = timing.hardLimitNs;
    m_driver->SetLagLimits({timing.deadlineNs, hard, [this, hard](uint64_t lagNs, uint64_t atNs) {
                                m_channel.Send(ControlWriter(ControlType::EXCEEDED, 0)
                                                   .Add(ExceededBody{lagNs, atNs, hard})
                                                   .Take());
                            }});
}

std::optional<uint32_t>
ControlServer::Run()
{
    m_driver->Run(
        m_fd,
        [this] { Reply(ControlType::READY, 0); },
        [this](uint32_t events) { Serve(events); });
    return m_stopId;
}

const LagHistogram&
ControlServer::GetLag() const
{
    return m_driver->GetLag();
}

const Load&
ControlServer::GetLoad() const
{
    return m_load.Get();
}

void
ControlServer::Serve(uint32_t events)
{
    if (events & EPOLLOUT)
    {
        m_channel.FlushKept();
    }
    for (unsigned count = 0; count < MESSAGES_PER_TURN; ++count)
    {
        ControlMessage message;
        switch (m_channel.Receive(message))
        {
        case ControlChannel::Status::MESSAGE:
            Handle(message);
            break;
        case ControlChannel::Status::BROKEN:
            Refuse(message.header.id, ControlError::MALFORMED, "not a message of this version");
            break;
        case ControlChannel::Status::CLOSED:
            m_driver->Stop();
            return;
        case ControlChannel::Status::EMPTY:
            if (m_channel.IsOverrun())
            {
                m_driver->Stop();
            }
            return;
        }
    }
}

void
ControlServer::Reply(ControlType type, uint32_t id)
{
    m_channel.Send(ControlWriter(type, id).Take());
}

void
ControlServer::Refuse(uint32_t id, ControlError code, const std::string& text)
{
    ControlWriter writer(ControlType::ERROR, id);
    writer.Add(ErrorBody{static_cast<uint32_t>(code)});
    for (char character : text)
    {
        writer.Add(character);
    }
    m_channel.Send(writer.Take());
}

void
ControlServer::Handle(ControlMessage& message)
{
    uint32_t id = message.header.id;
    switch (static_cast<ControlType>(message.header.type))
    {
    case ControlType::ATTACH_DOOR:
        AttachDoor(message);
        break;
    case ControlType::ATTACH_CONSOLE:
        AttachConsole(message);
        break;
    case ControlType::START:
        Start(id);
        break;
    case ControlType::FIRE:
        Fire(message);
        break;
    case ControlType::COUNTERS:
        m_driver->Post(0, [this, id] {
            SendCounters(id);
            Reply(ControlType::OK, id);
        });
        break;
    case ControlType::SET_LINK:
        SetLink(message);
        break;
    case ControlType::DEFINE_DELAY:
        DefineDelay(message);
        break;
    case ControlType::STOP:
        Stop(id);
        break;
    case ControlType::ARRIVALS:
        SendArrivals(id);
        break;
    default:
        Refuse(id,
               ControlError::UNKNOWN,
               "no request of type " + std::to_string(message.header.type));
    }
}

void
ControlServer::AttachDoor(ControlMessage& message)
{
    uint32_t id = message.header.id;
    NumberBody body;
    if (!ReadBody(message.body, body) || message.fds.size() != 1)
    {
        Refuse(id, ControlError::MALFORMED, "attaching a door takes its number and one descriptor");
        return;
    }
    auto door = m_network.GetDoors().find(body.number);
    if (door == m_network.GetDoors().end())
    {
        Refuse(id, ControlError::UNKNOWN, "no door " + std::to_string(body.number));
    }
    else if (!door->second->Attach(std::move(message.fds.front())))
    {
        Refuse(
            id,
            ControlError::VALUE,
            "the descriptor for a door is neither a datagram socket nor a tap nor a stream socket");
    }
    else
    {
        Reply(ControlType::OK, id);
    }
}

void
ControlServer::AttachConsole(ControlMessage& message)
{
    ConsoleBody body;
    if (!ReadBody(message.body, body) || message.fds.empty() || message.fds.size() > 2)
    {
        Refuse(message.header.id,
               ControlError::MALFORMED,
               "attaching a console takes its number, a process and one or two descriptors");
        return;
    }
    m_consoles[body.number] =
        std::make_shared<const Console>(std::move(message.fds.front()), pid_t{body.guest});
    m_answers.erase(body.number);
    if (message.fds.size() == 2)
    {
        m_answers[body.number] = std::make_shared<const UniqueFd>(std::move(message.fds.back()));
    }
    Reply(ControlType::OK, message.header.id);
}

void
ControlServer::Start(uint32_t id)
{
    if (m_driver->HasBegun())
    {
        Refuse(id, ControlError::STATE, "the simulation has started already");
        return;
    }
    m_network.Open();
    ControlWriter writer(ControlType::STARTED, id);
    writer.Add(StartedBody{m_driver->Begin()});
    m_channel.Send(writer.Take());
    m_driver->Post(0, [this] { m_load.Begin(); });
}

void
ControlServer::Fire(const ControlMessage& message)
{
    uint32_t id = message.header.id;
    FireBody body;
    if (!ReadBody(message.body, body) ||
        message.body.size() != sizeof(body) + sizeof(uint32_t) * body.count)
    {
        Refuse(id, ControlError::MALFORMED, "firing takes an instant and the consoles' numbers");
        return;
    }
    if (!m_driver->HasBegun())
    {
        Refuse(id, ControlError::STATE, "the simulation has not started");
        return;
    }
    if (body.atNs < 0)
    {
        Refuse(id, ControlError::VALUE, "an instant before time 0");
        return;
    }
    std::vector<NumberedConsole> consoles;
    std::vector<ExpectedAnswer> expected;
    for (uint32_t index = 0; index < body.count; ++index)
    {
        uint32_t number;
        std::memcpy(&number,
                    message.body.data() + sizeof(body) + index * sizeof(number),
                    sizeof(number));
        auto console = m_consoles.find(number);
        if (console == m_consoles.end())
        {
            Refuse(id, ControlError::UNKNOWN, "no console " + std::to_string(number));
            return;
        }
        consoles.emplace_back(number, console->second);
        if (auto answer = m_answers.find(number); answer != m_answers.end())
        {
            expected.push_back({number, answer->second, console->second->GetReaders()});
        }
    }
    auto at = static_cast<uint64_t>(body.atNs);
    uint32_t late = at != 0 && at < m_driver->RealNow() ? 1 : 0;
    m_driver->Post(
        at,
        [this, id, late, consoles = std::move(consoles), expected = std::move(expected)] {
            m_watch.Expect(expected);
            std::vector<FiredConsole> fired = FireConsoles(consoles);
            ControlWriter writer(ControlType::FIRED, id);
            writer.Add(FiredBody{Simulator::Now().GetNanoSeconds(),
                                 late,
                                 static_cast<uint32_t>(fired.size())});
            for (const FiredConsole& console : fired)
            {
                writer.Add(console);
            }
            m_channel.Send(writer.Take());
        });
}

void
ControlServer::SetLink(const ControlMessage& message)
{
    uint32_t id = message.header.id;
    SetLinkBody body;
    if (!ReadBody(message.body, body) || message.body.size() != sizeof(body))
    {
        Refuse(id,
               ControlError::MALFORMED,
               "setting a link takes an instant, link, changes and impairments");
        return;
    }
    if (body.link >= m_network.GetLinks().size() || body.changes == 0 || body.changes > CHANGE_ALL)
    {
        Refuse(id, ControlError::UNKNOWN, "no such link or change");
        return;
    }
    if (body.atNs < 0 || !m_network.Knows(body.there) || !m_network.Knows(body.back))
    {
        Refuse(id, ControlError::VALUE, "shares are 0 to 1, times are not negative");
        return;
    }
    const Network::Link& link = m_network.GetLinks()[body.link];
    bool upOrDown = (body.changes & (CHANGE_THERE | CHANGE_BACK)) == 0;
    if (!link.wire && !link.csma && !((link.medium || link.pointToPoint) && upOrDown))
    {
        Refuse(id, ControlError::UNSUPPORTED, "only wire and csma can be changed");
        return;
    }
    if (!link.wire && (body.changes & CHANGE_THERE) && body.there.rateBps != link.shared.rateBps)
    {
        Refuse(id,
               ControlError::UNSUPPORTED,
               "ns-3's csma takes its rate once; a wire can change it while the simulation runs");
        return;
    }
    m_driver->Post(static_cast<uint64_t>(body.atNs), [this, id, body] {
        bool wire = static_cast<bool>(m_network.GetLinks()[body.link].wire);
        if (!wire && (body.changes & CHANGE_THERE))
        {
            m_network.SetCsma(body.link, body.there);
        }
        if (wire && (body.changes & CHANGE_THERE))
        {
            m_network.SetWire(body.link, 0, body.there);
        }
        if (wire && (body.changes & CHANGE_BACK))
        {
            m_network.SetWire(body.link, 1, body.back);
        }
        if (body.changes & (CHANGE_UP | CHANGE_DOWN))
        {
            m_network.SetUp(body.link, (body.changes & CHANGE_UP) != 0);
        }
        m_channel.Send(ControlWriter(ControlType::CHANGED, id)
                           .Add(ChangedBody{Simulator::Now().GetNanoSeconds()})
                           .Take());
    });
}

void
ControlServer::DefineDelay(const ControlMessage& message)
{
    uint32_t id = message.header.id;
    DefineDelayBody body;
    if (!ReadBody(message.body, body) || body.count == 0 || body.total > MAX_DELAY_PARTS ||
        message.body.size() != sizeof(body) + sizeof(DelayPart) * uint64_t{body.count})
    {
        Refuse(id, ControlError::MALFORMED, "defining a delay takes its parts");
        return;
    }
    if (body.first == 0)
    {
        m_delay.clear();
    }
    if (body.first != m_delay.size() || uint64_t{body.first} + body.count > body.total)
    {
        Refuse(id, ControlError::STATE, "the parts of a delay come in order");
        return;
    }
    m_delay.resize(body.first + body.count);
    std::memcpy(m_delay.data() + body.first,
                message.body.data() + sizeof(body),
                sizeof(DelayPart) * body.count);
    if (!DelayDistribution::IsValid(std::span(m_delay).subspan(body.first)))
    {
        m_delay.clear();
        Refuse(id, ControlError::VALUE, "a part of a delay makes no sense");
        return;
    }
    if (m_delay.size() < body.total)
    {
        Reply(ControlType::OK, id);
        return;
    }
    std::vector<DelayPart> parts = std::exchange(m_delay, {});
    // In the simulation's thread, as everything that looks at the network's delays.
    m_driver->Post(0, [this, id, parts = std::move(parts)] {
        NumberBody number{m_network.AddDelay(parts)};
        m_channel.Send(ControlWriter(ControlType::DEFINED, id).Add(number).Take());
    });
}

void
ControlServer::Stop(uint32_t id)
{
    m_driver->Post(0, [this, id] {
        m_load.End();
        SendCounters(id);
        m_stopId = id;
        // In here: with the stock simulator this is another thread, and nothing may follow the
        // counters.
        m_driver->Stop();
    });
}

void
ControlServer::SendArrivals(uint32_t id)
{
    std::vector<ArrivedConsole> arrivals = m_watch.GetArrivals();
    ControlWriter writer(ControlType::ARRIVED, id);
    writer.Add(PageBody{static_cast<uint32_t>(arrivals.size())});
    for (const ArrivedConsole& arrival : arrivals)
    {
        writer.Add(arrival);
    }
    m_channel.Send(writer.Take());
}

uint64_t
ControlServer::CountDrops() const
{
    uint64_t drops = 0;
    for (const auto& [number, door] : m_network.GetDoors())
    {
        drops += door->GetCounters().inMalformed + door->GetCounters().outDropped;
    }
    return drops;
}

void
ControlServer::SendCounters(uint32_t id)
{
    const LagHistogram& lag = m_driver->GetLag();
    timespec cpu{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    ControlWriter writer(ControlType::LAG, id);
    writer.Add(LagBody{lag.GetCount(),
                       lag.GetQuantileNs(0.5),
                       lag.GetQuantileNs(0.99),
                       lag.GetQuantileNs(0.999),
                       lag.GetMaxNs(),
                       lag.GetMaxAtNs(),
                       Simulator::GetEventCount(),
                       static_cast<uint64_t>(cpu.tv_sec) * 1'000'000'000 +
                           static_cast<uint64_t>(cpu.tv_nsec)});
    m_channel.Send(writer.Take());

    std::vector<DoorEntry> doors;
    for (const auto& [number, door] : m_network.GetDoors())
    {
        doors.push_back({number, 0, door->GetCounters()});
    }
    SendPages(m_channel, ControlType::DOORS, id, doors);

    std::vector<LinkEntry> links;
    for (uint32_t number = 0; number < m_network.GetLinks().size(); ++number)
    {
        const Network::Link& link = m_network.GetLinks()[number];
        if (link.watch)
        {
            links.push_back({number, 0, link.watch->GetCounters()});
            continue;
        }
        if (link.medium)
        {
            links.push_back({number, 0, link.medium->GetCounters()});
            continue;
        }
        if (link.pointToPoint)
        {
            links.push_back({number, 0, link.pointToPoint->GetCounters(0)});
            links.push_back({number, 1, link.pointToPoint->GetCounters(1)});
            continue;
        }
        if (!link.wire)
        {
            continue;
        }
        links.push_back({number, 0, link.wire->GetDirection(0).GetCounters()});
        links.push_back({number, 1, link.wire->GetDirection(1).GetCounters()});
    }
    SendPages(m_channel, ControlType::LINKS, id, links);
}

} // namespace ns3::qemunet

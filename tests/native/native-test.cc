/*
 * SPDX-License-Identifier: GPL-2.0-only
 */

/**
 * @file
 * The native part in one process, for the sanitizers: real sockets, real time, the test plays
 * guests and controller in threads of its own. `qemunet-native-test [frames]`: how many random
 * frames go through each kind of device.
 */

#include "check.h"
#include "controller.h"
#include "stream-test.h"
#include "timing-test.h"
#include "wire-test.h"

#include "ns3/node-list.h"
#include "ns3/simulator.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <iostream>
#include <poll.h>
#include <pty.h>
#include <random>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <thread>

using namespace ns3;
using namespace ns3::qemunet;

namespace
{

/** Two nodes with a door each on a link of a kind. */
std::unique_ptr<Network>
MakePair(bool csma, const Impairments& impairments)
{
    auto network = std::make_unique<Network>("qemunet", 1, false);
    network->AddNode("a");
    network->AddNode("b");
    if (csma)
    {
        uint32_t link = network->AddCsma(1500, impairments);
        network->AddCsmaEnd(link, 0, "");
        network->AddCsmaEnd(link, 1, "");
    }
    else
    {
        network->AddWire({0, 1}, {"", ""}, 1500, {impairments, impairments});
    }
    network->AddDoor(0, 0, 0);
    network->AddDoor(1, 1, 0);
    return network;
}

/** A guest on a point-to-point link, then ns-3 nodes: a router, a bridge, a host; all that a guest
 * can send to. */
std::unique_ptr<Network>
MakeRouted()
{
    auto network = std::make_unique<Network>("qemunet", 1, true);
    for (const char* name : {"a", "r", "s", "h"})
    {
        network->AddNode(name);
    }
    const std::array<std::string, 2> addresses{"02:00:00:00:00:01", "02:00:00:00:00:02"};
    uint32_t link = network->AddPointToPoint({0, 1}, addresses, 1500, {});
    network->AddPointToPointDoor(0, link, 0, addresses);
    network->AddWire({1, 2}, {"", ""}, 1500, {});
    network->AddWire({2, 3}, {"", ""}, 1500, {});
    network->AddBridge(2);
    network->AddStack(1,
                      {true, true, true, 64},
                      "address 0 10.0.0.2 24\naddress 0 fd00::2 64\naddress 1 10.0.1.1 24\n"
                      "exclude 0\nannounce 10.0.0.0 24\nmtu 1 1400");
    network->AddStack(3,
                      {false, false, false, 64},
                      "address 0 10.0.1.2 24\nroute 0.0.0.0 0 10.0.1.1 0");
    return network;
}

void
TestLagHistogram()
{
    LagHistogram lag;
    CHECK(lag.GetQuantileNs(0.5) == 0);
    for (int64_t value = 1; value <= 1000; ++value)
    {
        lag.Record(value * 1000, static_cast<uint64_t>(value));
    }
    lag.Record(-5, 0);
    CHECK(lag.GetCount() == 1001 && lag.GetMaxNs() == 1'000'000 && lag.GetMaxAtNs() == 1000);
    CHECK(lag.GetQuantileNs(0.5) >= 500'000 && lag.GetQuantileNs(0.5) <= 500'000 * 1.07);
    CHECK(lag.GetQuantileNs(1) == 1'000'000);
    lag.Record(INT64_MAX, 1);
    CHECK(lag.GetQuantileNs(1) == INT64_MAX);
}

/** Frames of random length and content: nothing may break, and every one is accounted for. */
void
TestRandomFrames(bool csma, const Impairments& impairments, unsigned count)
{
    auto network = MakePair(csma, impairments);
    std::atomic<bool> done{false};
    uint64_t received = 0;
    RunWith(*network, [&](const Controller& controller) {
        Pair a(SOCK_DGRAM);
        Pair b(SOCK_DGRAM);
        controller.Attach(ControlType::ATTACH_DOOR, 0, a.theirs.Get());
        controller.Attach(ControlType::ATTACH_DOOR, 1, b.theirs.Get());
        controller.Start();
        std::thread reader([&] {
            std::vector<std::byte> bytes(65536);
            while (!done)
            {
                pollfd ready{b.ours.Get(), POLLIN, 0};
                if (::poll(&ready, 1, 20) == 1 &&
                    ::recv(b.ours.Get(), bytes.data(), bytes.size(), MSG_DONTWAIT) >= 0)
                {
                    ++received;
                }
            }
        });
        std::mt19937 random(1);
        std::vector<uint8_t> bytes(9000);
        for (auto& byte : bytes)
        {
            byte = static_cast<uint8_t>(random());
        }
        for (unsigned index = 0; index < count; ++index)
        {
            // Mostly of plausible length, some short, some giant; the type field sweeps lengths and
            // EtherTypes.
            size_t size = index % 16 == 0 ? random() % bytes.size() : random() % 1600;
            bytes[12] = static_cast<uint8_t>(index % 3 == 0 ? random() % 6 : random());
            bytes[13] = static_cast<uint8_t>(random());
            CHECK(::send(a.ours.Get(), bytes.data(), size, 0) == static_cast<ssize_t>(size));
        }
        controller.Synchronize();
        done = true;
        reader.join();
        controller.Synchronize();
    });
    const DoorCounters& in = network->GetDoors().at(0)->GetCounters();
    const DoorCounters& out = network->GetDoors().at(1)->GetCounters();
    CHECK(in.inFrames + in.inMalformed == count);
    CHECK(in.inMalformed > count / 40 && in.inFrames > count / 2);
    CHECK(received > 0 && received <= out.outFrames);
    if (!csma)
    {
        const LinkCounters& link = network->GetLinks()[0].wire->GetDirection(0).GetCounters();
        CHECK(link.sentFrames == in.inFrames);
        CHECK(link.deliveredFrames + link.droppedLoss + link.droppedQueue <=
              link.sentFrames + link.duplicated);
    }
}

/** An MTU that grows while frames come: none is read into, or sent from, room for a smaller one. */
void
TestGrownMtu()
{
    constexpr unsigned FRAMES = 200;
    auto network = MakePair(false, {});
    // Not counted: references are for the simulation's thread.
    NetDevice* device = PeekPointer(NodeList::GetNode(0)->GetDevice(0));
    RunWith(*network, [device](const Controller& controller) {
        Pair a(SOCK_DGRAM);
        controller.Attach(ControlType::ATTACH_DOOR, 0, a.theirs.Get());
        controller.Start();
        std::atomic<unsigned> grown{0};
        auto grow = [device, &grown] {
            CHECK(device->SetMtu(9000));
            CHECK(device->Send(Create<Packet>(9000), device->GetBroadcast(), 0x0800));
            ++grown;
        };
        std::vector<uint8_t> bytes(9000, 1);
        for (size_t size : {size_t{1000}, bytes.size()})
        {
            for (unsigned index = 0; index < FRAMES; ++index)
            {
                CHECK(::send(a.ours.Get(), bytes.data(), size, 0) == static_cast<ssize_t>(size));
            }
            controller.Synchronize();
            unsigned before = grown;
            Simulator::ScheduleWithContext(0, Time(0), grow);
            while (grown == before)
            {
                std::this_thread::yield();
            }
        }
    });
    const DoorCounters& in = network->GetDoors().at(0)->GetCounters();
    // The door keeps the MTU that it was made for.
    CHECK(in.inFrames == FRAMES && in.inMalformed == FRAMES);
    const LinkCounters& link = network->GetLinks()[0].wire->GetDirection(0).GetCounters();
    CHECK(link.deliveredBytes == FRAMES * 1000 + 2 * (9000 + ETHERNET_HEADER_BYTES));
}

/** Packets of random content to ns-3's own nodes: nothing may break. */
void
TestRandomPackets(unsigned count)
{
    auto network = MakeRouted();
    RunWith(*network, [&](const Controller& controller) {
        Pair a(SOCK_DGRAM);
        controller.Attach(ControlType::ATTACH_DOOR, 0, a.theirs.Get());
        controller.Start();
        std::mt19937 random(2);
        // An echo request to the router's address, or beyond it; then bytes of it change.
        const std::array<uint8_t, 42> echo{2,    0, 0,  0,  0, 2, 2, 0, 0,    0,    0, 1, 8,  0,
                                           0x45, 0, 0,  28, 0, 1, 0, 0, 64,   1,    0, 0, 10, 0,
                                           0,    1, 10, 0,  0, 2, 8, 0, 0xf7, 0xff, 0, 0, 0,  0};
        std::vector<uint8_t> bytes;
        for (unsigned index = 0; index < count; ++index)
        {
            bytes.assign(echo.begin(), echo.end());
            bytes.resize(random() % 3 == 0 ? 14 + random() % 80 : bytes.size());
            bytes[13] = static_cast<uint8_t>(index % 5 == 0 ? 6 : 0);
            if (index % 4 == 0)
            {
                bytes[12] = 0x86;
                bytes[13] = 0xdd;
            }
            for (unsigned change = random() % 4; change > 0; --change)
            {
                bytes[12 + random() % (bytes.size() - 12)] = static_cast<uint8_t>(random());
            }
            CHECK(::send(a.ours.Get(), bytes.data(), bytes.size(), 0) ==
                  static_cast<ssize_t>(bytes.size()));
            while (::recv(a.ours.Get(), bytes.data(), bytes.size(), MSG_DONTWAIT) >= 0)
            {
            }
        }
        // Each goes through the loop once, and takes a batch of what waits in the socket along.
        for (unsigned turn = 0; turn < 100; ++turn)
        {
            controller.Synchronize();
        }
    });
    CHECK(network->GetDoors().at(0)->GetCounters().inFrames == count);
}

/** Other threads schedule while the loop runs: each event runs once, in the simulation's thread. */
void
TestForeignThreads()
{
    auto network = MakePair(false, {});
    constexpr unsigned THREADS = 4;
    constexpr unsigned EVENTS = 20000;
    unsigned executed = 0;
    RunWith(*network, [&](const Controller& controller) {
        controller.Start();
        std::vector<std::thread> threads;
        for (unsigned number = 0; number < THREADS; ++number)
        {
            threads.emplace_back([&] {
                for (unsigned index = 0; index < EVENTS; ++index)
                {
                    Simulator::ScheduleWithContext(index % 2, MicroSeconds(index % 50), [&] {
                        ++executed;
                    });
                }
            });
        }
        for (std::thread& thread : threads)
        {
            thread.join();
        }
        controller.Send(ControlWriter(ControlType::COUNTERS, 3).Take());
        std::vector<std::byte> lag = controller.Await(ControlType::LAG);
        LagBody body;
        std::memcpy(&body, lag.data() + sizeof(ControlHeader), sizeof(body));
        while (body.events < uint64_t{THREADS} * EVENTS)
        {
            controller.Await(ControlType::OK);
            controller.Send(ControlWriter(ControlType::COUNTERS, 3).Take());
            lag = controller.Await(ControlType::LAG);
            std::memcpy(&body, lag.data() + sizeof(ControlHeader), sizeof(body));
        }
    });
    CHECK(executed == THREADS * EVENTS);
}

/** Events without delay, without end: frames pass and messages are answered all the same, and how
 * late the events are is told when they are too late. */
void
TestStorm()
{
    auto network = MakePair(false, {});
    Pair pair(SOCK_SEQPACKET);
    std::thread controller([&] {
        Controller self(pair.ours.Get());
        self.Await(ControlType::READY);
        Pair a(SOCK_DGRAM);
        Pair b(SOCK_DGRAM);
        self.Attach(ControlType::ATTACH_DOOR, 0, a.theirs.Get());
        self.Attach(ControlType::ATTACH_DOOR, 1, b.theirs.Get());
        self.Start();
        std::function<void()> storm = [&storm] { Simulator::ScheduleNow(storm); };
        Simulator::ScheduleWithContext(0, Time(0), storm);
        std::vector<std::byte> told = self.Await(ControlType::EXCEEDED);
        ExceededBody body;
        CHECK(told.size() == sizeof(ControlHeader) + sizeof(body));
        std::memcpy(&body, told.data() + sizeof(ControlHeader), sizeof(body));
        CHECK(body.limitNs == 1'000'000 && body.lagNs > body.limitNs);
        std::array<char, 100> frame{};
        for (unsigned count = 0; count < 1000; ++count)
        {
            CHECK(::send(a.ours.Get(), frame.data(), frame.size(), 0) == 100);
            CHECK(::recv(b.ours.Get(), frame.data(), frame.size(), 0) == 100);
            self.Synchronize();
        }
        self.Send(ControlWriter(ControlType::STOP, 77).Take());
        self.Await(ControlType::LAG);
    });
    ControlServer server(*network, pair.theirs.Get(), {1000, 1'000'000, false});
    CHECK(server.Run() == 77U);
    controller.join();
    CHECK(server.GetLag().GetMissed() > 1000 && server.GetLoad().wallNs > 1'000'000);
}

/** A guest that sends as much as it can to one that reads nothing: events run and messages are
 * answered all the same, and no memory grows. */
void
TestFlood(bool csma)
{
    auto network = MakePair(csma, {});
    std::atomic<unsigned> ticks{0};
    std::atomic<bool> done{false};
    std::function<void()> tick = [&] {
        ++ticks;
        Simulator::Schedule(MilliSeconds(1), tick);
    };
    RunWith(*network, [&](const Controller& controller) {
        Pair a(SOCK_DGRAM);
        Pair b(SOCK_DGRAM);
        controller.Attach(ControlType::ATTACH_DOOR, 0, a.theirs.Get());
        controller.Attach(ControlType::ATTACH_DOOR, 1, b.theirs.Get());
        controller.Start();
        Simulator::ScheduleWithContext(0, MilliSeconds(1), tick);
        std::thread sender([&] {
            std::array<char, 100> frame{};
            frame.fill(2);
            while (!done)
            {
                pollfd room{a.ours.Get(), POLLOUT, 0};
                ::poll(&room, 1, 20);
                while (::send(a.ours.Get(), frame.data(), frame.size(), MSG_DONTWAIT) > 0 && !done)
                {
                }
            }
        });
        std::array<DoorEntry, 2> entries{};
        const DoorCounters& in = entries[0].counters;
        const DoorCounters& out = entries[1].counters;
        while (ticks < 200 || out.outDropped == 0)
        {
            controller.Send(ControlWriter(ControlType::COUNTERS, 9).Take());
            std::vector<std::byte> doors = controller.Await(ControlType::DOORS, 9);
            CHECK(doors.size() == sizeof(ControlHeader) + sizeof(PageBody) + sizeof(entries));
            std::memcpy(entries.data(),
                        doors.data() + sizeof(ControlHeader) + sizeof(PageBody),
                        sizeof(entries));
            controller.Await(ControlType::OK, 9);
        }
        done = true;
        sender.join();
        // All but what waits, in the queue and on the link, was delivered or dropped.
        CHECK(in.inFrames > FrameDoor::QUEUE_FRAMES);
        CHECK(out.outFrames + out.outDropped <= in.inFrames);
    });
}

/** Messages of random content, with and without descriptors: refused, and nothing is left open. */
void
TestRandomMessages(unsigned count)
{
    auto network = MakePair(false, {});
    RunWith(*network, [&](const Controller& controller) {
        Pair door(SOCK_DGRAM);
        std::mt19937 random(2);
        for (unsigned index = 0; index < count; ++index)
        {
            ControlWriter writer(static_cast<ControlType>(random() % 80), 5);
            if (random() % 79 == 0)
            {
                writer = ControlWriter(ControlType::SET_LINK, 5);
                writer.Add(SetLinkBody{0, 0, static_cast<uint32_t>(1 + random() % 15), {}, {}});
            }
            if (random() % 79 == 0)
            {
                writer = ControlWriter(ControlType::DEFINE_DELAY, 5);
                writer.Add(DefineDelayBody{static_cast<uint32_t>(random() % 3),
                                           static_cast<uint32_t>(random() % 2),
                                           1});
                writer.Add(DelayPart{static_cast<uint32_t>(random() % 4), 0, 1, 1, 2, 0, 0});
            }
            std::vector<std::byte> bytes = writer.Take();
            for (unsigned extra = random() % 200; extra > 0; --extra)
            {
                bytes.push_back(static_cast<std::byte>(random()));
            }
            ControlHeader header;
            std::memcpy(&header, bytes.data(), sizeof(header));
            if (header.type == static_cast<uint16_t>(ControlType::STOP))
            {
                continue;
            }
            if (index % 7 == 0)
            {
                bytes[random() % sizeof(header.version)] = static_cast<std::byte>(random());
            }
            controller.Send(bytes, index % 5 == 0 ? door.theirs.Get() : -1);
            if (index % 256 == 0)
            {
                controller.Synchronize();
            }
        }
        controller.Synchronize();
    });
}

/** A terminal: where the simulation types, and where the guest reads. */
struct Terminal
{
    Terminal()
    {
        int master;
        int slave;
        termios raw{};
        ::cfmakeraw(&raw);
        CHECK(::openpty(&master, &slave, nullptr, &raw, nullptr) == 0);
        theirs = UniqueFd(master);
        ours = UniqueFd(slave);
    }

    /** Type until it takes no more, and leave the descriptor blocking. */
    void Fill() const
    {
        CHECK(::fcntl(theirs.Get(), F_SETFL, O_RDWR | O_NONBLOCK) == 0);
        int moved = 0;
        // The kernel moves what was typed to the guest's end in its own time, up to 4,095 bytes,
        // which makes room again.
        do
        {
            CHECK(::ioctl(ours.Get(), FIONREAD, &moved) == 0);
            while (::write(theirs.Get(), "x", 1) > 0)
            {
            }
        } while (moved < 4095);
        CHECK(::fcntl(theirs.Get(), F_SETFL, O_RDWR) == 0);
    }

    UniqueFd ours;   //!< The guest's end.
    UniqueFd theirs; //!< The simulation's end.
};

/** Fire consoles and return what became of each. */
std::vector<FiredConsole>
Fire(const Controller& controller, int64_t atNs, const std::vector<uint32_t>& numbers)
{
    ControlWriter writer(ControlType::FIRE, 6);
    writer.Add(FireBody{atNs, static_cast<uint32_t>(numbers.size())});
    for (uint32_t number : numbers)
    {
        writer.Add(number);
    }
    controller.Send(writer.Take());
    std::vector<std::byte> reply = controller.Await(ControlType::FIRED);
    std::vector<FiredConsole> fired(numbers.size());
    CHECK(reply.size() ==
          sizeof(ControlHeader) + sizeof(FiredBody) + fired.size() * sizeof(FiredConsole));
    std::memcpy(fired.data(),
                reply.data() + sizeof(ControlHeader) + sizeof(FiredBody),
                fired.size() * sizeof(FiredConsole));
    return fired;
}

/** Firing, among consoles two that nobody reads and one whose guest has gone. */
void
TestFire()
{
    auto network = MakePair(false, {});
    RunWith(*network, [&](const Controller& controller) {
        std::vector<Pair> sockets;
        std::vector<Terminal> terminals(10);
        std::vector<uint32_t> numbers;
        for (uint32_t index = 0; index < 10; ++index)
        {
            sockets.emplace_back(SOCK_STREAM);
            controller.Attach(ControlType::ATTACH_CONSOLE, 2 * index, sockets.back().theirs.Get());
            controller.Attach(ControlType::ATTACH_CONSOLE,
                              2 * index + 1,
                              terminals[index].theirs.Get());
            numbers.insert(numbers.end(), {2 * index, 2 * index + 1});
        }
        std::vector<char> full(4096);
        while (::send(sockets[1].theirs.Get(), full.data(), full.size(), MSG_DONTWAIT) > 0)
        {
        }
        terminals[1].Fill();
        sockets[2].ours = UniqueFd();
        controller.Start();
        int64_t last = 0;
        for (int64_t round = 0; round < 1000; ++round)
        {
            std::vector<FiredConsole> fired = Fire(controller, round == 0 ? 5'000'000 : 0, numbers);
            for (uint32_t number : numbers)
            {
                const FiredConsole& console = fired[number];
                int expected = number / 2 == 1 ? EAGAIN : number == 4 ? EPIPE : 0;
                CHECK(console.console == number && console.error == expected &&
                      console.writtenNs >= last);
                last = console.writtenNs;
                int guest = number % 2 == 0 ? sockets[number / 2].ours.Get()
                                            : terminals[number / 2].ours.Get();
                for (char key : {' ', '\n'})
                {
                    char seen = key;
                    CHECK(expected != 0 || (::read(guest, &seen, 1) == 1 && seen == key));
                }
            }
        }
    });
}

/** The stock simulator, whose control socket has a thread of its own. */
void
TestStockSimulator()
{
    auto network = std::make_unique<Network>("ns3", 1, false);
    network->AddNode("a");
    network->AddNode("b");
    uint32_t link = network->AddCsma(1500, {});
    network->AddCsmaEnd(link, 0, "");
    network->AddCsmaEnd(link, 1, "");
    RunWith(*network, [&](const Controller& controller) {
        Pair console(SOCK_STREAM);
        controller.Attach(ControlType::ATTACH_CONSOLE, 0, console.theirs.Get());
        controller.Synchronize();
        controller.Start();
        for (int64_t atNs : {0, 1, 50'000'000})
        {
            controller.Send(
                ControlWriter(ControlType::FIRE, 6).Add(FireBody{atNs, 1}).Add(uint32_t{0}).Take());
            controller.Await(ControlType::FIRED);
            controller.Synchronize();
        }
        char typed[7];
        CHECK(::recv(console.ours.Get(), typed, sizeof(typed), 0) == 6);
    });
}

/** The controller goes away without a word. */
void
TestControllerGone()
{
    auto network = MakePair(false, {});
    Pair pair(SOCK_SEQPACKET);
    pair.ours = UniqueFd();
    CHECK(!ControlServer(*network, pair.theirs.Get()).Run());
}

} // namespace

void
TestLagTimeline()
{
    LagTimeline lag;
    CHECK(lag.GetIntervals().empty());
    uint64_t interval = lag.GetIntervalNs();
    for (uint64_t number = 0; number < LagTimeline::INTERVALS; ++number)
    {
        for (uint64_t event = 1; event <= 100; ++event)
        {
            lag.Record(event * 1000 + number, number * interval + event);
        }
    }
    std::vector<LagTimeline::Interval> intervals = lag.GetIntervals();
    CHECK(lag.GetIntervalNs() == interval && intervals.size() == LagTimeline::INTERVALS);
    for (uint64_t number = 0; number < intervals.size(); ++number)
    {
        CHECK(intervals[number].events == 100 && intervals[number].maxNs == 100'000 + number);
        CHECK(intervals[number].p99Ns >= 99'000 + number &&
              intervals[number].p99Ns <= 1.125 * (99'000 + number));
    }
    // One event beyond what there is room for: pairs become one. Far beyond: all are in the first.
    lag.Record(7, LagTimeline::INTERVALS * interval);
    intervals = lag.GetIntervals();
    CHECK(lag.GetIntervalNs() == 2 * interval &&
          intervals.size() == LagTimeline::INTERVALS / 2 + 1);
    CHECK(intervals[3].events == 200 && intervals[3].maxNs == 100'007);
    CHECK(intervals.back().events == 1 && intervals.back().p99Ns == 7);
    lag.Record(UINT64_MAX, 20'000 * LagTimeline::INTERVALS * interval);
    intervals = lag.GetIntervals();
    CHECK(intervals.size() <= LagTimeline::INTERVALS);
    CHECK(intervals[0].events == 100 * LagTimeline::INTERVALS + 1 && intervals[0].maxNs == 100'255);
    CHECK(intervals.back().p99Ns == UINT64_MAX && intervals[1].events == 0 &&
          intervals[1].p99Ns == 0);
}

int
main(int argc, char** argv)
{
    unsigned frames = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 100000;
    TestLagHistogram();
    TestLagTimeline();
    TestTiming();
    TestWires();
    TestPcap();
    TestLengthStream(frames);
    Impairments bad;
    bad.rateBps = 1'000'000'000;
    bad.delayNs = 1'000'000;
    bad.jitterNs = 500'000;
    bad.loss = bad.duplicate = bad.reorder = 0.1;
    bad.queueFrames = 50;
    TestRandomFrames(false, {}, frames);
    TestRandomFrames(false, bad, frames);
    TestRandomFrames(true, {}, frames);
    TestGrownMtu();
    TestRandomPackets(frames);
    TestForeignThreads();
    TestStorm();
    TestFlood(false);
    TestFlood(true);
    TestRandomMessages(frames / 5);
    TestFire();
    TestStockSimulator();
    TestControllerGone();
    std::cout << "native tests passed" << std::endl;
    return 0;
}

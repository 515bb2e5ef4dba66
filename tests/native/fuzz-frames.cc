/*
 * SPDX-License-Identifier: GPL-2.0-only
 */

/**
 * @file
 * Guests that misbehave: malformed frames through each kind of device and each way in, or frames
 * without end. Nothing may break or grow, every frame is accounted for, and afterwards well-formed
 * ones pass.
 *
 *     qemunet-fuzz-frames [--frames=N] [--seed=N] [--flood=SECONDS] [CASE...]
 */

#include "check.h"
#include "fuzz-guests.h"
#include "fuzz-networks.h"
#include "malformed-frames.h"

#include "ns3/config.h"
#include "ns3/nstime.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sched.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

using namespace ns3;
using namespace ns3::qemunet;

#if defined(__SANITIZE_ADDRESS__)
/** Memory that was given back is soon used again, and the stacks that it came from, which differ
 * for ever below libraries without frame pointers, are not kept: so growth is growth. */
extern "C" const char*
__asan_default_options()
{
    return "quarantine_size_mb=8:thread_local_quarantine_size_kb=64:malloc_context_size=2";
}
#endif

namespace
{

using Clock = std::chrono::steady_clock;

/** How long frames may be under way once no more are sent. */
constexpr std::chrono::seconds LONGEST_WAY{60};
/** How much more memory the second half of the frames may need than the first. */
constexpr int64_t MOST_GROWTH_BYTES = 16 << 20;

/** What is asked for. */
struct Options
{
    unsigned frames{20'000};      //!< Malformed frames to each device.
    uint64_t seed{1};             //!< Of their choices.
    std::chrono::seconds flood{}; //!< Not 0: well-formed frames without end, for so long.
};

/** @returns Memory of this process. */
int64_t
GetResidentBytes()
{
    int64_t all = 0;
    int64_t resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
}

/** The memory of a program under ThreadSanitizer says nothing. */
void
CheckGrowth([[maybe_unused]] int64_t growth)
{
#if !defined(__SANITIZE_THREAD__)
    CHECK(growth < MOST_GROWTH_BYTES);
#endif
}

/** @returns Frames that a link dropped after it took them. */
uint64_t
GetDropped(const LinkCounters& link)
{
    return link.droppedQueue + link.droppedLoss + link.droppedCollision + link.droppedDown;
}

/** @returns Frames that came to a door from its link. */
uint64_t
GetOutward(const DoorCounters& door)
{
    return door.outFrames + door.outDropped + door.outUnreachable;
}

/** @returns True if every frame has come to its end, and was counted there. */
bool
IsBalanced(const FuzzNetwork& network, const FuzzGuests& guests, const Controller::Counts& counts)
{
    const DoorCounters& door = counts.doors.at(0);
    const LinkCounters& first = counts.links.at({0, 0});
    if (door.inFrames + door.inMalformed != guests.GetSent())
    {
        return false;
    }
    if (network.kind == FuzzNetwork::Kind::RADIO)
    {
        return first.sentFrames + first.droppedQueue >= door.inFrames;
    }
    for (const auto& [link, counters] : counts.links)
    {
        if (counters.sentFrames + counters.duplicated !=
            counters.deliveredFrames + GetDropped(counters))
        {
            return false;
        }
    }
    if (network.kind == FuzzNetwork::Kind::POINT_TO_POINT)
    {
        uint64_t answered = GetOutward(door) - counts.links.at({0, 1}).deliveredFrames;
        uint64_t counted = first.sentFrames + first.droppedProtocol + answered;
        // Who looks whether his own address is taken hears nothing, and that is no drop.
        return counted <= door.inFrames && counted >= door.inFrames / 20 * 19;
    }
    if (network.peer)
    {
        const LinkCounters& last = std::prev(counts.links.end())->second;
        bool wire = counts.links.size() > 1 && network.name != "bridge";
        const LinkCounters& there = wire ? first : last;
        if (GetOutward(counts.doors.at(1)) != there.deliveredFrames)
        {
            return false;
        }
    }
    // On a channel that is shared, the neighbour sends too.
    return network.peer ? door.inFrames == first.sentFrames + first.droppedOversize
                        : door.inFrames <= first.sentFrames + first.droppedOversize;
}

/** Say what does not add up. */
void
Print(const FuzzGuests& guests, const Controller::Counts& counts)
{
    std::cerr << "sent " << guests.GetSent() << "\n";
    for (const auto& [number, door] : counts.doors)
    {
        std::cerr << "door " << number << ": in " << door.inFrames << " malformed "
                  << door.inMalformed << " out " << door.outFrames << " dropped " << door.outDropped
                  << " unreachable " << door.outUnreachable << "\n";
    }
    for (const auto& [number, link] : counts.links)
    {
        std::cerr << "link " << number.first << "/" << number.second << ": sent " << link.sentFrames
                  << " delivered " << link.deliveredFrames << " queue " << link.droppedQueue
                  << " loss " << link.droppedLoss << " oversize " << link.droppedOversize
                  << " collision " << link.droppedCollision << " protocol " << link.droppedProtocol
                  << " duplicated " << link.duplicated << "\n";
    }
}

/** Wait until every frame has come to its end. */
Controller::Counts
AwaitBalance(const FuzzNetwork& network, const FuzzGuests& guests, const Controller& controller)
{
    auto deadline = Clock::now() + LONGEST_WAY;
    while (true)
    {
        Controller::Counts counts = controller.GetCounts();
        if (IsBalanced(network, guests, counts))
        {
            return counts;
        }
        if (Clock::now() > deadline)
        {
            Print(guests, counts);
            CHECK(!"counters that account for every frame");
        }
    }
}

/** Malformed frames: as many as were asked for. */
void
SendMalformed(FuzzGuests& guests, const FuzzNetwork& network, const Options& options)
{
    MalformedFrames frames(options.seed, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, network.honest);
    unsigned half = options.frames / 2;
    for (unsigned count = 0; count < half; ++count)
    {
        guests.Send(frames.Next());
    }
    int64_t before = GetResidentBytes();
    for (unsigned count = half; count < options.frames; ++count)
    {
        guests.Send(frames.Next());
    }
    int64_t growth = GetResidentBytes() - before;
    std::cout << ", memory " << before / 1024 << " KiB " << std::showpos << growth / 1024
              << std::noshowpos << " KiB";
    CheckGrowth(growth);
}

/** Echo requests of all lengths without end, while no guest reads. */
void
Flood(FuzzGuests& guests,
      const FuzzNetwork& network,
      const Controller& controller,
      const Options& options)
{
    std::vector<uint8_t> frame{2,    0,   0,  0, 0, 2, 2, 0, 0,    0,    0, 1, 8,  0,
                               0x45, 0,   0,  0, 0, 1, 0, 0, 64,   1,    0, 0, 10, 0,
                               0,    200, 10, 0, 0, 2, 8, 0, 0xf7, 0xff, 0, 0, 0,  0};
    frame.resize(1514);
    guests.Listen(false);
    auto begin = Clock::now();
    auto half = begin + options.flood / 2;
    int64_t before = 0;
    uint64_t count = 0;
    for (auto now = begin; now < begin + options.flood; now = Clock::now())
    {
        for (unsigned burst = 0; burst < 64; ++burst)
        {
            size_t size = 60 + ++count % (frame.size() - 60);
            frame[16] = static_cast<uint8_t>((size - 14) >> 8);
            frame[17] = static_cast<uint8_t>(size - 14);
            Seal({&frame[14], 20}, 10);
            guests.Send({frame.data(), size});
        }
        if (before == 0 && now >= half)
        {
            before = GetResidentBytes();
        }
    }
    int64_t growth = GetResidentBytes() - before;
    Controller::Counts counts = controller.GetCounts();
    std::cout << ", " << count << " frames offered, memory " << std::showpos << growth / 1024
              << std::noshowpos << " KiB";
    CheckGrowth(growth);
    const DoorCounters& door = std::prev(counts.doors.end())->second;
    std::cout << ", " << door.outDropped << " dropped";
    // A tap hands over to the kernel whatever it is given. The air is what is full of a Wi-Fi.
    CHECK(door.outDropped > 0 || network.way == FuzzNetwork::Way::TAP ||
          network.kind == FuzzNetwork::Kind::RADIO);
    CHECK(network.name != "wire" ||
          counts.links.at({0, 0}).deliveredFrames <= GetOutward(door) + FrameDoor::QUEUE_FRAMES);
    guests.Listen(true);
}

/** Do to a network what was asked for. */
void
Run(const FuzzNetwork& network, const Options& options)
{
    std::cout << network.name << std::flush;
    auto begin = Clock::now();
    if (network.way == FuzzNetwork::Way::TAP)
    {
        CHECK(::unshare(CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0);
    }
    auto built = network.make();
    RunWith(*built, [&](const Controller& controller) {
        FuzzGuests guests(network, controller);
        controller.Start();
        guests.Ping();
        if (options.flood.count() > 0)
        {
            Flood(guests, network, controller, options);
        }
        else
        {
            SendMalformed(guests, network, options);
        }
        Controller::Counts counts = AwaitBalance(network, guests, controller);
        guests.Ping();
        // The heart of the loop goes on beating, every 10 ms.
        uint64_t beats = counts.lag.count;
        auto deadline = Clock::now() + LONGEST_WAY;
        while (counts.lag.count < beats + 5)
        {
            CHECK(Clock::now() < deadline);
            counts = controller.GetCounts();
        }
        const DoorCounters& door = counts.doors.at(0);
        std::cout << ", in " << door.inFrames << ", malformed " << door.inMalformed;
    });
    std::chrono::duration<double> took = Clock::now() - begin;
    std::cout << ", " << std::fixed << std::setprecision(1) << took.count() << " s" << std::endl;
}

} // namespace

int
main(int argc, char** argv)
{
    Options options;
    std::vector<std::string> wanted;
    for (int index = 1; index < argc; ++index)
    {
        std::string word = argv[index];
        std::string value = word.substr(std::min(word.size(), word.find('=') + 1));
        if (word.starts_with("--frames="))
        {
            options.frames = static_cast<unsigned>(std::stoul(value));
        }
        else if (word.starts_with("--seed="))
        {
            options.seed = std::stoul(value);
        }
        else if (word.starts_with("--flood="))
        {
            options.flood = std::chrono::seconds(std::stoul(value));
        }
        else
        {
            wanted.push_back(word);
        }
    }
    auto begin = Clock::now();
    size_t done = 0;
    for (const FuzzNetwork& network : GetFuzzNetworks())
    {
        if (wanted.empty() || std::find(wanted.begin(), wanted.end(), network.name) != wanted.end())
        {
            Run(network, options);
            ++done;
        }
    }
    CHECK(done > 0 && done >= wanted.size());
    std::chrono::duration<double> took = Clock::now() - begin;
    std::cout << "all " << done << " clean in " << took.count() << " s" << std::endl;
    return 0;
}

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "timing-test.h"

#include "../../qemunet/native/helper/network.h"
#include "../../qemunet/native/model/lag-histogram.h"
#include "../../qemunet/native/model/load-watch.h"
#include "../../qemunet/native/model/real-time-simulator.h"
#include "check.h"

#include "ns3/simulator.h"

#include <algorithm>
#include <functional>
#include <list>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <utility>
#include <vector>

using namespace ns3;
using namespace ns3::qemunet;

namespace
{

/** A descriptor with something to read at any time: a guest that sends more than can be taken. */
class Flood : public Pollable
{
  public:
    /**
     * @param simulator Its loop.
     * @param serve What serving it does.
     */
    Flood(Ptr<RealTimeSimulator> simulator, std::function<void()> serve)
        : m_simulator(simulator),
          m_fd(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)),
          m_serve(std::move(serve))
    {
        m_simulator->GetPollSet().Add(m_fd.Get(), EPOLLIN, this, 0);
    }

    ~Flood() override
    {
        m_simulator->GetPollSet().Remove(m_fd.Get());
    }

    Flood(const Flood&) = delete;
    Flood& operator=(const Flood&) = delete;

    void HandleReady(uint32_t /* events */) override
    {
        ++served;
        m_serve();
    }

    unsigned served{0}; //!< How often it was served.

  private:
    Ptr<RealTimeSimulator> m_simulator; //!< Its loop.
    UniqueFd m_fd;                      //!< Always ready.
    std::function<void()> m_serve;      //!< What serving does.
};

/** @returns The simulator of a network. */
Ptr<RealTimeSimulator>
GetSimulator()
{
    return DynamicCast<RealTimeSimulator>(Simulator::GetImplementation());
}

/** Events without delay, each of which schedules the next one: simulation time stands still, and
 * descriptors are served all the same. */
void
TestStormOfEvents()
{
    Network network("qemunet", 1, false);
    Ptr<RealTimeSimulator> simulator = GetSimulator();
    uint64_t events = 0;
    uint64_t before = 0;
    uint64_t most = 0;
    Flood flood(simulator, [&] {
        most = std::max(most, events - before);
        before = events;
        if (flood.served == 200)
        {
            Simulator::Stop();
        }
    });
    std::function<void()> storm = [&] {
        ++events;
        Simulator::ScheduleNow(storm);
    };
    simulator->SetPrepared([&] {
        simulator->Begin();
        Simulator::ScheduleNow(storm);
    });
    Simulator::Run();
    CHECK(flood.served == 200 && events > 200);
    // Two rows of 1024 between two turns of a descriptor.
    CHECK(most <= 2 * 1024);
    // Each ran later than the one before.
    CHECK(Simulator::Now().IsZero() && simulator->GetLag().GetMaxAtNs() == 0);
    CHECK(simulator->GetLag().GetCount() >= events);
}

/** More descriptors ready than are served in a turn, all the time: events run when they are due,
 * and no descriptor comes off worse. */
void
TestFloodOfFrames()
{
    constexpr unsigned EVENTS = 300;
    constexpr int64_t PERIOD_NS = 100'000;
    Network network("qemunet", 1, false);
    Ptr<RealTimeSimulator> simulator = GetSimulator();
    std::list<Flood> floods;
    unsigned events = 0;
    uint64_t due = 0;
    unsigned late = 0;
    unsigned most = 0;
    for (unsigned index = 0; index < 50; ++index)
    {
        floods.emplace_back(simulator, [&] {
            late += simulator->RealNow() > due ? 1 : 0;
            most = std::max(most, late);
        });
    }
    std::function<void()> tick = [&] {
        late = 0;
        due += PERIOD_NS;
        if (++events == EVENTS)
        {
            Simulator::Stop();
            return;
        }
        Simulator::Schedule(NanoSeconds(PERIOD_NS), tick);
    };
    simulator->SetPrepared([&] {
        simulator->Begin();
        due = PERIOD_NS;
        Simulator::Schedule(NanoSeconds(PERIOD_NS), tick);
    });
    Simulator::Run();
    CHECK(events == EVENTS);
    // Between the loop's look at the clock and the one above time may pass: once an event.
    CHECK(most <= 1);
    auto [least, greatest] =
        std::minmax_element(floods.begin(), floods.end(), [](const Flood& one, const Flood& other) {
            return one.served < other.served;
        });
    CHECK(least->served > 0 && greatest->served - least->served <= 16);
}

/** What is later than the deadline is counted, and the first beyond the hard limit is told. */
void
TestLagLimits()
{
    LagHistogram lag;
    std::vector<std::pair<uint64_t, uint64_t>> told;
    lag.SetLimits(
        {1000, 5000, [&](uint64_t lagNs, uint64_t atNs) { told.emplace_back(lagNs, atNs); }});
    for (int64_t lagNs : {-1, 0, 1000, 1001, 5000})
    {
        lag.Record(lagNs, 7);
    }
    CHECK(lag.GetMissed() == 2 && told.empty());
    lag.Record(5001, 8);
    lag.Record(4000, 9);
    lag.Record(9000, 10);
    CHECK(lag.GetMissed() == 5 && told.size() == 1 && told[0].first == 5001 && told[0].second == 8);
}

/** CPU time is that of the run, and the second with most drops is found. */
void
TestLoadWatch()
{
    Network network("qemunet", 1, false);
    Ptr<RealTimeSimulator> simulator = GetSimulator();
    uint64_t drops = 5;
    LoadWatch watch([&] { return drops; });
    watch.End();
    CHECK(watch.Get().wallNs == 0);
    simulator->SetPrepared([&] {
        simulator->Begin();
        watch.Begin();
    });
    Simulator::Schedule(MilliSeconds(1), [&] { drops += 10; });
    Simulator::Schedule(MilliSeconds(1500), [&] {
        drops += 20;
        watch.End();
        Simulator::Stop();
    });
    Simulator::Run();
    const Load& load = watch.Get();
    CHECK(load.wallNs >= 1'400'000'000 && load.threadNs > 0);
    // The two clocks are read one after the other.
    CHECK(load.threadNs <= load.processNs + 1'000'000);
    CHECK(load.threadNs < load.wallNs);
    CHECK(load.mostDrops == 20 && load.mostDropsAtNs == 1'000'000'000);
    CHECK(load.busiestCpuNs > 0 && load.busiestCpuNs <= load.threadNs);
    CHECK(load.busiestWallNs >= 490'000'000);
}

} // namespace

void
TestTiming()
{
    TestLagLimits();
    TestStormOfEvents();
    TestFloodOfFrames();
    TestLoadWatch();
}

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "real-time-simulator.h"
#include "simulation-driver.h"
#include "unique-fd.h"

#include "ns3/abort.h"
#include "ns3/nstime.h"
#include "ns3/realtime-simulator-impl.h"
#include "ns3/simulator.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <thread>
#include <utility>
#include <vector>

namespace ns3::qemunet
{

namespace
{

/** How often the stock simulator's lateness is sampled; it tells nothing of its own events. */
constexpr int64_t PROBE_NS = 10'000'000;
/** The most often that it is sampled. */
constexpr int64_t LEAST_PROBE_NS = 500'000;

/**
 * The stock simulator has no loop of ours, so the control socket gets a thread of its own. Time 0
 * is when Simulator::Run() executes its first event.
 */
class StockDriver : public SimulationDriver
{
  public:
    StockDriver()
        : m_simulator(DynamicCast<RealtimeSimulatorImpl>(Simulator::GetImplementation())),
          m_epoll(epoll_create1(EPOLL_CLOEXEC)),
          m_wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
    {
        NS_ABORT_MSG_UNLESS(m_simulator, "the simulator in use is not ns3::RealtimeSimulatorImpl");
    }

    void Run(int fd, std::function<void()> prepared, std::function<void(uint32_t)> serve) override
    {
        m_fd = fd;
        Watch(EPOLL_CTL_ADD, fd, EPOLLIN);
        Watch(EPOLL_CTL_ADD, m_wake.Get(), EPOLLIN);
        Simulator::Schedule(Time(0), &StockDriver::NoteOrigin, this);
        prepared();
        std::thread server(&StockDriver::Serve, this, std::move(serve));
        {
            std::unique_lock lock(m_mutex);
            m_changed.wait(lock, [this] { return m_wanted || m_stopped; });
        }
        if (!m_stopped)
        {
            Simulator::Run();
        }
        m_ended = true;
        uint64_t one = 1;
        [[maybe_unused]] auto written = ::write(m_wake.Get(), &one, sizeof(one));
        server.join();
    }

    void WantWrite(bool wanted) override
    {
        Watch(EPOLL_CTL_MOD, m_fd, EPOLLIN | (wanted ? EPOLLOUT : 0U));
    }

    int64_t Begin() override
    {
        std::unique_lock lock(m_mutex);
        m_wanted = true;
        m_changed.notify_all();
        m_changed.wait(lock, [this] { return m_begun.load(); });
        return m_originNs;
    }

    bool HasBegun() const override
    {
        return m_begun;
    }

    uint64_t RealNow() const override
    {
        return m_begun ? static_cast<uint64_t>(RealTimeSimulator::MonotonicNs() - m_originNs) : 0;
    }

    void Post(uint64_t atNs, std::function<void()> action) override
    {
        if (!m_begun)
        {
            action(); // The simulation's thread sleeps until Begin().
            return;
        }
        int64_t wait = static_cast<int64_t>(atNs) - m_simulator->RealtimeNow().GetTimeStep();
        if (wait > 0)
        {
            m_simulator->ScheduleRealtimeWithContext(Simulator::NO_CONTEXT,
                                                     TimeStep(wait),
                                                     MakeEvent(std::move(action)));
            return;
        }
        {
            std::lock_guard lock(m_mutex);
            m_urgent.push_back(std::move(action));
        }
        m_simulator->ScheduleRealtimeWithContext(Simulator::NO_CONTEXT,
                                                 Time(0),
                                                 MakeEvent(&StockDriver::RunUrgent, this));
    }

    void Stop() override
    {
        if (m_begun)
        {
            if (std::this_thread::get_id() == m_thread)
            {
                Simulator::Stop();
                return;
            }
            Post(0, [] { Simulator::Stop(); });
            return;
        }
        std::lock_guard lock(m_mutex);
        m_stopped = true;
        m_changed.notify_all();
    }

    void SetLagLimits(LagLimits limits) override
    {
        // The probe stands for the events: where none may be late, it has to look more often.
        m_probeNs = std::clamp<int64_t>(static_cast<int64_t>(limits.hardLimitNs / 10),
                                        LEAST_PROBE_NS,
                                        PROBE_NS);
        m_lag.SetLimits(std::move(limits));
    }

    const LagHistogram& GetLag() const override
    {
        return m_lag;
    }

  private:
    void Watch(int operation, int fd, uint32_t events)
    {
        epoll_event event{};
        event.events = events;
        event.data.fd = fd;
        NS_ABORT_MSG_IF(epoll_ctl(m_epoll.Get(), operation, fd, &event) != 0,
                        "epoll_ctl: " << std::strerror(errno));
    }

    void NoteOrigin()
    {
        std::lock_guard lock(m_mutex);
        m_thread = std::this_thread::get_id();
        m_originNs = RealTimeSimulator::MonotonicNs() - m_simulator->RealtimeNow().GetTimeStep();
        m_begun = true;
        m_changed.notify_all();
        // What was scheduled for time 0 has been executed: each TapBridge took some 10 ms to start,
        // before any command ran. From here on the simulation has to keep time.
        Simulator::Schedule(m_simulator->RealtimeNow() + NanoSeconds(m_probeNs),
                            &StockDriver::Probe,
                            this);
    }

    void Probe()
    {
        int64_t due = Simulator::Now().GetTimeStep();
        m_lag.Record(m_simulator->RealtimeNow().GetTimeStep() - due, static_cast<uint64_t>(due));
        RunUrgent();
        Simulator::Schedule(NanoSeconds(m_probeNs), &StockDriver::Probe, this);
    }

    /** Do what is to be done at once. The event that is to do it comes late in a simulation that is
     * late: a probe of long ago may come first. */
    void RunUrgent()
    {
        std::vector<std::function<void()>> actions;
        {
            std::lock_guard lock(m_mutex);
            actions.swap(m_urgent);
        }
        for (const std::function<void()>& action : actions)
        {
            action();
        }
    }

    void Serve(std::function<void(uint32_t)> serve)
    {
        while (!m_ended)
        {
            std::array<epoll_event, 2> ready;
            int count = epoll_wait(m_epoll.Get(), ready.data(), ready.size(), -1);
            for (int index = 0; index < count && !m_ended; ++index)
            {
                if (ready[index].data.fd == m_fd)
                {
                    serve(ready[index].events);
                }
            }
        }
    }

    Ptr<RealtimeSimulatorImpl> m_simulator;      //!< The simulator.
    UniqueFd m_epoll;                            //!< Of the control thread.
    UniqueFd m_wake;                             //!< Ends the control thread.
    int m_fd{-1};                                //!< The control socket.
    std::mutex m_mutex;                          //!< Guards the four below.
    std::condition_variable m_changed;           //!< Says that they changed.
    bool m_wanted{false};                        //!< Begin() was called.
    bool m_stopped{false};                       //!< Stop() was called before Begin().
    std::vector<std::function<void()>> m_urgent; //!< To be done at once.
    int64_t m_originNs{0};                       //!< CLOCK_MONOTONIC of time 0.
    std::thread::id m_thread;                    //!< The simulation's, from time 0.
    std::atomic<bool> m_begun{false};            //!< Time 0 has passed.
    std::atomic<bool> m_ended{false};            //!< Run() is over.
    LagHistogram m_lag;                          //!< Sampled by Probe().
    int64_t m_probeNs{PROBE_NS};                 //!< How often.
};

} // namespace

std::unique_ptr<SimulationDriver>
MakeStockDriver()
{
    return std::make_unique<StockDriver>();
}

} // namespace ns3::qemunet

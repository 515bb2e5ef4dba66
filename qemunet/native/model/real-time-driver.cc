/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "real-time-simulator.h"
#include "simulation-driver.h"

#include "ns3/abort.h"
#include "ns3/nstime.h"
#include "ns3/simulator.h"

#include <algorithm>
#include <sys/epoll.h>
#include <utility>

namespace ns3::qemunet
{

namespace
{

/** Everything in one thread: the control socket is one more descriptor of the loop. */
class RealTimeDriver
    : public SimulationDriver
    , private Pollable
{
  public:
    RealTimeDriver()
        : m_simulator(DynamicCast<RealTimeSimulator>(Simulator::GetImplementation()))
    {
        NS_ABORT_MSG_UNLESS(m_simulator,
                            "the simulator in use is not ns3::qemunet::RealTimeSimulator");
    }

    void Run(int fd, std::function<void()> prepared, std::function<void(uint32_t)> serve) override
    {
        m_fd = fd;
        m_serve = std::move(serve);
        m_simulator->GetPollSet().Add(fd, EPOLLIN, this, Simulator::NO_CONTEXT);
        m_simulator->SetPrepared(std::move(prepared));
        // Not m_simulator's own: only this lets ns-3 stop to keep a list of every Time there is,
        // which would cost more than the models.
        Simulator::Run();
        m_simulator->GetPollSet().Remove(fd);
    }

    void WantWrite(bool wanted) override
    {
        m_simulator->GetPollSet().Modify(m_fd, EPOLLIN | (wanted ? EPOLLOUT : 0U));
    }

    int64_t Begin() override
    {
        return m_simulator->Begin();
    }

    bool HasBegun() const override
    {
        return m_simulator->HasBegun();
    }

    uint64_t RealNow() const override
    {
        return m_simulator->RealNow();
    }

    void Post(uint64_t atNs, std::function<void()> action) override
    {
        auto now = static_cast<uint64_t>(m_simulator->Now().GetTimeStep());
        if (atNs <= now)
        {
            action();
            return;
        }
        Simulator::ScheduleWithContext(Simulator::NO_CONTEXT,
                                       TimeStep(atNs - now),
                                       std::move(action));
    }

    void Stop() override
    {
        m_simulator->Stop();
    }

    void SetLagLimits(LagLimits limits) override
    {
        m_simulator->SetLagLimits(std::move(limits));
    }

    const LagHistogram& GetLag() const override
    {
        return m_simulator->GetLag();
    }

  private:
    void HandleReady(uint32_t events) override
    {
        m_serve(events);
    }

    Ptr<RealTimeSimulator> m_simulator;    //!< The simulator.
    int m_fd{-1};                          //!< The control socket.
    std::function<void(uint32_t)> m_serve; //!< Serves it.
};

} // namespace

std::unique_ptr<SimulationDriver>
MakeRealTimeDriver()
{
    return std::make_unique<RealTimeDriver>();
}

} // namespace ns3::qemunet

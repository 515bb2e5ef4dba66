/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_REAL_TIME_SIMULATOR_H
#define QEMUNET_REAL_TIME_SIMULATOR_H

#include "event-inbox.h"
#include "lag-histogram.h"
#include "poll-set.h"

#include "ns3/event-impl.h"
#include "ns3/object-factory.h"
#include "ns3/ptr.h"
#include "ns3/scheduler.h"
#include "ns3/simulator-impl.h"

#include <functional>
#include <list>
#include <thread>
#include <vector>

namespace ns3::qemunet
{

/** Something that collects work and does it once at the end of a turn of the loop. */
class Flushable
{
  public:
    virtual ~Flushable() = default;
    /** Do the collected work. */
    virtual void Flush() = 0;
};

/**
 * Runs events when CLOCK_MONOTONIC says that they are due, and serves descriptors in the same
 * thread.
 *
 * Run() has two phases. Before Begin() simulation time stands at 0: what was scheduled for time 0
 * before Run() (that is how nodes, devices and TapBridges initialize themselves) is executed, then
 * descriptors are served. Begin() makes that instant simulation time 0; from then on simulation
 * time is real time minus the origin, an event's own time while it runs, and the time of arrival
 * while a descriptor is served. Time never runs backwards and never passes an event that is due.
 *
 * Everything is called from the thread that made the simulator, except ScheduleWithContext(), which
 * any thread may call: the event then waits in an inbox.
 */
class RealTimeSimulator : public SimulatorImpl
{
  public:
    /** @returns The TypeId. */
    static TypeId GetTypeId();

    RealTimeSimulator();
    ~RealTimeSimulator() override;

    // Inherited from SimulatorImpl
    void Destroy() override;
    bool IsFinished() const override;
    void Stop() override;
    EventId Stop(const Time& delay) override;
    EventId Schedule(const Time& delay, EventImpl* event) override;
    void ScheduleWithContext(uint32_t context, const Time& delay, EventImpl* event) override;
    EventId ScheduleNow(EventImpl* event) override;
    EventId ScheduleDestroy(EventImpl* event) override;
    void Remove(const EventId& id) override;
    void Cancel(const EventId& id) override;
    bool IsExpired(const EventId& id) const override;
    void Run() override;
    Time Now() const override;
    Time GetDelayLeft(const EventId& id) const override;
    Time GetMaximumSimulationTime() const override;
    void SetScheduler(ObjectFactory schedulerFactory) override;
    uint32_t GetSystemId() const override;
    uint32_t GetContext() const override;
    uint64_t GetEventCount() const override;

    /** @returns The descriptors that the loop watches. */
    PollSet& GetPollSet();

    /**
     * @param flushable Flush it at the end of this turn. It asks once a turn at most.
     */
    void FlushLater(Flushable* flushable);

    /**
     * @param prepared Called once, in Run(), when everything scheduled for time 0 has initialized
     * itself.
     */
    void SetPrepared(std::function<void()> prepared);

    /**
     * Make this instant simulation time 0.
     *
     * @returns CLOCK_MONOTONIC of it in ns.
     */
    int64_t Begin();

    /** @returns True after Begin(). */
    bool HasBegun() const;

    /** @returns Simulation time by the real clock in ns; 0 before Begin(). */
    uint64_t RealNow() const;

    /** @param limits To hold events and the heartbeat to. */
    void SetLagLimits(LagLimits limits);

    /** @returns How late events and the heartbeat ran since Begin(). */
    const LagHistogram& GetLag() const;

    /** @returns CLOCK_MONOTONIC in ns. */
    static int64_t MonotonicNs();

  protected:
    void DoDispose() override;

  private:
    uint32_t Insert(uint64_t ts, uint32_t context, EventImpl* event);
    void ExecuteNext();
    void RunInitialization();
    void RunDueEvents();
    void Beat();
    void DrainInbox();
    void WaitAndServe();
    int64_t PlanWakeNs();
    int64_t PlanRestEndNs();
    void AdvanceToArrival();
    void FlushAll();

    Ptr<Scheduler> m_events;            //!< What is to come.
    std::list<EventId> m_destroyEvents; //!< For Destroy().
    bool m_stop{false};                 //!< Run() is to end.
    bool m_begun{false};                //!< Begin() was called.
    int64_t m_originNs{0};              //!< CLOCK_MONOTONIC of time 0.
    uint32_t m_uid;                     //!< Of the next event.
    uint32_t m_currentUid{0};           //!< Of the event that runs.
    uint64_t m_currentTs{0};            //!< Simulation time.
    uint32_t m_currentContext;          //!< Context of what runs.
    uint64_t m_eventCount{0};           //!< Events executed.
    std::function<void()> m_prepared;   //!< See SetPrepared().

    PollSet m_pollSet;                    //!< All descriptors.
    std::vector<Flushable*> m_flushables; //!< To flush at the end of this turn.
    std::thread::id m_thread;             //!< The thread of the simulation.
    EventInbox m_inbox;                   //!< Events of other threads.

    LagHistogram m_lag;      //!< How late events ran.
    Time m_heartbeat;        //!< Attribute.
    Time m_spin;             //!< Attribute.
    bool m_busyPoll{false};  //!< Attribute.
    uint64_t m_nextBeat{0};  //!< When the heartbeat is due.
    int64_t m_turnNs{0};     //!< When the last wait was planned; polling: since when.
    int64_t m_spinLeftNs{0}; //!< For how long events may be polled for.
    bool m_sleeping{false};  //!< It waits for a time.
    bool m_polling{false};   //!< An event is polled for.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_REAL_TIME_SIMULATOR_H */

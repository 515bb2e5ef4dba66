/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "real-time-simulator.h"

#include "ns3/abort.h"
#include "ns3/assert.h"
#include "ns3/boolean.h"
#include "ns3/nstime.h"
#include "ns3/simulator.h"

#include <algorithm>
#include <ctime>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <utility>

namespace ns3::qemunet
{

NS_OBJECT_ENSURE_REGISTERED(RealTimeSimulator);

namespace
{

/** Events run in a row before descriptors get their turn. */
constexpr unsigned EVENTS_IN_A_ROW = 1024;
/** For so many parts of time asleep, one may be spent polling for events that are not due yet. */
constexpr int64_t SPIN_SHARE = 4;
/** So much of it may be saved up, in ns. */
constexpr int64_t MOST_SPIN_NS = 5'000'000;
/** A loop that polls without sleep rests for REST_NS after POLL_NS. The kernel lets real-time
 * threads have 95 % of a processor, and would stop one that takes more for 50 ms. */
constexpr int64_t POLL_NS = 9'000'000;
/** See POLL_NS. A frame ends the rest. */
constexpr int64_t REST_NS = 1'000'000;
/** Waiting without end, in ns. */
constexpr int64_t FOREVER = -1;

} // namespace

TypeId
RealTimeSimulator::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::qemunet::RealTimeSimulator")
            .SetParent<SimulatorImpl>()
            .SetGroupName("Qemunet")
            .AddConstructor<RealTimeSimulator>()
            .AddAttribute("Heartbeat",
                          "How often the loop checks its own lateness when nothing else is due.",
                          TimeValue(MilliSeconds(10)),
                          MakeTimeAccessor(&RealTimeSimulator::m_heartbeat),
                          MakeTimeChecker(MicroSeconds(10)))
            .AddAttribute("Spin",
                          "Poll instead of sleeping when the next event is nearer than this.",
                          TimeValue(MicroSeconds(50)),
                          MakeTimeAccessor(&RealTimeSimulator::m_spin),
                          MakeTimeChecker(Time(0)))
            .AddAttribute("BusyPoll",
                          "Hardly sleep after time 0: a processor for the least delay.",
                          BooleanValue(false),
                          MakeBooleanAccessor(&RealTimeSimulator::m_busyPoll),
                          MakeBooleanChecker());
    return tid;
}

RealTimeSimulator::RealTimeSimulator()
    : m_uid(EventId::UID::VALID),
      m_currentContext(Simulator::NO_CONTEXT),
      m_thread(std::this_thread::get_id())
{
    m_pollSet.Add(m_inbox.GetFd(), EPOLLIN, &m_inbox, Simulator::NO_CONTEXT);
}

RealTimeSimulator::~RealTimeSimulator() = default;

void
RealTimeSimulator::DoDispose()
{
    while (m_events && !m_events->IsEmpty())
    {
        m_events->RemoveNext().impl->Unref();
    }
    m_events = nullptr;
    SimulatorImpl::DoDispose();
}

void
RealTimeSimulator::Destroy()
{
    while (!m_destroyEvents.empty())
    {
        EventId id = m_destroyEvents.front();
        m_destroyEvents.pop_front();
        if (!id.PeekEventImpl()->IsCancelled())
        {
            id.PeekEventImpl()->Invoke();
        }
    }
}

void
RealTimeSimulator::SetScheduler(ObjectFactory schedulerFactory)
{
    Ptr<Scheduler> scheduler = schedulerFactory.Create<Scheduler>();
    while (m_events && !m_events->IsEmpty())
    {
        scheduler->Insert(m_events->RemoveNext());
    }
    m_events = scheduler;
}

int64_t
RealTimeSimulator::MonotonicNs()
{
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

uint64_t
RealTimeSimulator::RealNow() const
{
    return m_begun ? static_cast<uint64_t>(MonotonicNs() - m_originNs) : 0;
}

uint32_t
RealTimeSimulator::Insert(uint64_t ts, uint32_t context, EventImpl* event)
{
    uint32_t uid = m_uid++;
    m_events->Insert(Scheduler::Event{event, {ts, uid, context}});
    return uid;
}

EventId
RealTimeSimulator::Schedule(const Time& delay, EventImpl* event)
{
    NS_ASSERT_MSG(m_thread == std::this_thread::get_id(),
                  "Schedule() from a thread that is not the simulation's");
    NS_ASSERT_MSG(!delay.IsStrictlyNegative(),
                  "an event cannot be scheduled at " << delay << " from now, in the past");
    uint64_t ts = m_currentTs + static_cast<uint64_t>(delay.GetTimeStep());
    uint32_t uid = Insert(ts, m_currentContext, event);
    return EventId(Ptr<EventImpl>(event), ts, m_currentContext, uid);
}

EventId
RealTimeSimulator::ScheduleNow(EventImpl* event)
{
    return Schedule(Time(0), event);
}

void
RealTimeSimulator::ScheduleWithContext(uint32_t context, const Time& delay, EventImpl* event)
{
    auto wait = static_cast<uint64_t>(delay.GetTimeStep());
    if (m_thread == std::this_thread::get_id())
    {
        Insert(m_currentTs + wait, context, event);
        return;
    }
    // The thread may know neither the present simulation time nor whether it runs yet; the loop
    // does.
    m_inbox.Put({context, wait, event});
}

EventId
RealTimeSimulator::ScheduleDestroy(EventImpl* event)
{
    EventId id(Ptr<EventImpl>(event, false),
               m_currentTs,
               Simulator::NO_CONTEXT,
               EventId::UID::DESTROY);
    m_destroyEvents.push_back(id);
    ++m_uid;
    return id;
}

void
RealTimeSimulator::Remove(const EventId& id)
{
    if (id.GetUid() == EventId::UID::DESTROY)
    {
        m_destroyEvents.remove(id);
        return;
    }
    if (IsExpired(id))
    {
        return;
    }
    Scheduler::Event event{id.PeekEventImpl(), {id.GetTs(), id.GetUid(), id.GetContext()}};
    m_events->Remove(event);
    event.impl->Cancel();
    event.impl->Unref();
}

void
RealTimeSimulator::Cancel(const EventId& id)
{
    if (!IsExpired(id))
    {
        id.PeekEventImpl()->Cancel();
    }
}

bool
RealTimeSimulator::IsExpired(const EventId& id) const
{
    if (id.PeekEventImpl() == nullptr || id.PeekEventImpl()->IsCancelled())
    {
        return true;
    }
    if (id.GetUid() == EventId::UID::DESTROY)
    {
        return std::find(m_destroyEvents.begin(), m_destroyEvents.end(), id) ==
               m_destroyEvents.end();
    }
    return id.GetTs() < m_currentTs || (id.GetTs() == m_currentTs && id.GetUid() <= m_currentUid);
}

Time
RealTimeSimulator::Now() const
{
    return TimeStep(m_currentTs);
}

Time
RealTimeSimulator::GetDelayLeft(const EventId& id) const
{
    return IsExpired(id) ? TimeStep(0) : TimeStep(id.GetTs() - m_currentTs);
}

Time
RealTimeSimulator::GetMaximumSimulationTime() const
{
    return TimeStep(0x7fffffffffffffffLL);
}

uint32_t
RealTimeSimulator::GetSystemId() const
{
    return 0;
}

uint32_t
RealTimeSimulator::GetContext() const
{
    return m_currentContext;
}

uint64_t
RealTimeSimulator::GetEventCount() const
{
    return m_eventCount;
}

bool
RealTimeSimulator::IsFinished() const
{
    return m_stop;
}

void
RealTimeSimulator::Stop()
{
    m_stop = true;
}

EventId
RealTimeSimulator::Stop(const Time& delay)
{
    return Simulator::Schedule(delay, &Simulator::Stop);
}

PollSet&
RealTimeSimulator::GetPollSet()
{
    return m_pollSet;
}

void
RealTimeSimulator::FlushLater(Flushable* flushable)
{
    m_flushables.push_back(flushable);
}

void
RealTimeSimulator::FlushAll()
{
    // A flush may ask for another one; that one belongs to this turn as well.
    for (size_t index = 0; index < m_flushables.size(); ++index)
    {
        m_flushables[index]->Flush();
    }
    m_flushables.clear();
}

void
RealTimeSimulator::SetPrepared(std::function<void()> prepared)
{
    m_prepared = std::move(prepared);
}

int64_t
RealTimeSimulator::Begin()
{
    NS_ABORT_MSG_IF(m_begun, "Begin() was called twice");
    m_begun = true;
    m_originNs = MonotonicNs();
    m_nextBeat = static_cast<uint64_t>(m_heartbeat.GetTimeStep());
    return m_originNs;
}

bool
RealTimeSimulator::HasBegun() const
{
    return m_begun;
}

void
RealTimeSimulator::SetLagLimits(LagLimits limits)
{
    m_lag.SetLimits(std::move(limits));
}

const LagHistogram&
RealTimeSimulator::GetLag() const
{
    return m_lag;
}

void
RealTimeSimulator::ExecuteNext()
{
    Scheduler::Event next = m_events->RemoveNext();
    m_currentTs = next.key.m_ts;
    m_currentContext = next.key.m_context;
    m_currentUid = next.key.m_uid;
    ++m_eventCount;
    next.impl->Invoke();
    next.impl->Unref();
}

void
RealTimeSimulator::RunInitialization()
{
    // What these events schedule themselves for time 0 belongs to the run and waits for Begin().
    uint32_t end = m_uid;
    while (!m_stop && !m_events->IsEmpty())
    {
        Scheduler::EventKey key = m_events->PeekNext().key;
        if (key.m_ts > 0 || key.m_uid >= end)
        {
            return;
        }
        ExecuteNext();
    }
}

void
RealTimeSimulator::RunDueEvents()
{
    for (unsigned count = 0; count < EVENTS_IN_A_ROW && !m_stop && !m_events->IsEmpty(); ++count)
    {
        uint64_t due = m_events->PeekNext().key.m_ts;
        uint64_t now = RealNow();
        if (due > now)
        {
            return;
        }
        m_lag.Record(static_cast<int64_t>(now - due), due);
        ExecuteNext();
    }
}

void
RealTimeSimulator::Beat()
{
    uint64_t now = RealNow();
    if (now < m_nextBeat)
    {
        return;
    }
    m_lag.Record(static_cast<int64_t>(now - m_nextBeat), m_nextBeat);
    auto period = static_cast<uint64_t>(m_heartbeat.GetTimeStep());
    m_nextBeat += ((now - m_nextBeat) / period + 1) * period;
}

void
RealTimeSimulator::DrainInbox()
{
    for (const EventInbox::Entry& entry : m_inbox.Take())
    {
        if (m_begun || entry.delayNs > 0)
        {
            Insert(std::max(m_currentTs, RealNow()) + entry.delayNs, entry.context, entry.event);
            continue;
        }
        // Time stands still: what comes now is executed at once, behind closed doors, and not kept
        // for time 0.
        m_currentContext = entry.context;
        entry.event->Invoke();
        entry.event->Unref();
    }
}

int64_t
RealTimeSimulator::PlanRestEndNs()
{
    auto now = static_cast<int64_t>(RealNow());
    if (m_sleeping)
    {
        m_sleeping = false;
        m_turnNs = now;
    }
    if (now - m_turnNs < POLL_NS)
    {
        return 0;
    }
    int64_t rest = std::min(REST_NS, static_cast<int64_t>(m_nextBeat) - now);
    if (!m_events->IsEmpty())
    {
        rest = std::min(rest, static_cast<int64_t>(m_events->PeekNext().key.m_ts) - now);
    }
    // Not so shortly before an event that it would be late.
    rest -= m_spin.GetTimeStep();
    m_sleeping = rest > 0;
    return rest > 0 ? m_originNs + now + rest : 0;
}

int64_t
RealTimeSimulator::PlanWakeNs()
{
    if (m_stop)
    {
        return 0;
    }
    if (!m_begun)
    {
        return FOREVER;
    }
    if (m_busyPoll)
    {
        return PlanRestEndNs();
    }
    auto now = static_cast<int64_t>(RealNow());
    int64_t passed = now - m_turnNs;
    m_turnNs = now;
    m_spinLeftNs += m_polling ? -passed : m_sleeping ? passed / SPIN_SHARE : 0;
    m_spinLeftNs = std::min(MOST_SPIN_NS, m_spinLeftNs);
    m_polling = false;
    int64_t wait = static_cast<int64_t>(m_nextBeat) - now;
    if (!m_events->IsEmpty())
    {
        // A thread wakes some tens of microseconds late, and every event on a packet's way would
        // add that to it: better to be awake early and look. That is paid from the time it sleeps:
        // when there is much to do, guests need the processor more.
        int64_t due = static_cast<int64_t>(m_events->PeekNext().key.m_ts) - now;
        int64_t sleep = due - (m_spinLeftNs > 0 ? m_spin.GetTimeStep() : 0);
        m_polling = due > 0 && sleep <= 0;
        wait = std::min(wait, sleep);
    }
    m_sleeping = wait > 0;
    return wait > 0 ? m_originNs + now + wait : 0;
}

void
RealTimeSimulator::AdvanceToArrival()
{
    uint64_t arrival = RealNow();
    if (!m_events->IsEmpty())
    {
        arrival = std::min(arrival, m_events->PeekNext().key.m_ts);
    }
    if (arrival > m_currentTs)
    {
        m_currentTs = arrival;
        // Every event at this time is still to run, whatever its uid: see IsExpired().
        m_currentUid = EventId::UID::INVALID;
    }
}

void
RealTimeSimulator::WaitAndServe()
{
    m_pollSet.WaitAndServe(PlanWakeNs(), [this](uint32_t context) {
        // Between two descriptors what is due by now: the frames of one must not delay the events
        // of another.
        if (m_begun)
        {
            RunDueEvents();
            Beat();
            FlushAll();
        }
        AdvanceToArrival();
        m_currentContext = context;
        return !m_stop;
    });
}

void
RealTimeSimulator::Run()
{
    NS_ABORT_MSG_IF(m_thread != std::this_thread::get_id(),
                    "Run() in another thread than the one that built");
    // The kernel otherwise lets timers of this thread be 50 us late.
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    m_stop = false;
    if (!m_begun)
    {
        RunInitialization();
        if (m_prepared)
        {
            m_prepared();
        }
    }
    while (!m_stop && !m_begun)
    {
        WaitAndServe();
        DrainInbox();
        FlushAll();
    }
    while (!m_stop)
    {
        DrainInbox();
        RunDueEvents();
        Beat();
        FlushAll();
        WaitAndServe();
        FlushAll();
    }
    m_currentContext = Simulator::NO_CONTEXT;
}

} // namespace ns3::qemunet

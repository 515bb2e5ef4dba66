/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_SIMULATION_DRIVER_H
#define QEMUNET_SIMULATION_DRIVER_H

#include "lag-histogram.h"

#include <cstdint>
#include <functional>
#include <memory>

namespace ns3::qemunet
{

/**
 * What the control server needs of a real-time simulator, ours or the stock one.
 *
 * All but Run() are called from the thread that serves the control socket, which with our simulator
 * is the simulation's own.
 */
class SimulationDriver
{
  public:
    virtual ~SimulationDriver() = default;

    /**
     * Run until Stop().
     *
     * @param fd The control socket.
     * @param prepared Called when the simulation waits for Begin().
     * @param serve Called whenever the socket has something to read, or room to write.
     */
    virtual void Run(int fd,
                     std::function<void()> prepared,
                     std::function<void(uint32_t events)> serve) = 0;

    /**
     * Ask for EPOLLOUT on the control socket. Any thread may.
     *
     * @param wanted True if something waits to be written.
     */
    virtual void WantWrite(bool wanted) = 0;

    /**
     * Make this instant simulation time 0.
     *
     * @returns CLOCK_MONOTONIC of it in ns.
     */
    virtual int64_t Begin() = 0;

    /** @returns True after Begin(). */
    virtual bool HasBegun() const = 0;

    /** @returns Simulation time by the real clock in ns. */
    virtual uint64_t RealNow() const = 0;

    /**
     * Do something in the simulation's thread.
     *
     * @param atNs Simulation time; a past one means at once.
     * @param action What to do. Simulation time is then atNs, or later.
     */
    virtual void Post(uint64_t atNs, std::function<void()> action) = 0;

    /** Let Run() return. */
    virtual void Stop() = 0;

    /**
     * Hold events to limits: before Begin().
     *
     * @param limits What to call is called in the simulation's thread.
     */
    virtual void SetLagLimits(LagLimits limits) = 0;

    /** @returns How late events ran. Read it in the simulation's thread. */
    virtual const LagHistogram& GetLag() const = 0;
};

/** @returns The driver of the RealTimeSimulator that is the implementation in use. */
std::unique_ptr<SimulationDriver> MakeRealTimeDriver();

/** @returns The driver of the stock RealtimeSimulatorImpl that is the implementation in use. */
std::unique_ptr<SimulationDriver> MakeStockDriver();

} // namespace ns3::qemunet

#endif /* QEMUNET_SIMULATION_DRIVER_H */

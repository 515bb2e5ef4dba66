/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_CONTROL_SERVER_H
#define QEMUNET_CONTROL_SERVER_H

#include "network.h"

#include "../model/answer-watch.h"
#include "../model/console-firing.h"
#include "../model/control-channel.h"
#include "../model/load-watch.h"
#include "../model/simulation-driver.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ns3::qemunet
{

/** How the simulation keeps time, as the user wants it. */
struct TimingOptions
{
    uint64_t deadlineNs{UINT64_MAX};  //!< Events later than this are counted.
    uint64_t hardLimitNs{UINT64_MAX}; //!< The controller is told of the first one later than this.
    bool busyPoll{false};             //!< Our simulator's loop hardly sleeps.
};

/** Runs the simulation of a Network as the controller says. */
class ControlServer
{
  public:
    /**
     * @param network What to run; it stays the caller's.
     * @param fd The control socket; it stays the caller's.
     * @param timing How it keeps time.
     */
    ControlServer(Network& network, int fd, const TimingOptions& timing = {});

    /**
     * Run until the controller says stop, or is gone.
     *
     * @returns The id of the request to stop; none if the controller is gone.
     */
    std::optional<uint32_t> Run();

    /** @returns How late events ran. Call it after Run(). */
    const LagHistogram& GetLag() const;

    /** @returns What the simulation cost. Call it after Run(). */
    const Load& GetLoad() const;

  private:
    void Serve(uint32_t events);
    void Handle(ControlMessage& message);
    void AttachDoor(ControlMessage& message);
    void AttachConsole(ControlMessage& message);
    void Start(uint32_t id);
    void Fire(const ControlMessage& message);
    void SetLink(const ControlMessage& message);
    void DefineDelay(const ControlMessage& message);
    void Stop(uint32_t id);
    uint64_t CountDrops() const;
    void SendCounters(uint32_t id);
    void SendArrivals(uint32_t id);
    void Reply(ControlType type, uint32_t id);
    void Refuse(uint32_t id, ControlError code, const std::string& text);

    Network& m_network;                                            //!< The network.
    int m_fd;                                                      //!< The control socket.
    std::unique_ptr<SimulationDriver> m_driver;                    //!< The simulator.
    ControlChannel m_channel;                                      //!< Over m_fd.
    std::map<uint32_t, std::shared_ptr<const Console>> m_consoles; //!< By number.
    std::map<uint32_t, std::shared_ptr<const UniqueFd>> m_answers; //!< By number of the console.
    AnswerWatch m_watch;                                           //!< Of m_answers.
    LoadWatch m_load;                                              //!< What it costs.
    std::optional<uint32_t> m_stopId;                              //!< Of the request to stop.
    std::vector<DelayPart> m_delay;                                //!< A distribution on its way.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_CONTROL_SERVER_H */

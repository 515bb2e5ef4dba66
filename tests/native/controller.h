/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_CONTROLLER_H
#define QEMUNET_CONTROLLER_H

#include "../../qemunet/native/helper/control-server.h"
#include "../../qemunet/native/helper/network.h"
#include "../../qemunet/native/model/unique-fd.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

/** A connected pair of sockets. */
struct Pair
{
    explicit Pair(int type);

    ns3::qemunet::UniqueFd ours;   //!< The test's end.
    ns3::qemunet::UniqueFd theirs; //!< The simulation's end.
};

/** The controller's end of the control socket. */
class Controller
{
  public:
    /** What a simulation counted up to an instant. */
    struct Counts
    {
        ns3::qemunet::LagBody lag;                            //!< Of its loop.
        std::map<uint32_t, ns3::qemunet::DoorCounters> doors; //!< By number.
        std::map<std::pair<uint32_t, uint32_t>, ns3::qemunet::LinkCounters>
            links; //!< By number and
                   //!< direction.
    };

    explicit Controller(int fd);

    /** Send a request, with a descriptor if it is not negative. */
    void Send(const std::vector<std::byte>& bytes, int fd = -1) const;

    /** Wait for a message of a type, and of an id if it is not 0, passing over others. */
    std::vector<std::byte> Await(ns3::qemunet::ControlType type, uint32_t id = 0) const;

    /** Send a request with a number and a descriptor, and wait until it is done. */
    void Attach(ns3::qemunet::ControlType type, uint32_t number, int fd) const;

    /** Start the simulation. */
    void Start() const;

    /** Wait until a request went all the way through the loop. */
    void Synchronize() const;

    /** @returns What was counted by now. */
    Counts GetCounts() const;

  private:
    std::vector<std::byte> Receive() const;

    int m_fd;                        //!< The socket.
    mutable uint32_t m_lastId{1000}; //!< Of Synchronize().
};

/** Run a network with a controller in a thread; it is stopped when the controller returns. */
void RunWith(ns3::qemunet::Network& network, const std::function<void(const Controller&)>& control);

#endif /* QEMUNET_CONTROLLER_H */

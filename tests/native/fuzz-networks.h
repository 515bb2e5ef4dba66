/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_FUZZ_NETWORKS_H
#define QEMUNET_FUZZ_NETWORKS_H

#include "../../qemunet/native/helper/network.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/** A network in which a guest misbehaves. */
struct FuzzNetwork
{
    /** What a guest's interface is. */
    enum class Way
    {
        SOCKET, //!< A machine's datagram socket.
        TAP,    //!< A container's tap.
    };

    /** What balances between the door of the guest and its link. */
    enum class Kind
    {
        PLAIN,          //!< What comes in is sent; what is sent is delivered or dropped.
        POINT_TO_POINT, //!< The port answers some of it itself.
        RADIO,          //!< What arrived may count as lost where only its acknowledgement was.
    };

    std::string name; //!< Of the case.
    Way way;          //!< How the guests are joined.
    Kind kind;        //!< What balances.
    /** True: a guest is at door 1. False: an ns-3 node with 10.0.0.2 answers the guest. */
    bool peer;
    double honest; //!< Share of frames that have the guest's address as their source.
    std::function<std::unique_ptr<ns3::qemunet::Network>()> make; //!< Builds it.
};

/** @returns All cases. The guest that misbehaves is at door 0 with 02:00:00:00:00:01, its
 * neighbour is 02:00:00:00:00:02. */
std::vector<FuzzNetwork> GetFuzzNetworks();

#endif /* QEMUNET_FUZZ_NETWORKS_H */

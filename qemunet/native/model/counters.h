/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_COUNTERS_H
#define QEMUNET_COUNTERS_H

#include <cstdint>

namespace ns3::qemunet
{

/** What passed a door since time 0. Bytes are those of whole frames without FCS. */
struct DoorCounters
{
    uint64_t inFrames{0}; //!< From the guest.
    uint64_t inBytes{0};  //!< From the guest.
    /** From the guest, dropped: no Ethernet header, more than the MTU allows, or nothing that the
     * link can carry. */
    uint64_t inMalformed{0};
    uint64_t outFrames{0};      //!< To the guest.
    uint64_t outBytes{0};       //!< To the guest.
    uint64_t outDropped{0};     //!< To the guest, dropped: its queue was full.
    uint64_t outUnreachable{0}; //!< To the guest, dropped: nobody holds the other end.
};

/** What passed one direction of a wire or p2p link, or a whole channel that all ends share, since
 * time 0. Bytes are of frames without FCS. */
struct LinkCounters
{
    uint64_t sentFrames{0};       //!< Handed to the transmitter, dropped ones included.
    uint64_t sentBytes{0};        //!< Handed to the transmitter.
    uint64_t deliveredFrames{0};  //!< Came out at the other end, duplicates included.
    uint64_t deliveredBytes{0};   //!< Came out at the other end.
    uint64_t droppedQueue{0};     //!< The transmitter's queue was full, or the medium.
    uint64_t droppedLoss{0};      //!< Lost on the medium, as asked for.
    uint64_t droppedOversize{0};  //!< Longer than the MTU allows.
    uint64_t droppedCollision{0}; //!< csma, wifi: all tries failed.
    uint64_t droppedProtocol{0};  //!< p2p: a guest's frame that is nothing for the far end.
    uint64_t duplicated{0};       //!< Sent twice, as asked for.
    uint64_t reordered{0};        //!< Allowed to overtake, as asked for.
    uint64_t droppedDown{0};      //!< The link was down.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_COUNTERS_H */

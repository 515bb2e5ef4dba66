/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_CONTROL_MESSAGES_H
#define QEMUNET_CONTROL_MESSAGES_H

#include "counters.h"
#include "delay-distribution.h"
#include "impairments.h"

#include <bit>
#include <cstdint>

/**
 * @file
 * The messages between the controller and the simulation, over a SOCK_SEQPACKET socket. Each is a
 * Header and a body of fixed fields, little-endian, packed; some end in an array whose length is in
 * the body. A request gets exactly one last reply with its id: any but LAG, DOORS and LINKS;
 * these precede it where counters are asked for. The same layouts are in
 * qemunet/simulation/messages.py.
 */

namespace ns3::qemunet
{

static_assert(std::endian::native == std::endian::little,
              "messages are written as they lie in memory");

/** Changes with every change of a layout. */
constexpr uint16_t CONTROL_VERSION = 4;
/** The longest message. */
constexpr uint32_t CONTROL_MAX_BYTES = 32768;

/** What a message is. */
enum class ControlType : uint16_t
{
    ATTACH_DOOR = 1,    //!< NumberBody and one descriptor.
    ATTACH_CONSOLE = 2, //!< ConsoleBody and one descriptor, or two: see Console.
    START = 3,          //!< No body.
    FIRE = 4,           //!< FireBody and uint32_t consoles[count].
    COUNTERS = 5,       //!< No body.
    SET_LINK = 6,       //!< SetLinkBody.
    STOP = 7,           //!< No body.
    DEFINE_DELAY = 8,   //!< DefineDelayBody and DelayPart[count].
    ARRIVALS = 9,       //!< No body.
    READY = 64,         //!< No body; id 0: everything is built.
    OK = 65,            //!< No body.
    STARTED = 66,       //!< StartedBody.
    FIRED = 67,         //!< FiredBody and FiredConsole[count].
    LAG = 68,           //!< LagBody.
    DOORS = 69,         //!< PageBody and DoorEntry[count].
    LINKS = 70,         //!< PageBody and LinkEntry[count].
    ERROR = 71,         //!< ErrorBody and text.
    REPORT = 72,   //!< A piece of the worker's JSON; an empty piece ends it. Sent by Python, after
                   //!< the end.
    CHANGED = 74,  //!< ChangedBody.
    DEFINED = 75,  //!< NumberBody: the distribution's.
    FAILED = 73,   //!< JSON, id 0: the network could not be built. Sent by Python.
    ARRIVED = 76,  //!< PageBody and ArrivedConsole[count].
    EXCEEDED = 80, //!< ExceededBody, id 0: an event ran later than the hard limit.
};

/** Why a request was refused. */
enum class ControlError : uint32_t
{
    MALFORMED = 1,   //!< Not a message of this version.
    UNKNOWN = 2,     //!< No such door, console, link or type.
    STATE = 3,       //!< Not now: before the start, or after it.
    VALUE = 4,       //!< A value that makes no sense.
    UNSUPPORTED = 5, //!< This link cannot do it.
};

struct [[gnu::packed]] ControlHeader
{
    uint16_t version{CONTROL_VERSION}; //!< CONTROL_VERSION.
    uint16_t type{0};                  //!< A ControlType.
    uint32_t id{0};                    //!< Chosen by the requester, 0 for what nobody asked for.
};

struct [[gnu::packed]] NumberBody
{
    uint32_t number; //!< Of the door or the distribution.
};

struct [[gnu::packed]] ConsoleBody
{
    uint32_t number; //!< Of the console.
    int32_t guest;   //!< Process that runs the guest, or 0: see Console.
};

struct [[gnu::packed]] FireBody
{
    int64_t atNs;   //!< Simulation time; 0 is as soon as possible.
    uint32_t count; //!< Consoles that follow.
};

struct [[gnu::packed]] SetLinkBody
{
    int64_t atNs;      //!< Simulation time; 0 is as soon as possible.
    uint32_t link;     //!< Number of the link, from 0 in the order of the plan.
    uint32_t changes;  //!< ChangeBits; all change at one instant.
    Impairments there; //!< First to second end; all that counts for csma.
    Impairments back;  //!< Second to first end.
};

/** What a SetLinkBody changes. */
enum ChangeBits : uint32_t
{
    CHANGE_THERE = 1, //!< First to second end.
    CHANGE_BACK = 2,  //!< Second to first end.
    CHANGE_UP = 4,    //!< Frames pass again.
    CHANGE_DOWN = 8,  //!< No frame passes.
    CHANGE_ALL = 15,  //!< All bits.
};

struct [[gnu::packed]] ChangedBody
{
    int64_t atNs; //!< Simulation time.
};

struct [[gnu::packed]] DefineDelayBody
{
    uint32_t total; //!< Parts of the distribution.
    uint32_t first; //!< Number of the first one that follows; 0 begins a new distribution.
    uint32_t count; //!< Parts that follow.
};

struct [[gnu::packed]] StartedBody
{
    int64_t originNs; //!< CLOCK_MONOTONIC of simulation time 0.
};

struct [[gnu::packed]] FiredBody
{
    int64_t atNs;   //!< Simulation time of the event.
    uint32_t late;  //!< 1 if the instant asked for had passed when the request came.
    uint32_t count; //!< Consoles that follow, in the order asked for.
};

struct [[gnu::packed]] FiredConsole
{
    uint32_t console;  //!< Its number.
    int32_t error;     //!< 0, or the errno with which the write failed.
    int64_t writtenNs; //!< CLOCK_MONOTONIC just before the write.
};

struct [[gnu::packed]] ArrivedConsole
{
    uint32_t console;  //!< Its number.
    int64_t arrivedNs; //!< CLOCK_MONOTONIC at which there was something to read from its guest.
};

struct [[gnu::packed]] LagBody
{
    uint64_t count;   //!< Events.
    uint64_t p50Ns;   //!< Median.
    uint64_t p99Ns;   //!< 99 %.
    uint64_t p999Ns;  //!< 99.9 %.
    uint64_t maxNs;   //!< Largest.
    uint64_t maxAtNs; //!< Simulation time at which the largest was due.
    uint64_t events;  //!< Events the simulator executed.
    uint64_t cpuNs;   //!< CPU time of the process, all its threads.
};

struct [[gnu::packed]] ExceededBody
{
    uint64_t lagNs;   //!< How late it ran.
    uint64_t atNs;    //!< Simulation time at which it was due.
    uint64_t limitNs; //!< The hard limit.
};

struct [[gnu::packed]] PageBody
{
    uint32_t count; //!< Entries that follow.
};

struct DoorEntry
{
    uint32_t door;         //!< Its number.
    uint32_t reserved;     //!< 0.
    DoorCounters counters; //!< What passed.
};

struct LinkEntry
{
    uint32_t link;         //!< Its number.
    uint32_t direction;    //!< 0 or 1; always 0 for a csma channel.
    LinkCounters counters; //!< What passed.
};

struct [[gnu::packed]] ErrorBody
{
    uint32_t code; //!< A ControlError.
};

static_assert(sizeof(DoorEntry) == 8 + 7 * 8);
static_assert(sizeof(LinkEntry) == 8 + 12 * 8);

} // namespace ns3::qemunet

#endif /* QEMUNET_CONTROL_MESSAGES_H */

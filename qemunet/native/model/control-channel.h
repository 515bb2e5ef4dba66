/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_CONTROL_CHANNEL_H
#define QEMUNET_CONTROL_CHANNEL_H

#include "control-messages.h"
#include "unique-fd.h"

#include <cstddef>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace ns3::qemunet
{

/** A message that came. */
struct ControlMessage
{
    ControlHeader header;            //!< The header.
    std::span<const std::byte> body; //!< What follows it.
    std::vector<UniqueFd> fds;       //!< Descriptors that came with it.
};

/** Puts a message together. */
class ControlWriter
{
  public:
    /**
     * @param type What it is.
     * @param id Of the request it answers.
     */
    ControlWriter(ControlType type, uint32_t id);

    /**
     * @param value A packed struct to append.
     * @returns This writer.
     */
    template <typename T>
    ControlWriter& Add(const T& value)
    {
        size_t end = m_bytes.size();
        m_bytes.resize(end + sizeof(T));
        std::memcpy(m_bytes.data() + end, &value, sizeof(T));
        return *this;
    }

    /** @returns The message. */
    std::vector<std::byte> Take();

  private:
    std::vector<std::byte> m_bytes; //!< So far.
};

/** The simulation's end of the control socket: whole messages in, whole messages out, never
 * blocking. */
class ControlChannel
{
  public:
    /** What Receive() found. */
    enum class Status
    {
        MESSAGE, //!< A message with a header of this version.
        BROKEN,  //!< Something else.
        EMPTY,   //!< Nothing more.
        CLOSED,  //!< The controller is gone.
    };

    /**
     * @param fd The socket; stays the caller's.
     * @param wantWrite Called when there begins or ceases to be something that waits to be written.
     */
    ControlChannel(int fd, std::function<void(bool)> wantWrite);

    /**
     * Take the next message.
     *
     * @param message Set for MESSAGE, and its header as far as it came for BROKEN. Its body lives
     * until the next call.
     * @returns What was found.
     */
    Status Receive(ControlMessage& message);

    /**
     * Send a message, or keep it until there is room. Any thread may.
     *
     * @param bytes The message.
     */
    void Send(std::vector<std::byte> bytes);

    /** Send what was kept, as far as there is room. */
    void FlushKept();

    /** @returns True if the controller reads nothing any more and too much was kept for it. */
    bool IsOverrun() const;

  private:
    void SendKept();

    int m_fd;                                  //!< The socket.
    std::function<void(bool)> m_wantWrite;     //!< See the constructor.
    std::vector<std::byte> m_buffer;           //!< For Receive().
    mutable std::mutex m_mutex;                //!< Guards m_kept.
    std::deque<std::vector<std::byte>> m_kept; //!< Waiting for room.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_CONTROL_CHANNEL_H */

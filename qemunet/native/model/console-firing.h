/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_CONSOLE_FIRING_H
#define QEMUNET_CONSOLE_FIRING_H

#include "control-messages.h"
#include "unique-fd.h"

#include <memory>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace ns3::qemunet
{

/**
 * Where the simulation types at a guest. A second descriptor that comes with it is where the
 * guest's answers arrive: it is watched (AnswerWatch), not read.
 */
class Console
{
  public:
    /**
     * @param guest The process that runs the guest; 0: whatever is in the foreground of the
     * terminal.
     * @param fd A stream socket, or a terminal's master. Firing puts a terminal, for all who share
     * it, into non-blocking mode: there is no other way to write to one without ever waiting.
     */
    Console(UniqueFd fd, pid_t guest);

    /** @returns The threads that are to read what is typed. */
    std::vector<pid_t> GetReaders() const;

    /** Type a blank, which wakes the console's reader. It only helps, so it cannot fail. */
    void Rouse() const;

    /**
     * Type a newline. Call Rouse() before.
     *
     * @returns 0 or an errno.
     */
    int TypeNewline() const;

  private:
    int Type(char key) const;

    UniqueFd m_fd;                //!< The descriptor.
    bool m_isSocket;              //!< It is no terminal.
    std::vector<pid_t> m_threads; //!< Of the process that runs the guest.
};

/** A console by its number; it stays open as long as somebody means to type at it. */
using NumberedConsole = std::pair<uint32_t, std::shared_ptr<const Console>>;

/**
 * Type a newline at each console, one right after the other. One that has no room is reported and
 * stalls no other.
 *
 * A blank is typed at each of them first, which the line that stands there has to tolerate: writing
 * to one whose reader sleeps takes long, the more so if a processor has to be woken as well, and
 * the blank pays for that. The newlines then find everyone awake, and follow each other as fast as
 * the kernel takes them.
 *
 * @param consoles In the order in which to type.
 * @returns For each, when its newline was typed, and its error.
 */
std::vector<FiredConsole> FireConsoles(const std::vector<NumberedConsole>& consoles);

} // namespace ns3::qemunet

#endif /* QEMUNET_CONSOLE_FIRING_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_CONSOLE_FIRING_H
#define QEMUNET_CONSOLE_FIRING_H

#include "control-messages.h"
#include "unique-fd.h"

#include <memory>
#include <utility>
#include <vector>

namespace ns3::qemunet
{

/** A console's number and its descriptor, which stays open as long as somebody means to write to
 * it. */
using Console = std::pair<uint32_t, std::shared_ptr<const UniqueFd>>;

/**
 * Write one newline to each console, one right after the other. One that has no room is reported
 * and stalls no other.
 *
 * @param consoles In the order in which to write.
 * @returns For each, when it was written to, and its error.
 */
std::vector<FiredConsole> FireConsoles(const std::vector<Console>& consoles);

} // namespace ns3::qemunet

#endif /* QEMUNET_CONSOLE_FIRING_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_LINK_WATCH_H
#define QEMUNET_LINK_WATCH_H

#include "counters.h"

namespace ns3::qemunet
{

/** Counts what happens on a medium that all its ends share, and takes it down. */
class LinkWatch
{
  public:
    LinkWatch() = default;
    virtual ~LinkWatch() = default;
    LinkWatch(const LinkWatch&) = delete;
    LinkWatch& operator=(const LinkWatch&) = delete;

    /** Time 0 comes: what was before it neither counts nor is kept. */
    virtual void Open() = 0;

    /**
     * @param up False: nobody receives anything.
     */
    virtual void SetUp(bool up) = 0;

    /** @returns The counters. "Delivered" counts each receiver. */
    virtual const LinkCounters& GetCounters() const = 0;
};

} // namespace ns3::qemunet

#endif /* QEMUNET_LINK_WATCH_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_FIFO_H
#define QEMUNET_FIFO_H

namespace ns3::qemunet
{

/**
 * Run the calling thread under SCHED_FIFO; its children and later threads run as usual.
 *
 * A loop that sleeps between events harms nobody. One that does not sleep for two seconds (an event
 * that schedules itself without delay, or more traffic than the machine carries) would starve
 * everything else on its CPU: then the thread goes back to SCHED_OTHER for the rest of the run.
 *
 * @param priority 1..99.
 * @returns 0, or an errno.
 */
int UseFifo(int priority);

/** @returns True if the thread went back to SCHED_OTHER. */
bool WasDemoted();

} // namespace ns3::qemunet

#endif /* QEMUNET_FIFO_H */

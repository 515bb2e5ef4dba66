/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_WIRE_TEST_H
#define QEMUNET_WIRE_TEST_H

/** What a wire does to frames, in simulated time: no clock, so many frames and exact numbers. */
void TestWires();

/** pcap files: whole records in order, also where the ring overflows. */
void TestPcap();

#endif /* QEMUNET_WIRE_TEST_H */

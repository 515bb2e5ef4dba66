/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_TIMING_TEST_H
#define QEMUNET_TIMING_TEST_H

/** The loop's turns under overload, and what is counted of lateness. */
void TestTiming();

#endif /* QEMUNET_TIMING_TEST_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_STREAM_TEST_H
#define QEMUNET_STREAM_TEST_H

/**
 * Frames behind their lengths on a stream, in pieces of random size, either way: each comes whole
 * and in order, short, giant and empty ones too.
 *
 * @param count How many frames each way.
 */
void TestLengthStream(unsigned count);

#endif /* QEMUNET_STREAM_TEST_H */

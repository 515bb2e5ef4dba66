/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_CHECK_H
#define QEMUNET_CHECK_H

#include <cstdlib>
#include <iostream>

/** End the test program if something does not hold, at once: other threads are still at work. */
#define CHECK(condition)                                                                           \
    do                                                                                             \
    {                                                                                              \
        if (!(condition))                                                                          \
        {                                                                                          \
            std::cerr << __FILE__ << ":" << __LINE__ << ": " #condition " does not hold"           \
                      << std::endl;                                                                \
            std::_Exit(1);                                                                         \
        }                                                                                          \
    } while (false)

#endif /* QEMUNET_CHECK_H */

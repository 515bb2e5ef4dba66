/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_UNIQUE_FD_H
#define QEMUNET_UNIQUE_FD_H

#include <unistd.h>
#include <utility>

namespace ns3::qemunet
{

/** Sole owner of a file descriptor. */
class UniqueFd
{
  public:
    UniqueFd() = default;

    /**
     * @param fd The descriptor to own, or -1.
     */
    explicit UniqueFd(int fd)
        : m_fd(fd)
    {
    }

    UniqueFd(UniqueFd&& other) noexcept
        : m_fd(std::exchange(other.m_fd, -1))
    {
    }

    UniqueFd& operator=(UniqueFd&& other) noexcept
    {
        std::swap(m_fd, other.m_fd);
        return *this;
    }

    ~UniqueFd()
    {
        if (m_fd >= 0)
        {
            ::close(m_fd);
        }
    }

    /** @returns The descriptor, or -1. */
    int Get() const
    {
        return m_fd;
    }

    /** @returns True if there is a descriptor. */
    explicit operator bool() const
    {
        return m_fd >= 0;
    }

  private:
    int m_fd{-1}; //!< The descriptor.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_UNIQUE_FD_H */

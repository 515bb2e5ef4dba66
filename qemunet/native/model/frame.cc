/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "frame.h"

#include <cstring>
#include <unistd.h>
#include <utility>
#include <vector>

namespace ns3::qemunet
{

namespace
{

/** Outstanding frames may take one part of so many of the computer's memory. */
constexpr uint64_t MEMORY_SHARE = 4;

} // namespace

/** A frame with its memory and its place in the list of free ones. */
struct FramePool::Slot : Frame
{
    explicit Slot(uint32_t bytes)
        : memory(bytes)
    {
        data = memory.data();
    }

    std::vector<uint8_t> memory; //!< Owns the bytes.
    Slot* next{nullptr};         //!< Next free one.
};

void
FrameDeleter::operator()(Frame* frame) const
{
    FramePool::Get().Release(frame);
}

FramePool&
FramePool::Get()
{
    static FramePool pool;
    return pool;
}

FramePool::FramePool()
    : m_mostBytes(static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                  static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) / MEMORY_SHARE)
{
}

FramePool::~FramePool()
{
    DeleteFree();
}

void
FramePool::DeleteFree()
{
    while (m_free != nullptr)
    {
        delete std::exchange(m_free, m_free->next);
    }
}

void
FramePool::Require(uint32_t bytes)
{
    if (bytes > m_capacity)
    {
        m_capacity = bytes;
        DeleteFree();
    }
}

uint32_t
FramePool::GetCapacity() const
{
    return m_capacity;
}

void
FramePool::SetMostBytes(uint64_t bytes)
{
    m_mostBytes = bytes;
}

FramePtr
FramePool::Allocate()
{
    ++m_outstanding;
    if (m_free == nullptr)
    {
        return FramePtr(new Slot(m_capacity + FRAME_SPARE_BYTES));
    }
    Slot* slot = std::exchange(m_free, m_free->next);
    slot->size = 0;
    return FramePtr(slot);
}

FramePtr
FramePool::Copy(const Frame& frame)
{
    FramePtr copy = Allocate();
    std::memcpy(copy->data, frame.data, frame.size);
    copy->size = frame.size;
    return copy;
}

void
FramePool::Release(Frame* frame)
{
    --m_outstanding;
    auto slot = static_cast<Slot*>(frame);
    if (slot->memory.size() < m_capacity + FRAME_SPARE_BYTES)
    {
        delete slot;
        return;
    }
    slot->next = m_free;
    m_free = slot;
}

} // namespace ns3::qemunet

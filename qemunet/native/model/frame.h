/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_FRAME_H
#define QEMUNET_FRAME_H

#include <cstddef>
#include <cstdint>
#include <memory>

namespace ns3::qemunet
{

/** Bytes of an Ethernet header: two addresses and the EtherType. */
constexpr uint32_t ETHERNET_HEADER_BYTES = 14;
/** A frame may carry one VLAN tag beyond the MTU. */
constexpr uint32_t VLAN_TAG_BYTES = 4;
/** Frame check sequence: never in a Frame, but it takes its time on a medium. */
constexpr uint32_t ETHERNET_FCS_BYTES = 4;
/** An Ethernet transmitter pads shorter frames (without FCS) to this. */
constexpr uint32_t ETHERNET_MIN_BYTES = 60;
/** Room in a frame beyond the longest one, so that one that is longer yet shows by its length. */
constexpr uint32_t FRAME_SPARE_BYTES = 8;
/** Type fields below this one are lengths (IEEE 802.3). */
constexpr uint16_t ETHERTYPE_MIN = 1536;

/**
 * The largest frame that a link of an MTU carries.
 *
 * @param mtu Payload in bytes.
 * @returns Bytes with header and one VLAN tag, without FCS.
 */
constexpr uint32_t
MaxFrameBytes(uint32_t mtu)
{
    return mtu + ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES;
}

/**
 * A raw Ethernet frame: destination, source, EtherType, payload; no FCS, no padding.
 *
 * Frames live in the FramePool and belong to one FramePtr at a time. They are used by the
 * simulation's thread only.
 */
struct Frame
{
    uint8_t* data{nullptr}; //!< The bytes; room for FramePool::GetCapacity() and the spare ones.
    uint32_t size{0};       //!< Bytes used.
};

/** Gives a Frame back to the pool. */
struct FrameDeleter
{
    /**
     * @param frame The frame to give back.
     */
    void operator()(Frame* frame) const;
};

/** Sole owner of a Frame. */
using FramePtr = std::unique_ptr<Frame, FrameDeleter>;

/**
 * Recycles frames, so that the packet path allocates nothing once it is warm.
 *
 * What is outstanding is bounded by the queues that hold frames, and where there is no queue by
 * whoever asks IsFull(). The pool keeps the most that was outstanding.
 */
class FramePool
{
  public:
    /**
     * @returns The pool of this process.
     */
    static FramePool& Get();

    /**
     * Make room for larger frames. Frames made earlier are not given out again.
     *
     * @param bytes Largest frame of any link so far.
     */
    void Require(uint32_t bytes);

    /**
     * @returns Bytes that a new frame can hold.
     */
    uint32_t GetCapacity() const;

    /**
     * @returns True if so many frames are outstanding that one more should not have to wait. What
     * cannot wait may still have one.
     */
    bool IsFull() const
    {
        return m_outstanding * m_capacity > m_mostBytes;
    }

    /**
     * @param bytes Of outstanding frames, from which on the pool is full; a quarter of the
     * computer's memory if nothing is said.
     */
    void SetMostBytes(uint64_t bytes);

    /**
     * @returns An empty frame.
     */
    FramePtr Allocate();

    /**
     * @param frame The frame to copy.
     * @returns A copy.
     */
    FramePtr Copy(const Frame& frame);

    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;

  private:
    friend struct FrameDeleter;
    struct Slot;

    FramePool();
    ~FramePool();
    void Release(Frame* frame);
    void DeleteFree();

    Slot* m_free{nullptr};     //!< Frames at rest.
    uint32_t m_capacity{1518}; //!< Bytes of a frame.
    uint64_t m_outstanding{0}; //!< Frames that are not at rest.
    uint64_t m_mostBytes;      //!< See SetMostBytes().
};

/** Whatever frames are handed to: a door, an end of a wire, a port on an ns-3 device. */
class FrameSink
{
  public:
    virtual ~FrameSink() = default;
    /**
     * Take a frame now. Whoever drops it counts it.
     *
     * @param frame At least a whole Ethernet header.
     */
    virtual void PutFrame(FramePtr frame) = 0;

    /**
     * @param frame At least a whole Ethernet header.
     * @returns False if this cannot carry such a frame, so that it must not be put.
     */
    virtual bool Carries(const Frame& /* frame */) const
    {
        return true;
    }
};

} // namespace ns3::qemunet

#endif /* QEMUNET_FRAME_H */

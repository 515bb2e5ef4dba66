/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_PCAP_WRITER_H
#define QEMUNET_PCAP_WRITER_H

#include "unique-fd.h"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ns3::qemunet
{

/**
 * Writes frames to pcap files (nanoseconds, Ethernet) in a thread of its own.
 *
 * The simulation's thread copies each frame into a ring of bounded size and goes on, whatever the
 * disk does; a frame that finds no room there is counted and left out. Records reach their files
 * within a moment, always whole ones in order, so that a file cut short has a valid prefix. A disk
 * is never filled to its end: the rest of the run has to be written too.
 */
class PcapWriter
{
  public:
    /** Bytes that may wait to be written. */
    static constexpr size_t RING_BYTES = size_t{32} << 20;
    /** Frames of Ethernet, as pcap counts. */
    static constexpr uint32_t LINK_TYPE_ETHERNET = 1;
    /** Frames of a point-to-point protocol. */
    static constexpr uint32_t LINK_TYPE_PPP = 9;

    /** What became of the frames of a file. */
    struct Counts
    {
        uint64_t frames; //!< Written, or about to be.
        uint64_t
            dropped; //!< Left out: no room in the ring or on the disk, or it cannot be written.
    };

    PcapWriter() = default;
    ~PcapWriter();
    PcapWriter(const PcapWriter&) = delete;
    PcapWriter& operator=(const PcapWriter&) = delete;

    /**
     * Make a file, before anything is written to any.
     *
     * @param path Where; what is there is replaced.
     * @param linkType What frames are: one of the LINK_TYPEs.
     * @returns Number of the file; negative: an errno with the sign changed.
     */
    int64_t Open(const std::string& path, uint32_t linkType = LINK_TYPE_ETHERNET);

    /**
     * Write a frame; from one thread at a time.
     *
     * @param file Number of the file.
     * @param atNs Simulation time.
     * @param data The frame.
     * @param bytes Its length.
     */
    void Write(uint32_t file, uint64_t atNs, const uint8_t* data, uint32_t bytes);

    /** Write all that waits, and end the thread. */
    void Close();

    /**
     * @param file Number of the file.
     * @returns What became of its frames; exact after Close().
     */
    Counts GetCounts(uint32_t file) const;

  private:
    /** One file. */
    struct File
    {
        UniqueFd fd;                      //!< The file.
        std::vector<uint8_t> pending;     //!< Taken from the ring, for the next write.
        uint64_t pendingFrames{0};        //!< Frames in it.
        std::atomic<uint64_t> frames{0};  //!< Put into the ring.
        std::atomic<uint64_t> dropped{0}; //!< No room in the ring.
        std::atomic<uint64_t> failed{0};  //!< In the ring, but never in the file.
    };

    void Run();
    bool Drain();
    void Flush(File& file);
    void CopyIn(uint64_t position, const void* data, size_t bytes);
    void CopyOut(uint64_t position, void* data, size_t bytes) const;

    std::vector<std::unique_ptr<File>> m_files; //!< By number.
    std::unique_ptr<uint8_t[]> m_ring;          //!< The ring.
    std::atomic<uint64_t> m_written{0};         //!< Bytes ever put into it.
    std::atomic<uint64_t> m_read{0};            //!< Bytes ever taken from it.
    std::mutex m_mutex;                         //!< Guards m_ending.
    std::condition_variable m_wake;             //!< Much waits, or the end has come.
    bool m_ending{false};                       //!< The thread is to end.
    std::thread m_thread;                       //!< Writes files.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_PCAP_WRITER_H */

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "pcap-writer.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace ns3::qemunet
{

namespace
{

/** How long a record may wait in the ring. */
constexpr std::chrono::milliseconds PERIOD{20};
/** Bytes of a file that are collected for one write. */
constexpr size_t BATCH_BYTES = size_t{1} << 20;
/** What recording leaves of a disk to the rest of the run: so much, or a share of a small disk. */
constexpr uint64_t RESERVED_BYTES = uint64_t{32} << 20;
/** One part of so many. */
constexpr uint64_t RESERVED_SHARE = 8;
/** Largest record, for readers. */
constexpr uint32_t SNAP_BYTES = 65535;

/** The head of a pcap file. */
struct FileHeader
{
    uint32_t magic{0xa1b23c4d};    //!< Time stamps in ns, in this machine's byte order.
    uint16_t major{2};             //!< Version of the format.
    uint16_t minor{4};             //!< Version of the format.
    int32_t zone{0};               //!< Always 0.
    uint32_t accuracy{0};          //!< Always 0.
    uint32_t snapshot{SNAP_BYTES}; //!< Largest record.
    uint32_t linkType{0};          //!< What frames are.
};

/** The head of a record in a file. */
struct RecordHeader
{
    uint32_t seconds;     //!< Time stamp.
    uint32_t nanoseconds; //!< Time stamp.
    uint32_t captured;    //!< Bytes that follow.
    uint32_t length;      //!< Bytes of the frame.
};

/** The head of a record in the ring. */
struct RingHeader
{
    uint32_t file;  //!< Number of the file.
    uint32_t bytes; //!< Of the frame.
    uint64_t atNs;  //!< Simulation time.
};

static_assert(sizeof(FileHeader) == 24 && sizeof(RecordHeader) == 16 && sizeof(RingHeader) == 16);

/** Write all of it. @returns False if that cannot be done. */
bool
WriteAll(int fd, const uint8_t* data, size_t bytes)
{
    while (bytes > 0)
    {
        ssize_t written = ::write(fd, data, bytes);
        if (written < 0 && errno == EINTR)
        {
            continue;
        }
        if (written <= 0)
        {
            return false;
        }
        data += written;
        bytes -= static_cast<size_t>(written);
    }
    return true;
}

/** @returns False if a file's disk has to keep what it has left. A pipe has no such limit. */
bool
HasRoom(int fd, size_t bytes)
{
    struct statvfs disk;
    if (::fstatvfs(fd, &disk) != 0 || disk.f_blocks == 0)
    {
        return true;
    }
    uint64_t whole = uint64_t{disk.f_blocks} * disk.f_frsize;
    uint64_t left = uint64_t{disk.f_bavail} * disk.f_frsize;
    return left >= bytes + std::min(RESERVED_BYTES, whole / RESERVED_SHARE);
}

} // namespace

PcapWriter::~PcapWriter()
{
    Close();
}

int64_t
PcapWriter::Open(const std::string& path, uint32_t linkType)
{
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    FileHeader header;
    header.linkType = linkType;
    if (fd.Get() < 0 || !WriteAll(fd.Get(), reinterpret_cast<uint8_t*>(&header), sizeof(header)))
    {
        return -errno;
    }
    m_files.push_back(std::make_unique<File>());
    m_files.back()->fd = std::move(fd);
    return static_cast<int64_t>(m_files.size() - 1);
}

void
PcapWriter::Write(uint32_t file, uint64_t atNs, const uint8_t* data, uint32_t bytes)
{
    if (!m_thread.joinable())
    {
        m_ring = std::make_unique_for_overwrite<uint8_t[]>(RING_BYTES);
        m_ending = false;
        // Signals are for the other threads: one of them tells the simulation's that it runs on.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        m_thread = std::thread([this] { Run(); });
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    File& target = *m_files.at(file);
    RingHeader header{file, bytes, atNs};
    size_t whole = sizeof(header) + bytes;
    uint64_t position = m_written.load(std::memory_order_relaxed);
    uint64_t waiting = position - m_read.load(std::memory_order_acquire);
    if (waiting + whole > RING_BYTES)
    {
        target.dropped.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    CopyIn(position, &header, sizeof(header));
    CopyIn(position + sizeof(header), data, bytes);
    target.frames.fetch_add(1, std::memory_order_relaxed);
    m_written.store(position + whole, std::memory_order_release);
    if (waiting < RING_BYTES / 4 && waiting + whole >= RING_BYTES / 4)
    {
        m_wake.notify_one(); // It comes by soon anyway; this is for bursts.
    }
}

void
PcapWriter::Close()
{
    if (m_thread.joinable())
    {
        {
            std::lock_guard lock(m_mutex);
            m_ending = true;
        }
        m_wake.notify_one();
        m_thread.join();
    }
}

PcapWriter::Counts
PcapWriter::GetCounts(uint32_t file) const
{
    const File& source = *m_files.at(file);
    uint64_t failed = source.failed.load();
    return {source.frames.load() - failed, source.dropped.load() + failed};
}

void
PcapWriter::Run()
{
    bool ending = false;
    while (!ending)
    {
        {
            std::unique_lock lock(m_mutex);
            m_wake.wait_for(lock, PERIOD, [this] {
                return m_ending || m_written.load(std::memory_order_relaxed) -
                                           m_read.load(std::memory_order_relaxed) >=
                                       RING_BYTES / 4;
            });
            ending = m_ending;
        }
        while (Drain())
        {
        }
    }
}

bool
PcapWriter::Drain()
{
    uint64_t position = m_read.load(std::memory_order_relaxed);
    uint64_t end = m_written.load(std::memory_order_acquire);
    size_t taken = 0;
    while (position < end && taken < BATCH_BYTES)
    {
        RingHeader header;
        CopyOut(position, &header, sizeof(header));
        File& file = *m_files[header.file];
        RecordHeader record{static_cast<uint32_t>(header.atNs / 1'000'000'000),
                            static_cast<uint32_t>(header.atNs % 1'000'000'000),
                            header.bytes,
                            header.bytes};
        size_t start = file.pending.size();
        file.pending.resize(start + sizeof(record) + header.bytes);
        std::memcpy(file.pending.data() + start, &record, sizeof(record));
        CopyOut(position + sizeof(header),
                file.pending.data() + start + sizeof(record),
                header.bytes);
        ++file.pendingFrames;
        position += sizeof(header) + header.bytes;
        taken += sizeof(header) + header.bytes;
    }
    m_read.store(position, std::memory_order_release);
    for (const auto& file : m_files)
    {
        Flush(*file);
    }
    return taken > 0;
}

void
PcapWriter::Flush(File& file)
{
    if (file.pendingFrames == 0)
    {
        return;
    }
    if (file.fd.Get() >= 0 && !HasRoom(file.fd.Get(), file.pending.size()))
    {
        file.failed.fetch_add(file.pendingFrames); // There may be room again.
    }
    else if (file.fd.Get() < 0 ||
             !WriteAll(file.fd.Get(), file.pending.data(), file.pending.size()))
    {
        // What follows a record that was cut off could not be read: it stays closed.
        file.fd = UniqueFd();
        file.failed.fetch_add(file.pendingFrames);
    }
    file.pending.clear();
    file.pendingFrames = 0;
}

void
PcapWriter::CopyIn(uint64_t position, const void* data, size_t bytes)
{
    size_t offset = position % RING_BYTES;
    size_t first = std::min(bytes, RING_BYTES - offset);
    std::memcpy(m_ring.get() + offset, data, first);
    std::memcpy(m_ring.get(), static_cast<const uint8_t*>(data) + first, bytes - first);
}

void
PcapWriter::CopyOut(uint64_t position, void* data, size_t bytes) const
{
    size_t offset = position % RING_BYTES;
    size_t first = std::min(bytes, RING_BYTES - offset);
    std::memcpy(data, m_ring.get() + offset, first);
    std::memcpy(static_cast<uint8_t*>(data) + first, m_ring.get(), bytes - first);
}

} // namespace ns3::qemunet

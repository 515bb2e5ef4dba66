/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "stream-test.h"

#include "../../qemunet/native/model/length-stream.h"
#include "check.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <poll.h>
#include <random>
#include <sys/socket.h>
#include <thread>
#include <utility>

using namespace ns3::qemunet;

namespace
{

/** More than the stream's buffer holds. */
constexpr uint32_t GIANT_BYTES = 300'000;

/** A frame's length: mostly plausible, now and then empty or giant. */
uint32_t
DrawLength(std::mt19937& random)
{
    switch (random() % 100)
    {
    case 0:
        return 0;
    case 1:
        return random() % GIANT_BYTES;
    default:
        return random() % 1519;
    }
}

/** Wait until a descriptor is ready. */
void
Await(int fd, short events)
{
    pollfd ready{fd, events, 0};
    CHECK(::poll(&ready, 1, 10'000) == 1);
}

/** @returns The stream, and the other end of it. */
std::pair<std::unique_ptr<FrameStream>, UniqueFd>
MakeStream()
{
    std::array<int, 2> fds;
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    std::unique_ptr<FrameStream> stream = FrameStream::Open(UniqueFd(fds[0]));
    CHECK(stream);
    return {std::move(stream), UniqueFd(fds[1])};
}

/** Write frames whose bytes are their number, in pieces that know nothing of frames. */
void
WritePieces(int fd, unsigned count)
{
    std::mt19937 random(1);
    std::mt19937 pieces(2);
    std::vector<uint8_t> bytes;
    for (unsigned number = 0; number < count || !bytes.empty(); ++number)
    {
        if (number < count)
        {
            uint32_t length = DrawLength(random);
            uint32_t field = htonl(length);
            auto start = reinterpret_cast<const uint8_t*>(&field);
            bytes.insert(bytes.end(), start, start + sizeof(field));
            bytes.insert(bytes.end(), length, static_cast<uint8_t>(number));
        }
        // Now and then all that there is, else a piece: lengths are cut as well.
        size_t size = pieces() % 8 == 0 ? bytes.size() : pieces() % (1 + bytes.size());
        size = number >= count ? bytes.size() : size;
        for (size_t sent = 0; sent < size;)
        {
            ssize_t part = ::send(fd, bytes.data() + sent, size - sent, 0);
            CHECK(part > 0);
            sent += static_cast<size_t>(part);
        }
        bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    }
}

void
TestReading(unsigned count)
{
    auto [stream, guest] = MakeStream();
    std::thread writer([&guest, count] { WritePieces(guest.Get(), count); });
    std::mt19937 random(1);
    FrameBatch batch;
    unsigned number = 0;
    while (number < count)
    {
        Await(stream->GetFd(), POLLIN);
        do
        {
            for (FramePtr& frame : batch.frames)
            {
                frame = FramePool::Get().Allocate();
            }
            int came = stream->Read(batch);
            CHECK(came >= 0 || errno == EAGAIN);
            for (int index = 0; index < came; ++index, ++number)
            {
                uint32_t length = DrawLength(random);
                CHECK(batch.bytes[index] == length);
                uint32_t kept = std::min(length, FramePool::Get().GetCapacity());
                const uint8_t* data = batch.frames[index]->data;
                // Of a giant that came in pieces the first bytes may not be there.
                CHECK(length > 1518 || std::all_of(data, data + kept, [number](uint8_t byte) {
                          return byte == static_cast<uint8_t>(number);
                      }));
            }
        } while (stream->HasMore());
    }
    writer.join();
    CHECK(number == count);
    guest = UniqueFd();
    CHECK(stream->Read(batch) == -1 && errno == EPIPE);
}

/** Read what was written, to the last byte. */
void
ReadAll(int fd, void* data, size_t size)
{
    CHECK(size == 0 || ::recv(fd, data, size, MSG_WAITALL) == static_cast<ssize_t>(size));
}

void
TestWriting(unsigned count)
{
    auto [stream, guest] = MakeStream();
    std::thread reader([&guest, count] {
        std::mt19937 random(3);
        std::vector<uint8_t> bytes(1518);
        for (unsigned number = 0; number < count; ++number)
        {
            uint32_t field;
            ReadAll(guest.Get(), &field, sizeof(field));
            CHECK(ntohl(field) == random() % 1519);
            bytes.resize(ntohl(field));
            ReadAll(guest.Get(), bytes.data(), bytes.size());
            CHECK(std::all_of(bytes.begin(), bytes.end(), [number](uint8_t byte) {
                return byte == static_cast<uint8_t>(number);
            }));
        }
    });
    std::mt19937 random(3);
    std::deque<FramePtr> queue;
    unsigned made = 0;
    bool blocked = false;
    while (made < count || !queue.empty())
    {
        for (; made < count && queue.size() < 2 * FRAME_BATCH; ++made)
        {
            FramePtr frame = FramePool::Get().Allocate();
            frame->size = random() % 1519;
            std::memset(frame->data, static_cast<uint8_t>(made), frame->size);
            queue.push_back(std::move(frame));
        }
        auto wanted = static_cast<unsigned>(std::min<size_t>(FRAME_BATCH, queue.size()));
        int sent = stream->Write(queue, wanted);
        if (sent < 0)
        {
            CHECK(errno == EAGAIN);
            blocked = true;
            Await(stream->GetFd(), POLLOUT);
            continue;
        }
        queue.erase(queue.begin(), queue.begin() + sent);
    }
    reader.join();
    // Else no frame was cut.
    CHECK(blocked);
}

} // namespace

void
TestLengthStream(unsigned count)
{
    TestReading(count);
    TestWriting(count);
}

/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "wire-test.h"

#include "../../qemunet/native/model/pcap-writer.h"
#include "../../qemunet/native/model/wire-channel.h"
#include "../../qemunet/native/model/wire-net-device.h"
#include "check.h"

#include "ns3/global-value.h"
#include "ns3/node.h"
#include "ns3/nstime.h"
#include "ns3/rng-seed-manager.h"
#include "ns3/simulator.h"
#include "ns3/string.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <iterator>
#include <numeric>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

using namespace ns3;
using namespace ns3::qemunet;

namespace
{

constexpr double MS = 1e6; //!< In ns.

/** A frame that came out of a wire. */
struct Came
{
    uint32_t number; //!< Of the frame.
    int64_t delayNs; //!< Since it was sent.
};

/** A wire in ns-3's default simulator, which knows no clock. */
class Bench : public FrameSink
{
  public:
    explicit Bench(uint32_t seed = 1)
    {
        Simulator::Destroy(); // Time begins at 0, also after another bench.
        GlobalValue::Bind("SimulatorImplementationType", StringValue("ns3::DefaultSimulatorImpl"));
        RngSeedManager::SetSeed(seed);
        m_wire = CreateObject<WireChannel>();
        for (Ptr<WireNetDevice>& device : m_devices)
        {
            device = CreateObject<WireNetDevice>();
            CreateObject<Node>()->AddDevice(device);
            device->Attach(m_wire);
        }
        m_wire->AssignStreams(0);
        m_devices[1]->SetFrameReceiver(this);
    }

    ~Bench() override
    {
        m_wire->Dispose();
        Simulator::Destroy();
    }

    /** Set the direction there. */
    Bench& Set(const Impairments& impairments, std::vector<DelayPart> parts = {})
    {
        CHECK(parts.empty() || DelayDistribution::IsValid(parts));
        m_wire->GetDirection(0).Set(
            impairments,
            parts.empty() ? nullptr : std::make_shared<const DelayDistribution>(parts));
        return *this;
    }

    /** Send frames, some ns apart and of some size, from an instant on. */
    Bench& Send(uint32_t count, int64_t apartNs, uint32_t bytes = 100, int64_t fromNs = 0)
    {
        for (uint32_t index = 0; index < count; ++index)
        {
            auto number = static_cast<uint32_t>(m_sent.size());
            m_sent.push_back(fromNs + index * apartNs);
            Simulator::Schedule(NanoSeconds(m_sent.back()), [this, number, bytes] {
                FramePtr frame = FramePool::Get().Allocate();
                frame->size = bytes;
                std::memset(frame->data, 0, bytes);
                std::memcpy(frame->data + ETHERNET_HEADER_BYTES, &number, sizeof(number));
                m_devices[0]->PutFrame(std::move(frame));
            });
        }
        return *this;
    }

    /** Do something at an instant. */
    Bench& At(int64_t atNs, std::function<void(WireChannel&)> action)
    {
        Simulator::Schedule(NanoSeconds(atNs), [this, action] { action(*m_wire); });
        return *this;
    }

    /** Run until nothing is left to do. */
    const std::vector<Came>& Run()
    {
        Simulator::Run();
        return m_came;
    }

    void PutFrame(FramePtr frame) override
    {
        uint32_t number;
        std::memcpy(&number, frame->data + ETHERNET_HEADER_BYTES, sizeof(number));
        m_came.push_back({number, Simulator::Now().GetNanoSeconds() - m_sent.at(number)});
    }

    /** @returns The counters of the direction there. */
    const LinkCounters& Counters()
    {
        return m_wire->GetDirection(0).GetCounters();
    }

    /** @returns Frames that came out behind one that was sent after them. */
    uint64_t CountOvertaken() const
    {
        uint64_t overtaken = 0;
        uint32_t latest = 0;
        for (const Came& came : m_came)
        {
            overtaken += came.number < latest ? 1 : 0;
            latest = std::max(latest, came.number);
        }
        return overtaken;
    }

    /** @returns The delays, sorted. */
    std::vector<double> Delays() const
    {
        std::vector<double> delays;
        for (const Came& came : m_came)
        {
            delays.push_back(static_cast<double>(came.delayNs));
        }
        std::sort(delays.begin(), delays.end());
        return delays;
    }

  private:
    Ptr<WireChannel> m_wire;                       //!< The wire.
    std::array<Ptr<WireNetDevice>, 2> m_devices{}; //!< Its ends.
    std::vector<int64_t> m_sent;                   //!< When, by number.
    std::vector<Came> m_came;                      //!< What came out, in order.
};

double
Mean(const std::vector<double>& values)
{
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double
Deviation(const std::vector<double>& values)
{
    double mean = Mean(values);
    double sum = 0;
    for (double value : values)
    {
        sum += (value - mean) * (value - mean);
    }
    return std::sqrt(sum / static_cast<double>(values.size()));
}

double
Quantile(const std::vector<double>& sorted, double share)
{
    return sorted.at(static_cast<size_t>(share * static_cast<double>(sorted.size() - 1)));
}

bool
Near(double value, double expected, double share)
{
    return std::abs(value - expected) <= share * expected;
}

DelayPart
Part(DelayKind kind, double first, double second, double weight = 1, double least = 0)
{
    return {static_cast<uint32_t>(kind),
            0,
            weight,
            first,
            second,
            static_cast<int64_t>(least),
            DelayDistribution::LONGEST_NS};
}

/** normal(mean=12.6ms, p99=26.1ms, min=1ms) of the documents. */
DelayPart
Measured()
{
    return Part(DelayKind::NORMAL, 12.6 * MS, 13.5 * MS / 2.3263478740408408, 1, 1 * MS);
}

/** Draws are distributed as they should be, and a sum of two as the round trips that were measured.
 */
void
TestDistributions(uint32_t frames)
{
    // Far apart: none waits for its predecessor.
    auto delays = [frames](std::vector<DelayPart> parts, uint32_t seed = 1) {
        Bench bench(seed);
        bench.Set({}, std::move(parts)).Send(frames, 1'000'000'000).Run();
        return bench.Delays();
    };
    std::vector<double> normal = delays({Measured()});
    CHECK(Near(Mean(normal), 12.92 * MS, 0.01) && normal.front() >= 1 * MS);
    CHECK(Near(Quantile(normal, 0.99), 26.2 * MS, 0.02));

    std::vector<double> trips(frames);
    for (uint32_t direction : {2, 3})
    {
        Bench bench(direction);
        bench.Set({}, {Measured()}).Send(frames, 1'000'000'000);
        for (const Came& came : bench.Run())
        {
            trips[came.number] += static_cast<double>(came.delayNs);
        }
    }
    std::sort(trips.begin(), trips.end());
    CHECK(Near(Mean(trips), 25.85 * MS, 0.01) && Near(Quantile(trips, 0.99), 44.5 * MS, 0.02));

    std::vector<double> uniform = delays({Part(DelayKind::UNIFORM, 5 * MS, 10 * MS)});
    CHECK(uniform.front() >= 5 * MS && uniform.back() <= 10 * MS);
    CHECK(Near(Mean(uniform), 7.5 * MS, 0.01) && Near(Quantile(uniform, 0.9), 9.5 * MS, 0.01));

    // Median 10 ms, sigma 0.5: mean 11.33 ms, standard deviation 6.04 ms.
    std::vector<double> lognormal = delays({Part(DelayKind::LOGNORMAL, std::log(10 * MS), 0.5)});
    CHECK(Near(Quantile(lognormal, 0.5), 10 * MS, 0.01) && Near(Mean(lognormal), 11.33 * MS, 0.01));
    CHECK(Near(Deviation(lognormal), 6.04 * MS, 0.03));

    // Weights of 1 to 1000, as of a file of values.
    std::vector<DelayPart> values;
    for (int value = 1; value <= 1000; ++value)
    {
        values.push_back(Part(DelayKind::UNIFORM, value, value, value));
    }
    std::vector<double> drawn = delays(values);
    CHECK(Near(Mean(drawn), 667, 0.01) && Near(Quantile(drawn, 0.25), 500, 0.02));
    CHECK(drawn.front() >= 1 && drawn.back() == 1000);

    // Two of three in one place, a truncated Gaussian for the rest.
    std::vector<double> mixed = delays({Part(DelayKind::UNIFORM, 5 * MS, 5 * MS, 2), Measured()});
    auto fixed = static_cast<double>(std::count(mixed.begin(), mixed.end(), 5 * MS));
    CHECK(Near(fixed, frames * 2.0 / 3, 0.02) && mixed.front() >= 1 * MS);

    CHECK(delays({Measured()}, 7) == delays({Measured()}, 7));
    CHECK(delays({Measured()}, 7) != delays({Measured()}, 8));
    // Nothing is between the bounds: the draws end all the same.
    DelayPart never = Part(DelayKind::NORMAL, 5 * MS, 1 * MS, 1, 900 * MS);
    Bench bench;
    bench.Set({}, {never}).Send(20, 1'000'000'000);
    CHECK(bench.Run().size() == 20 && bench.Delays().front() == 900 * MS);
}

/** Order: kept without reorder=, broken by exactly the share that may overtake. */
void
TestOrder(uint32_t frames)
{
    Bench kept;
    kept.Set({}, {Measured()}).Send(frames, 1'000'000).Run();
    CHECK(kept.CountOvertaken() == 0 && kept.Counters().deliveredFrames == frames);
    // As measured: waiting for predecessors lengthens delays of frames 1 ms apart to 18.3 ms.
    CHECK(Near(Mean(kept.Delays()), 18.3 * MS, 0.03));

    Impairments free;
    free.reorder = 1;
    Bench freely;
    freely.Set(free, {Measured()}).Send(frames, 1'000'000).Run();
    CHECK(freely.CountOvertaken() > frames / 2 && freely.Counters().reordered == frames);
    CHECK(Near(Mean(freely.Delays()), 12.92 * MS, 0.01));

    // A fixed delay: those that may overtake do so, and only those.
    Impairments some;
    some.delayNs = 30'000'000;
    some.reorder = 0.25;
    Bench skip;
    skip.Set(some).Send(frames, 1'000'000).Run();
    std::vector<double> delays = skip.Delays();
    auto skipped = static_cast<uint64_t>(std::count(delays.begin(), delays.end(), 0.0));
    CHECK(skipped == skip.Counters().reordered &&
          Near(static_cast<double>(skipped), frames / 4.0, 0.05));
    CHECK(delays.back() == 30 * MS);

    Impairments jittery;
    jittery.delayNs = 30'000'000;
    jittery.jitterNs = 20'000'000;
    Bench jitter;
    jitter.Set(jittery).Send(frames, 100'000'000).Run();
    std::vector<double> spread = jitter.Delays();
    CHECK(jitter.CountOvertaken() == 0 && spread.front() >= 10 * MS && spread.back() <= 50 * MS);
    CHECK(Near(Mean(spread), 30 * MS, 0.01) && Near(Quantile(spread, 0.75), 40 * MS, 0.02));
    Bench close;
    close.Set(jittery).Send(frames, 1'000'000).Run();
    CHECK(close.CountOvertaken() == 0);
}

/** Loss of 1 % over 20,000 frames leaves its 99 % interval at most twice in 20 seeds. */
void
TestLoss()
{
    unsigned outside = 0;
    for (uint32_t seed = 1; seed <= 20; ++seed)
    {
        Impairments lossy;
        lossy.loss = 0.01;
        Bench bench(seed);
        bench.Set(lossy).Send(20'000, 1000).Run();
        auto lost = static_cast<double>(bench.Counters().droppedLoss);
        CHECK(bench.Counters().deliveredFrames + bench.Counters().droppedLoss == 20'000);
        outside += std::abs(lost - 200) > 2.5758 * std::sqrt(20'000 * 0.01 * 0.99) ? 1 : 0;
    }
    CHECK(outside <= 2);
}

/** A rate is exact over time, a queue drops what exceeds it, duplicates follow their originals. */
void
TestRateQueueDuplicates()
{
    Impairments slow;
    slow.rateBps = 1'000'000;
    slow.queueFrames = 1'000'000;
    Bench rate;
    // 996 bytes and the FCS are 8,000 bits: 8 ms.
    rate.Set(slow).Send(1000, 0, 996);
    CHECK(rate.Run().back().delayNs == 8'000'000'000);

    slow.queueFrames = 10;
    Bench queue;
    queue.Set(slow).Send(50, 0, 996).Run();
    CHECK(queue.Counters().droppedQueue == 39 && queue.Counters().deliveredFrames == 11);
    CHECK(queue.CountOvertaken() == 0);

    Impairments twice;
    twice.duplicate = 0.2;
    twice.delayNs = 1'000'000;
    Bench bench;
    const std::vector<Came>& came = bench.Set(twice).Send(20'000, 1000).Run();
    CHECK(came.size() == 20'000 + bench.Counters().duplicated && bench.CountOvertaken() == 0);
    CHECK(Near(static_cast<double>(bench.Counters().duplicated), 4000, 0.05));
    twice.reorder = 0.5;
    Bench both;
    CHECK(both.Set(twice).Send(20'000, 1000).Run().size() == 20'000 + both.Counters().duplicated);
}

/** However many frames arrive at one instant, other events of that instant have their turn. */
void
TestManyAtOnce()
{
    Impairments far;
    far.delayNs = 1'000'000;
    Bench bench;
    uint64_t before = 0;
    bench.Set(far).Send(1000, 0);
    bench.At(500'000, [&](WireChannel& wire) {
        Simulator::Schedule(NanoSeconds(500'000),
                            [&] { before = wire.GetDirection(0).GetCounters().deliveredFrames; });
    });
    const std::vector<Came>& came = bench.Run();
    CHECK(before > 0 && before < 100);
    CHECK(came.size() == 1000 && bench.CountOvertaken() == 0);
    CHECK(std::all_of(came.begin(), came.end(), [](const Came& each) {
        return each.delayNs == 1'000'000;
    }));
}

/** Frames on the medium take no more memory than they may, and none is lost without being counted.
 */
void
TestFullMedium()
{
    FramePool& pool = FramePool::Get();
    pool.SetMostBytes(uint64_t{100} * pool.GetCapacity());
    for (double reorder : {0.0, 0.5, 1.0})
    {
        Impairments far;
        far.reorder = reorder;
        Bench bench;
        // It is drawn: those that overtake would skip a fixed delay.
        DelayPart second{};
        second.kind = static_cast<uint32_t>(DelayKind::UNIFORM);
        second.weight = 1;
        second.first = second.second = 1e9;
        bench.Set(far, {second}).Send(300, 1000).Send(50, 1000, 100, 3'000'000'000).Run();
        CHECK(bench.Counters().deliveredFrames == 150);
        CHECK(bench.Counters().droppedQueue == 200);
    }
    pool.SetMostBytes(uint64_t{1} << 30);
}

/** A link that is down loses everything, and begins anew when it is up. */
void
TestDown()
{
    Impairments slow;
    slow.rateBps = 1'000'000;
    slow.delayNs = 5'000'000;
    Bench bench;
    // At 12 ms the first frame of 8 ms is on the medium, the second in the transmitter, eight wait.
    bench.Set(slow).Send(10, 0, 996).Send(10, 0, 996, 30'000'000).Send(3, 0, 996, 50'000'000);
    bench.At(12'000'000, [](WireChannel& wire) {
        wire.SetUp(false);
        CHECK(!wire.GetDevice(0)->IsLinkUp());
    });
    bench.At(40'000'000, [](WireChannel& wire) {
        wire.SetUp(true);
        CHECK(wire.GetDevice(1)->IsLinkUp());
    });
    const std::vector<Came>& came = bench.Run();
    CHECK(bench.Counters().droppedDown == 20 && bench.Counters().sentFrames == 23);
    CHECK(came.size() == 3 && came[0].delayNs == 13'000'000 && came[2].delayNs == 29'000'000);

    // What may overtake as well, with events of theirs still to come.
    Impairments free;
    free.reorder = 0.5;
    Bench random;
    random.Set(free, {Measured()}).Send(1000, 100'000);
    random.At(50'000'000, [](WireChannel& wire) {
        wire.SetUp(false);
        wire.SetUp(true);
    });
    random.Run();
    CHECK(random.Counters().droppedDown > 50 &&
          random.Counters().deliveredFrames + random.Counters().droppedDown == 1000);
    CHECK(random.Delays().front() >= 1 * MS);
}

std::vector<uint8_t>
ReadFile(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

} // namespace

void
TestWires()
{
    TestDistributions(100'000);
    TestOrder(20'000);
    TestLoss();
    TestRateQueueDuplicates();
    TestManyAtOnce();
    TestFullMedium();
    TestDown();
}

void
TestPcap()
{
    std::string directory = "/tmp/qemunet-pcap-XXXXXX";
    CHECK(::mkdtemp(directory.data()) != nullptr);
    std::string path = directory + "/a.pcap";
    ::signal(SIGPIPE, SIG_IGN);
    std::string pipe = directory + "/full";
    CHECK(::mkfifo(pipe.c_str(), 0600) == 0);
    uint64_t frames = 200'000;
    {
        PcapWriter writer;
        CHECK(writer.Open(directory + "/none/a.pcap") == -ENOENT);
        CHECK(writer.Open(path) == 0);
        // Nobody reads from this one, so the ring fills and frames are left out.
        UniqueFd reader(::open(pipe.c_str(), O_RDONLY | O_NONBLOCK));
        CHECK(writer.Open(pipe) == 1);
        std::vector<uint8_t> data(1000);
        for (uint64_t number = 0; number < 1000; ++number)
        {
            std::memcpy(data.data(), &number, sizeof(number));
            writer.Write(0, 1'500'000'000 + number, data.data(), 60);
        }
        for (uint64_t number = 0; number < frames; ++number)
        {
            writer.Write(1, number, data.data(), 1000);
        }
        CHECK(writer.GetCounts(1).dropped > 0);
        reader = UniqueFd(); // Closed: from now on writing fails.
        writer.Close();
        PcapWriter::Counts counts = writer.GetCounts(1);
        CHECK(counts.frames + counts.dropped == frames);
        CHECK(writer.GetCounts(0).frames == 1000 && writer.GetCounts(0).dropped == 0);
    }
    std::vector<uint8_t> content = ReadFile(path);
    CHECK(content.size() == 24 + 1000 * (16 + 60));
    uint32_t magic;
    std::memcpy(&magic, content.data(), sizeof(magic));
    CHECK(magic == 0xa1b23c4d);
    for (uint64_t number = 0; number < 1000; ++number)
    {
        std::array<uint32_t, 4> record;
        uint64_t seen;
        std::memcpy(record.data(), content.data() + 24 + number * 76, sizeof(record));
        std::memcpy(&seen, content.data() + 24 + number * 76 + 16, sizeof(seen));
        CHECK(record ==
              (std::array<uint32_t, 4>{1, 500'000'000 + static_cast<uint32_t>(number), 60, 60}));
        CHECK(seen == number);
    }
    ::unlink(path.c_str());
    ::unlink(pipe.c_str());
    ::rmdir(directory.c_str());
}

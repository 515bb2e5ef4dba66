/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_FUZZ_GUESTS_H
#define QEMUNET_FUZZ_GUESTS_H

#include "controller.h"
#include "fuzz-networks.h"
#include "malformed-frames.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

/** A guest's interface as a FrameDoor knows it: its two ends. */
class FuzzInterface
{
  public:
    virtual ~FuzzInterface() = default;

    /** @returns The simulation's end. */
    virtual int GetTheirs() const = 0;

    /** @returns Where the guest reads. */
    virtual int GetOurs() const = 0;

    /** @returns False if this kind of interface does not take such a frame. */
    virtual bool Send(std::span<const uint8_t> frame) = 0;
};

/** @returns A datagram socket. */
std::unique_ptr<FuzzInterface> MakeSocketInterface();

/**
 * @param name Of the tap, which is in the calling thread's network namespace.
 * @returns A tap that carries the largest frames.
 */
std::unique_ptr<FuzzInterface> MakeTapInterface(const std::string& name);

/** All guests of a network: a thread reads what they get. */
class FuzzGuests
{
  public:
    /** Make the interfaces and give them to the simulation. */
    FuzzGuests(const FuzzNetwork& network, const Controller& controller);
    ~FuzzGuests();
    FuzzGuests(const FuzzGuests&) = delete;
    FuzzGuests& operator=(const FuzzGuests&) = delete;

    /** Send a frame into door 0. */
    void Send(std::span<const uint8_t> frame);

    /** @param listening False: nobody reads, until it is true again. */
    void Listen(bool listening);

    /** Send echo requests until a new one has come to the other guest, or was answered. */
    void Ping();

    /** @returns Frames that have been sent into door 0. */
    uint64_t GetSent() const;

    /** @returns Frames that guests have read, by door. */
    uint64_t GetReceived(uint32_t door) const;

  private:
    void Read();
    void Hear(uint32_t door, std::span<const uint8_t> frame);

    std::vector<std::unique_ptr<FuzzInterface>> m_interfaces; //!< By door.
    std::array<std::atomic<uint64_t>, 2> m_received{};        //!< By door.
    std::atomic<uint64_t> m_sent{0};                          //!< Into door 0.
    std::atomic<bool> m_listening{true};                      //!< See Listen().
    std::atomic<bool> m_ended{false};                         //!< The thread is to end.
    uint32_t m_goal;                                          //!< Door where a ping ends.
    std::mutex m_mutex;                                       //!< Guards the next three.
    std::condition_variable m_wake;                           //!< The ping has come.
    std::array<uint8_t, 8> m_nonce{};                         //!< Of the last ping.
    bool m_came{false};                                       //!< It has.
    std::thread m_reader;                                     //!< Reads.
};

#endif /* QEMUNET_FUZZ_GUESTS_H */

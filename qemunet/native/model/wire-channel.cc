/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "wire-channel.h"

#include "wire-net-device.h"

#include "ns3/abort.h"

namespace ns3::qemunet
{

NS_OBJECT_ENSURE_REGISTERED(WireChannel);

TypeId
WireChannel::GetTypeId()
{
    static TypeId tid = TypeId("ns3::qemunet::WireChannel")
                            .SetParent<Channel>()
                            .SetGroupName("Qemunet")
                            .AddConstructor<WireChannel>();
    return tid;
}

uint32_t
WireChannel::Attach(Ptr<WireNetDevice> device)
{
    auto index = static_cast<uint32_t>(GetNDevices());
    NS_ABORT_MSG_IF(index == m_devices.size(), "a wire has two ends");
    m_devices[index] = device;
    m_directions[1 - index].SetReceiver(PeekPointer(device));
    return index;
}

WireDirection&
WireChannel::GetDirection(uint32_t index)
{
    return m_directions.at(index);
}

void
WireChannel::SetUp(bool up)
{
    m_up = up;
    for (WireDirection& direction : m_directions)
    {
        direction.SetUp(up);
    }
    for (const Ptr<WireNetDevice>& device : m_devices)
    {
        device->NotifyLinkChange();
    }
}

bool
WireChannel::IsUp() const
{
    return m_up;
}

int64_t
WireChannel::AssignStreams(int64_t stream)
{
    for (WireDirection& direction : m_directions)
    {
        direction.AssignStreams(stream);
        stream += WireDirection::STREAMS;
    }
    return 2 * WireDirection::STREAMS;
}

std::size_t
WireChannel::GetNDevices() const
{
    return (m_devices[0] ? 1 : 0) + (m_devices[1] ? 1 : 0);
}

Ptr<NetDevice>
WireChannel::GetDevice(std::size_t index) const
{
    return m_devices.at(index);
}

void
WireChannel::DoDispose()
{
    for (WireDirection& direction : m_directions)
    {
        direction.Clear();
    }
    m_devices = {};
    Channel::DoDispose();
}

} // namespace ns3::qemunet

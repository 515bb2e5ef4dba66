/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "gate-loss-model.h"

namespace ns3::qemunet
{

NS_OBJECT_ENSURE_REGISTERED(GateLossModel);

namespace
{

/** What nobody hears: ns-3's RangePropagationLossModel says it so. */
constexpr double NOTHING_DBM = -1000;

} // namespace

TypeId
GateLossModel::GetTypeId()
{
    static TypeId tid = TypeId("ns3::qemunet::GateLossModel")
                            .SetParent<PropagationLossModel>()
                            .SetGroupName("Qemunet")
                            .AddConstructor<GateLossModel>();
    return tid;
}

void
GateLossModel::SetOpen(bool open)
{
    m_open = open;
}

double
GateLossModel::DoCalcRxPower(double txPowerDbm,
                             Ptr<MobilityModel> /* a */,
                             Ptr<MobilityModel> /* b */) const
{
    return m_open ? txPowerDbm : NOTHING_DBM;
}

int64_t
GateLossModel::DoAssignStreams(int64_t /* stream */)
{
    return 0;
}

} // namespace ns3::qemunet

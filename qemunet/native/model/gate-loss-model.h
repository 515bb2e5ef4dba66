/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_GATE_LOSS_MODEL_H
#define QEMUNET_GATE_LOSS_MODEL_H

#include "ns3/propagation-loss-model.h"

namespace ns3::qemunet
{

/** Lets signals through, or none at all: the last in a chain of models, so that it has its way. */
class GateLossModel : public PropagationLossModel
{
  public:
    /** @returns The TypeId. */
    static TypeId GetTypeId();

    /**
     * @param open True if signals pass.
     */
    void SetOpen(bool open);

  private:
    double DoCalcRxPower(double txPowerDbm,
                         Ptr<MobilityModel> a,
                         Ptr<MobilityModel> b) const override;
    int64_t DoAssignStreams(int64_t stream) override;

    bool m_open{true}; //!< Signals pass.
};

} // namespace ns3::qemunet

#endif /* QEMUNET_GATE_LOSS_MODEL_H */

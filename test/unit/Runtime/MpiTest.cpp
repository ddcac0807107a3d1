//===- MpiTest.cpp - The conformance suite over MPI itself -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All roles are one rank, which sends messages to itself: the only way to have both sides in one process. Runs with
// several processes are in RankLaunchTest.cpp.
//
//===----------------------------------------------------------------------===//
#include "RankRun.h"
#include "transports/faulty/Faulty.h"

#include <cstdlib>

using namespace penstock::rt;

namespace {

Fabric ownFabric() {
  static Fabric fabric;
  static Status status = loadFabric(PENSTOCK_TEST_PLUGIN, fabric);
  EXPECT_TRUE(status.ok()) << status.message();
  return fabric;
}

std::unique_ptr<CandidateRun> makeMpi(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<testfabric::RankRun>(layout, [](int32_t) { return ownFabric(); }, true, true);
}

/// What faults are planted in is the same transport.
class FaultyMpiRun : public CandidateRun {
public:
  explicit FaultyMpiRun(const ControlLayout &layout) : inner(layout, [](int32_t) { return ownFabric(); }, true, false) {
    for (int32_t role = 0; role < layout.numRoles; ++role)
      transports.push_back(makeFaultyTransport(inner.transport(role), nothing));
  }
  Transport &transport(int32_t role) override { return *transports[size_t(role)]; }

private:
  FaultInjector nothing{FaultPlan()};
  testfabric::RankRun inner;
  std::vector<std::unique_ptr<Transport>> transports;
};

std::unique_ptr<CandidateRun> makeFaultyMpi(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<FaultyMpiRun>(layout);
}

std::string nameOf(const testing::TestParamInfo<Candidate> &info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Transports, TransportConformance,
                         testing::Values(Candidate{"mpi", makeMpi, false, true},
                                         Candidate{"mpiFaulty", makeFaultyMpi, false, true}),
                         nameOf);

} // namespace

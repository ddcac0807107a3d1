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
#include <mutex>

using namespace penstock::rt;

namespace {

/// One call at a time, of whichever role.
struct Shared {
  std::mutex mutex;
  Fabric inner;
  static Shared &of(void *self) { return *static_cast<Shared *>(self); }
};

Fabric ownFabric() {
  static Shared shared;
  static Status status = loadFabric(PENSTOCK_TEST_PLUGIN, shared.inner);
  EXPECT_TRUE(status.ok()) << status.message();
  Fabric fabric = shared.inner;
  fabric.self = &shared;
  fabric.send = [](void *self, int32_t rank, int32_t tag, const void *data, int64_t numBytes, void **request) {
    std::lock_guard<std::mutex> lock(Shared::of(self).mutex);
    const Fabric &inner = Shared::of(self).inner;
    return inner.send(inner.self, rank, tag, data, numBytes, request);
  };
  fabric.receive = [](void *self, int32_t rank, int32_t tag, void *data, int64_t numBytes, void **request) {
    std::lock_guard<std::mutex> lock(Shared::of(self).mutex);
    const Fabric &inner = Shared::of(self).inner;
    return inner.receive(inner.self, rank, tag, data, numBytes, request);
  };
  fabric.test = [](void *self, void **request, int32_t *done, int64_t *numBytes) {
    std::lock_guard<std::mutex> lock(Shared::of(self).mutex);
    const Fabric &inner = Shared::of(self).inner;
    return inner.test(inner.self, request, done, numBytes);
  };
  fabric.cancel = [](void *self, void **request) {
    std::lock_guard<std::mutex> lock(Shared::of(self).mutex);
    const Fabric &inner = Shared::of(self).inner;
    return inner.cancel(inner.self, request);
  };
  fabric.explain = [](void *self, int32_t code, char *text, int64_t numBytes) {
    std::lock_guard<std::mutex> lock(Shared::of(self).mutex);
    const Fabric &inner = Shared::of(self).inner;
    inner.explain(inner.self, code, text, numBytes);
  };
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

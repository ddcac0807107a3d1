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

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
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
  // As mpirun says where ranks outnumber cores.
  static bool isTold = setenv("OMPI_MCA_mpi_yield_when_idle", "1", 1) == 0;
  EXPECT_TRUE(isTold);
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

/// The environment of a launcher's rank; 0 where there is none.
int32_t rankOfLauncher() {
  const char *rank = std::getenv("OMPI_COMM_WORLD_RANK");
  return rank ? std::atoi(rank) : 0;
}

// What one of two ranks does, each a process: rank 1 is of another version of the ABI. Started by the next test.
TEST(MpiHandshake, DISABLED_ofTwoRanks) {
  Fabric fabric;
  Status status = loadFabric(PENSTOCK_TEST_PLUGIN, fabric);
  ASSERT_TRUE(status.ok()) << status.message();
  RoleIdentity identity = testfabric::ShmServer::identityOf(rankOfLauncher(), 2);
  identity.abiVersion += uint32_t(rankOfLauncher());
  std::vector<int32_t> ranks;
  status = joinRanks(fabric, identity, nowNs() + 20000000000, ranks);
  std::printf("rank %d: %s\n", rankOfLauncher(), status.message().c_str());
  EXPECT_EQ(status.code(), rankOfLauncher() == 0 ? Code::kMismatch : Code::kOk); // it has the code of this version
  fabric.finish(fabric.self);
}

// Ranks of different versions refuse each other over MPI itself, before anything moves.
TEST(MpiHandshake, anotherAbiIsRefused) {
  if (std::system("command -v mpirun >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "mpirun is not installed (package openmpi-bin)";
  std::string self = std::filesystem::read_symlink("/proc/self/exe");
  std::string command =
      "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout 60 mpirun --oversubscribe -n 2 " + self +
      " --gtest_also_run_disabled_tests --gtest_filter=MpiHandshake.DISABLED_ofTwoRanks 2>&1";
  std::unique_ptr<FILE, int (*)(FILE *)> pipe(popen(command.c_str(), "r"), pclose);
  ASSERT_TRUE(pipe);
  std::string said;
  for (char text[256]; std::fgets(text, sizeof(text), pipe.get());)
    said += text;
  std::string words = "rank 0: stage-0: stage-1 on rank 1 has ABI version " + std::to_string(RT_ABI_VERSION + 1) +
                      ", expected " + std::to_string(RT_ABI_VERSION) + "; compile the model again";
  EXPECT_NE(said.find(words), std::string::npos) << said;
  EXPECT_EQ(pclose(pipe.release()), 0) << said;
}

// The library keeps the processor between two looks, whatever the launcher has told it: a round has many of them.
TEST(Mpi, doesNotYieldAtEachLook) {
  ASSERT_NE(ownFabric().self, nullptr);
  auto set = reinterpret_cast<bool (*)(bool)>(dlsym(RTLD_DEFAULT, "opal_progress_set_yield_when_idle"));
  if (!set)
    GTEST_SKIP() << "this MPI library does not tell";
  EXPECT_FALSE(set(false)); // the old value
}

std::string nameOf(const testing::TestParamInfo<Candidate> &info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Transports, TransportConformance,
                         testing::Values(Candidate{"mpi", makeMpi, false, true},
                                         Candidate{"mpiFaulty", makeFaultyMpi, false, true}),
                         nameOf);

} // namespace

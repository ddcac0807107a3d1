//===- ConformanceTest.cpp - The transports under the one suite --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "QueueFabric.h"
#include "RankRun.h"
#include "ShmServer.h"
#include "Sockets.h"
#include "transports/faulty/Faulty.h"
#include "transports/inproc/Inproc.h"
#include "transports/record/Record.h"

#include <poll.h>
#include <sys/mman.h>
#include <thread>

using namespace penstock::rt;

namespace {

class InprocRun : public CandidateRun {
public:
  explicit InprocRun(const ControlLayout &layout) {
    Status status = InprocHub::create(layout, hub);
    EXPECT_TRUE(status.ok()) << status.message();
    for (int32_t role = 0; role < layout.numRoles; ++role)
      transports.push_back(hub->makeTransport());
  }
  Transport &transport(int32_t role) override { return *transports[size_t(role)]; }

private:
  std::unique_ptr<InprocHub> hub;
  std::vector<std::unique_ptr<Transport>> transports;
};

/// A transport in which no fault is planted behaves as the one it wraps.
class FaultyRun : public CandidateRun {
public:
  explicit FaultyRun(const ControlLayout &layout) : inner(layout) {
    for (int32_t role = 0; role < layout.numRoles; ++role)
      transports.push_back(makeFaultyTransport(inner.transport(role), nothing));
  }
  Transport &transport(int32_t role) override { return *transports[size_t(role)]; }

private:
  FaultInjector nothing{FaultPlan()};
  InprocRun inner;
  std::vector<std::unique_ptr<Transport>> transports;
};

/// A transport that writes down what is sent behaves as the one it wraps.
class RecordingRun : public CandidateRun {
public:
  explicit RecordingRun(const ControlLayout &layout) : inner(layout), file(memfd_create("recording", MFD_CLOEXEC)) {
    for (int32_t role = 0; role < layout.numRoles; ++role)
      transports.push_back(makeRecordingTransport(inner.transport(role), file.get()));
  }
  Transport &transport(int32_t role) override { return *transports[size_t(role)]; }

private:
  InprocRun inner;
  Fd file;
  std::vector<std::unique_ptr<Transport>> transports;
};

class ShmRun : public CandidateRun {
public:
  ShmRun(const ControlLayout &layout, const std::vector<ChannelDesc> &channels, int64_t spinNs)
      : server(layout, channels) {
    for (int32_t role = 0; role < layout.numRoles; ++role)
      transports.push_back(server.join(role, layout.numRoles, spinNs));
  }
  Transport &transport(int32_t role) override { return *transports[size_t(role)]; }

private:
  testfabric::ShmServer server;
  std::vector<std::unique_ptr<ShmRole>> transports;
};

/// The `mpi` transport over queues; MpiTest.cpp runs the suite over MPI itself.
class QueueRun : public CandidateRun {
public:
  QueueRun(const ControlLayout &layout, bool helps)
      : hub(layout.numRoles), run(layout, [this](int32_t role) { return hub.of(role); }, false, helps) {}
  Transport &transport(int32_t role) override { return run.transport(role); }

private:
  testfabric::QueueFabric hub;
  testfabric::RankRun run;
};

std::unique_ptr<CandidateRun> makeQueue(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<QueueRun>(layout, false);
}
std::unique_ptr<CandidateRun> makeHelpedQueue(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<QueueRun>(layout, true);
}
/// Ranks of one host, each with a host process of its own.
class NeighbourRun : public CandidateRun {
public:
  NeighbourRun(const ControlLayout &layout, const std::vector<ChannelDesc> &channels)
      : hub(layout.numRoles), run(layout, channels, [this](int32_t role) { return hub.of(role); }) {}
  Transport &transport(int32_t role) override { return run.transport(role); }

private:
  testfabric::QueueFabric hub;
  testfabric::NeighbourRun run;
};

/// Ranks that sockets join.
class TcpRun : public CandidateRun {
public:
  explicit TcpRun(const ControlLayout &layout)
      : fabrics(testfabric::meetAll(layout.numRoles)),
        run(layout, [this](int32_t role) { return fabrics[size_t(role)]->table(); }, false, true) {}
  Transport &transport(int32_t role) override { return run.transport(role); }

private:
  std::vector<std::unique_ptr<TcpFabric>> fabrics;
  testfabric::RankRun run;
};

std::unique_ptr<CandidateRun> makeNeighbours(const ControlLayout &layout, const std::vector<ChannelDesc> &channels) {
  return std::make_unique<NeighbourRun>(layout, channels);
}
std::unique_ptr<CandidateRun> makeTcp(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<TcpRun>(layout);
}
std::unique_ptr<CandidateRun> makeInproc(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<InprocRun>(layout);
}
std::unique_ptr<CandidateRun> makeFaulty(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<FaultyRun>(layout);
}
std::unique_ptr<CandidateRun> makeRecording(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<RecordingRun>(layout);
}
std::unique_ptr<CandidateRun> makeShm(const ControlLayout &layout, const std::vector<ChannelDesc> &channels) {
  return std::make_unique<ShmRun>(layout, channels, 0);
}
std::unique_ptr<CandidateRun> makeSpinningShm(const ControlLayout &layout, const std::vector<ChannelDesc> &channels) {
  return std::make_unique<ShmRun>(layout, channels, 20000);
}

std::string nameOf(const testing::TestParamInfo<Candidate> &info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Transports, TransportConformance,
                         testing::Values(Candidate{"inproc", makeInproc, false}, Candidate{"faulty", makeFaulty, false},
                                         Candidate{"record", makeRecording, false}, Candidate{"shm", makeShm, true},
                                         Candidate{"shmSpinning", makeSpinningShm, true},
                                         Candidate{"mpiOverQueues", makeQueue, false, true},
                                         Candidate{"mpiOverQueuesHelped", makeHelpedQueue, false, true},
                                         Candidate{"ranksOfOneHost", makeNeighbours, true},
                                         Candidate{"tcp", makeTcp, false, true}),
                         nameOf);

// A role of another compilation, version or place in the plan is refused with the difference.
TEST(ShmHandshake, refusesStrangers) {
  ControlLayout layout;
  layout.numRoles = 2;
  std::unique_ptr<ShmHost> host;
  Identity plan;
  plan.fingerprint = std::string(64, 'a');
  ASSERT_TRUE(ShmHost::create(layout, {}, plan, host).ok());
  auto tryJoin = [&](RoleIdentity identity) {
    Status result;
    std::thread role([&] {
      RoleOptions options;
      std::unique_ptr<ShmRole> joined;
      result = ShmRole::connect(host->address(), identity, deadlineAfter(5000000000), options, joined);
    });
    Fd connection;
    pollfd entry{host->listener(), POLLIN, 0};
    poll(&entry, 1, 5000);
    EXPECT_TRUE(host->accept(connection).ok());
    entry = {connection.get(), POLLIN, 0};
    poll(&entry, 1, 5000);
    ShmHost::Event event;
    EXPECT_TRUE(host->answer(connection.get(), -1, {}, event).ok());
    role.join();
    return result;
  };
  RoleIdentity good;
  good.role = 1, good.numRoles = 2, good.fingerprint = std::string(64, 'a'), good.name = "stage-1";
  RoleIdentity other = good;
  other.fingerprint = std::string(64, 'b');
  EXPECT_NE(tryJoin(other).message().find("stage-1 comes from another compilation: fingerprint is 'bbbb"),
            std::string::npos);
  other.model = "other.onnx 12ab";
  EXPECT_NE(tryJoin(other).message().find("model is 'other.onnx 12ab' in stage-1 and '' in plan.json"),
            std::string::npos);
  other = good;
  other.abiVersion = 99;
  EXPECT_NE(tryJoin(other).message().find("ABI version 99"), std::string::npos);
  other = good;
  other.numRoles = 3;
  EXPECT_NE(tryJoin(other).message().find("3 roles"), std::string::npos);
  EXPECT_TRUE(tryJoin(good).ok());
  EXPECT_NE(tryJoin(good).message().find("joined already"), std::string::npos);
}

TEST(FaultPlan, readsItsText) {
  FaultPlan plan;
  ASSERT_TRUE(FaultPlan::parse("wait:3:fail,publish:*:delay=20", plan).ok());
  ASSERT_EQ(plan.items.size(), 2u);
  EXPECT_EQ(plan.items[0].number, 3);
  EXPECT_EQ(plan.items[1].delayMs, 20);
  for (const char *text : {"wait", "wait:0:fail", "wait:x:fail", "sing:1:fail", "wait:1:dance", "wait:1:delay=", ":"})
    EXPECT_EQ(FaultPlan::parse(text, plan).code(), Code::kInvalid) << text;
}

// The n-th call of a kind fails, no other, and the message names it.
TEST(FaultPlan, failsTheNthCall) {
  ControlLayout layout;
  layout.numRoles = 1;
  std::unique_ptr<InprocHub> hub;
  ASSERT_TRUE(InprocHub::create(layout, hub).ok());
  auto inner = hub->makeTransport();
  FaultPlan plan;
  ASSERT_TRUE(FaultPlan::parse("acquire:2:fail", plan).ok());
  FaultInjector injector(plan);
  auto faulty = makeFaultyTransport(*inner, injector);
  Slot slot;
  EXPECT_EQ(faulty->acquire(0, 1, Stream(), kNever, slot).code(), Code::kProgram);
  Status status = faulty->acquire(0, 1, Stream(), kNever, slot);
  EXPECT_EQ(status.code(), Code::kFault);
  EXPECT_NE(status.message().find("call 2 (acquire)"), std::string::npos) << status.message();
  EXPECT_EQ(faulty->acquire(0, 1, Stream(), kNever, slot).code(), Code::kProgram);
}

} // namespace

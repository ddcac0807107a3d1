//===- RankTest.cpp - Roles on ranks: handshake, states, failures -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Rank.h"
#include "QueueFabric.h"
#include "RankRun.h"

#include <cstdlib>
#include <thread>

using namespace penstock::rt;
using testfabric::NeighbourRun;
using testfabric::QueueFabric;
using testfabric::RankRun;

namespace {

constexpr int64_t kMs = 1000000;

RoleIdentity identityOf(int32_t role, int32_t numRoles) {
  RoleIdentity identity;
  identity.role = role, identity.numRoles = numRoles;
  identity.fingerprint = std::string(64, 'a');
  identity.cut = "3 stages 12ab";
  identity.name = "stage-" + std::to_string(role);
  return identity;
}

/// All ranks join at once; what each was told.
std::vector<Status> join(const std::vector<RoleIdentity> &identities, std::vector<std::vector<int32_t>> &ranks) {
  QueueFabric hub(int32_t(identities.size()));
  std::vector<Status> results(identities.size());
  ranks.resize(identities.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < identities.size(); ++i)
    threads.emplace_back(
        [&, i] { results[i] = joinRanks(hub.of(int32_t(i)), identities[i], nowNs() + 10000 * kMs, ranks[i]); });
  for (std::thread &thread : threads)
    thread.join();
  return results;
}

// Ranks need not have the order of the stages: each learns which rank runs which.
TEST(RankHandshake, findsTheRankOfEachRole) {
  std::vector<std::vector<int32_t>> ranks;
  for (const Status &status : join({identityOf(2, 3), identityOf(0, 3), identityOf(1, 3)}, ranks))
    EXPECT_TRUE(status.ok()) << status.message();
  for (const std::vector<int32_t> &seen : ranks)
    EXPECT_EQ(seen, (std::vector<int32_t>{1, 2, 0}));
}

// A rank of another compilation, version or plan is refused by all others, with the difference.
TEST(RankHandshake, refusesStrangers) {
  std::vector<std::vector<int32_t>> ranks;
  auto firstSays = [&](RoleIdentity other) {
    Status status = join({identityOf(0, 2), std::move(other)}, ranks)[0];
    EXPECT_EQ(status.code(), Code::kMismatch);
    return status.message();
  };
  RoleIdentity other = identityOf(1, 2);
  other.fingerprint = std::string(64, 'b');
  other.cut = "3 stages 34cd", other.build = "0.2.0";
  EXPECT_EQ(firstSays(other), "stage-0: stage-1 on rank 1 comes from another compilation: cut is '3 stages 34cd' in "
                              "stage-1 and '3 stages 12ab' in stage-0, build is '0.2.0' in stage-1 and '' in stage-0");
  other = identityOf(1, 2);
  other.abiVersion = 99;
  EXPECT_NE(firstSays(other).find("ABI version 99, expected"), std::string::npos);
  EXPECT_EQ(firstSays(identityOf(0, 2)), "stage-0: rank 1 runs stage-0, as rank 0 does; expected each stage once");
  QueueFabric three(3);
  Status status = joinRanks(three.of(0), identityOf(0, 2), nowNs() + 1000 * kMs, ranks[0]);
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_NE(status.message().find("compiled into 2 stages, and MPI has 3 ranks"), std::string::npos)
      << status.message();
}

// A rank that never speaks is named at the deadline.
TEST(RankHandshake, namesTheSilentOne) {
  QueueFabric hub(2);
  std::vector<int32_t> ranks;
  Status status = joinRanks(hub.of(0), identityOf(0, 2), nowNs() + 20 * kMs, ranks);
  EXPECT_EQ(status.code(), Code::kTimeout);
  EXPECT_EQ(status.message(), "stage-0: no word from rank 1 before the deadline");
}

/// Two roles and one channel between them, open on both sides.
class Pair {
public:
  explicit Pair(int64_t timeoutNs = 0, int32_t depth = 2) : hub(2) {
    desc.name = "c0", desc.tensor = "/relu", desc.dtype = RT_U8, desc.dims = {-1};
    desc.producerStage = 0, desc.consumerStages = {1}, desc.depth = depth, desc.slotBytes = 64;
    ControlLayout layout;
    layout.numRoles = 2;
    ControlLayout::Channel channel;
    channel.tensor = desc.tensor, channel.depth = depth;
    channel.consumerRoles = channel.consumerStages = {1};
    layout.channels.push_back(channel);
    run = std::make_unique<RankRun>(layout, [this](int32_t role) { return hub.of(role); }, false, true, timeoutNs);
    EndInfo end;
    EXPECT_TRUE(run->transport(0).open(desc, end, deadlineAfter(10000 * kMs), out).ok());
    end.isProducer = false, end.stage = 1;
    EXPECT_TRUE(run->transport(1).open(desc, end, deadlineAfter(10000 * kMs), in).ok());
  }
  Status send() {
    Slot slot;
    Status status = run->transport(0).acquire(out, 8, Stream(), deadlineAfter(10000 * kMs), slot);
    if (!status.ok())
      return status;
    int64_t dim = 8;
    MessageHeader header;
    header.dims = {&dim, 1};
    slot.numBytes = 8;
    return run->transport(0).publish(out, slot, header, Stream());
  }
  Status receive(int64_t waitNs) {
    Slot slot;
    MessageHeader header;
    Status status = run->transport(1).wait(in, Stream(), nowNs() + waitNs, slot, header);
    return status.ok() ? run->transport(1).release(in, slot, Stream()) : status;
  }
  void await(const std::function<bool()> &condition) {
    int64_t until = nowNs() + 10000 * kMs;
    while (!condition() && nowNs() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(condition());
  }
  QueueFabric hub;
  ChannelDesc desc;
  std::unique_ptr<RankRun> run;
  ChannelId out = -1, in = -1;
};

// Receives are posted ahead, for as many messages as there are slots: none of a channel's messages is unexpected.
TEST(Ranks, receivesArePostedAhead) {
  Pair pair(0, 3);
  ASSERT_TRUE(pair.send().ok()); // by now the producer knows of its consumer
  ASSERT_TRUE(pair.receive(10000 * kMs).ok());
  int64_t before = pair.hub.numUnexpected();
  for (int32_t i = 0; i < 50; ++i) {
    for (int32_t k = 0; k < 3; ++k)
      ASSERT_TRUE(pair.send().ok());
    for (int32_t k = 0; k < 3; ++k)
      ASSERT_TRUE(pair.receive(10000 * kMs).ok());
  }
  EXPECT_EQ(pair.hub.numUnexpected(), before);
}

// Each rank knows what the others do, the name of the last completed step included, so that a wait names the culprit.
TEST(Ranks, statesTravel) {
  Pair pair(400 * kMs);
  rt_step_desc steps[] = {{"/conv", "k", 0, nullptr}, {"/blk.6/mul", "k", 0, nullptr}};
  pair.run->control(0).setStepNames(0, steps, 2);
  RoleState &there = pair.run->control(0).role(0);
  there.doneMicrobatch.store(2);
  there.doneStep.store(2);
  there.activity.store(uint32_t(Activity::kRunning));
  there.progress.store(77);
  pair.run->control(0).submitted().store(5);
  RunControl &here = pair.run->control(1);
  pair.await([&] { return here.role(0).doneMicrobatch.load() == 2 && here.role(0).progress.load() == 77; });
  EXPECT_EQ(here.submitted().load(), 5);
  RoleState &waiter = here.role(1);
  waiter.channel.store(0);
  waiter.microbatch.store(3);
  waiter.activity.store(uint32_t(Activity::kWaiting));
  EXPECT_EQ(here.describeStall(1, 30000 * kMs),
            "stage 1, microbatch 3: waited 30 s for '/relu' from stage 0 (last done: microbatch 2, '/blk.6/mul'); "
            "stage 1 has done nothing yet");
}

// A failure on one rank ends the waits on the others, which know its words.
TEST(Ranks, failuresTravel) {
  Pair pair;
  std::thread role([&] { pair.run->control(0).reportFailure(0, fail(Code::kKernel, "stage 0: it broke")); });
  EXPECT_EQ(pair.receive(10000 * kMs).code(), Code::kAborted);
  role.join();
  int32_t failed = -1;
  Status first = pair.run->control(1).firstFailure(&failed);
  EXPECT_EQ(first.message(), "stage 0: it broke");
  EXPECT_EQ(failed, 0);
}

// A cut link is silence: nothing of the other side moves any more, and the watch of whoever waits expires.
TEST(Ranks, aCutLinkStandsStill) {
  Pair pair(200 * kMs);
  ASSERT_TRUE(pair.send().ok());
  ASSERT_TRUE(pair.receive(10000 * kMs).ok());
  pair.run->control(1).role(1).activity.store(uint32_t(Activity::kWaiting)); // what it computes is no sign of life
  pair.run->control(1).role(1).channel.store(0);
  RoleState &there = pair.run->control(1).role(0);
  pair.await([&] { return there.heardNs.load() != 0; });
  pair.hub.cutOff(0);
  // The last that was heard of it: it waited for this role.
  there.channel.store(0);
  there.activity.store(uint32_t(Activity::kAcquiring));
  ProgressWatch watch(pair.run->control(1), 200 * kMs);
  watch.start(nowNs());
  int64_t until = nowNs() + 10000 * kMs;
  bool expired = false;
  while (!expired && nowNs() < until) {
    EXPECT_EQ(pair.receive(20 * kMs).code(), Code::kTimeout);
    expired = watch.expired(nowNs());
  }
  EXPECT_TRUE(expired);
  std::string words = pair.run->control(1).describeStall(1, 200 * kMs);
  EXPECT_EQ(
      words.rfind("stage 1, microbatch 0: waited 0.2 s for '/relu' from stage 0, and heard nothing of it for ", 0), 0u)
      << words;
}

// Where the library says that a peer is gone, the message names stage, channel, tensor and peer.
TEST(Ranks, aLostPeerIsNamed) {
  Pair pair;
  ASSERT_TRUE(pair.send().ok());
  pair.hub.refuse(1);
  (void)pair.send();
  Status first = pair.run->control(0).firstFailure();
  EXPECT_EQ(first.code(), Code::kPeerLost);
  for (const char *word : {"stage 0", "lost stage 1", "code 1"})
    EXPECT_NE(first.message().find(word), std::string::npos) << first.message();
  EXPECT_EQ(pair.send().code(), Code::kAborted);
}

// The end of a role that ended well waits for the others; of one that failed, it does not.
TEST(Ranks, theEndIsCommon) {
  Pair pair;
  Status results[2];
  std::atomic<int32_t> numEnded{0};
  auto end = [&](int32_t role) {
    pair.run->control(role).role(role).activity.store(uint32_t(Activity::kEnded));
    results[role] = pair.run->transport(role).finish(Status());
    ++numEnded;
  };
  std::thread first([&] { end(0); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(numEnded.load(), 0);
  std::thread second([&] { end(1); });
  first.join();
  second.join();
  for (const Status &status : results)
    EXPECT_TRUE(status.ok()) << status.message();
  Pair broken;
  int64_t begin = nowNs();
  Status failure = fail(Code::kKernel, "it broke");
  broken.run->control(0).reportFailure(0, failure);
  EXPECT_EQ(broken.run->transport(0).finish(failure).code(), Code::kKernel);
  EXPECT_LT(nowNs() - begin, 5000 * kMs);
}

/// Three roles; role 0 sends to both others.
struct Fork {
  explicit Fork(const std::vector<std::string> &hostNames, const std::string &addressOfFirst = "") : hub(3) {
    desc.name = "c0", desc.tensor = "/relu", desc.dtype = RT_U8, desc.dims = {-1};
    desc.producerStage = 0, desc.consumerStages = {1, 2}, desc.depth = 2, desc.slotBytes = 64;
    ControlLayout layout;
    layout.numRoles = 3;
    ControlLayout::Channel channel;
    channel.tensor = desc.tensor, channel.depth = 2;
    channel.consumerRoles = channel.consumerStages = desc.consumerStages;
    layout.channels.push_back(channel);
    run = std::make_unique<NeighbourRun>(
        layout, std::vector<ChannelDesc>{desc}, [this](int32_t role) { return hub.of(role); }, hostNames,
        addressOfFirst);
    EndInfo end;
    EXPECT_TRUE(run->transport(0).open(desc, end, deadlineAfter(10000 * kMs), out).ok());
    end.isProducer = false;
    for (int32_t k = 0; k < 2; ++k) {
      end.consumer = k, end.stage = k + 1;
      Status status = run->transport(k + 1).open(desc, end, deadlineAfter(10000 * kMs), in[k]);
      EXPECT_TRUE(status.ok()) << status.message();
    }
  }
  /// Sends a number and receives it on both sides.
  void passOn(int64_t number) {
    Slot slot;
    MessageHeader header;
    ASSERT_TRUE(run->transport(0).acquire(out, 8, Stream(), deadlineAfter(10000 * kMs), slot).ok());
    *static_cast<int64_t *>(slot.data) = number;
    int64_t dim = 8;
    header.dims = {&dim, 1};
    slot.numBytes = 8;
    ASSERT_TRUE(run->transport(0).publish(out, slot, header, Stream()).ok());
    for (int32_t k = 0; k < 2; ++k) {
      MpiTransport &consumer = run->transport(k + 1);
      ASSERT_TRUE(consumer.wait(in[k], Stream(), deadlineAfter(10000 * kMs), slot, header).ok());
      EXPECT_EQ(*static_cast<const int64_t *>(slot.data), number);
      ASSERT_TRUE(consumer.release(in[k], slot, Stream()).ok());
    }
  }
  Carrier carrier(int32_t role, int32_t consumer) { return run->control(role).cursors(0)[consumer].carrier.load(); }
  QueueFabric hub;
  ChannelDesc desc;
  std::unique_ptr<NeighbourRun> run;
  ChannelId out = -1, in[2] = {-1, -1};
};

// One channel, two consumers: that on the producer's host reads the producer's own slots, that on another one gets a
// copy of each message. Both sides say which it is.
TEST(Ranks, eachEdgeHasItsTransport) {
  Fork fork({"here", "here", "there"});
  for (int32_t i = 0; i < 9; ++i) {
    Slot slot, read;
    MessageHeader header;
    ASSERT_TRUE(fork.run->transport(0).acquire(fork.out, 8, Stream(), deadlineAfter(10000 * kMs), slot).ok());
    *static_cast<int64_t *>(slot.data) = i;
    int64_t dim = 8;
    header.dims = {&dim, 1};
    slot.numBytes = 8;
    ASSERT_TRUE(fork.run->transport(0).publish(fork.out, slot, header, Stream()).ok());
    for (int32_t k = 0; k < 2; ++k) {
      MpiTransport &consumer = fork.run->transport(k + 1);
      ASSERT_TRUE(consumer.wait(fork.in[k], Stream(), deadlineAfter(10000 * kMs), read, header).ok());
      EXPECT_EQ(*static_cast<const int64_t *>(read.data), i);
      // What the producer writes into its slot afterwards shows in a shared one.
      *static_cast<int64_t *>(slot.data) = 100 + i;
      EXPECT_EQ(*static_cast<const int64_t *>(read.data), k == 0 ? 100 + i : i);
      *static_cast<int64_t *>(slot.data) = i;
      ASSERT_TRUE(consumer.release(fork.in[k], read, Stream()).ok());
    }
  }
  for (int32_t role : {0, 1})
    EXPECT_EQ(fork.carrier(role, 0), Carrier::kMemory) << role;
  for (int32_t role : {0, 2})
    EXPECT_EQ(fork.carrier(role, 1), Carrier::kMpi) << role;
  EXPECT_EQ(fork.run->transport(0).counters(fork.out).bytesCopied, 72);
  // What a rank has released of its neighbour's slots, its own block knows too, for the words of a stall.
  EXPECT_EQ(fork.run->control(1).cursors(0)[0].released.load(), 9u);
}

// Who does not know its host shares memory with nobody; the host of this process is known.
TEST(Ranks, unknownHostsDoNotShare) {
  Fork fork({"", "", ""});
  EXPECT_EQ(fork.carrier(1, 0), Carrier::kMpi);
  EXPECT_EQ(fork.carrier(2, 1), Carrier::kMpi);
  EXPECT_FALSE(hostIdentity().empty());
  EXPECT_EQ(hostIdentity(), hostIdentity());
}

// A producer that says it is on this host and cannot be reached there, as from a container that shares all but the
// sockets, is treated as one on another host: messages go over the fabric, and arrive.
TEST(Ranks, aNeighbourThatCannotBeReached) {
  Fork fork({"here", "here", "there"}, "penstock-nobody-listens-here");
  for (int64_t number = 0; number < 9; ++number)
    ASSERT_NO_FATAL_FAILURE(fork.passOn(number));
  for (int32_t consumer = 0; consumer < 2; ++consumer) {
    EXPECT_EQ(fork.carrier(0, consumer), Carrier::kMpi) << consumer;
    EXPECT_EQ(fork.carrier(consumer + 1, consumer), Carrier::kMpi) << consumer;
  }
  EXPECT_EQ(fork.run->transport(0).counters(fork.out).bytesCopied, 2 * 72);
}

/// Environment variables of a test.
class Environment {
public:
  explicit Environment(std::vector<std::pair<const char *, const char *>> variables) : variables(std::move(variables)) {
    for (auto &[name, value] : this->variables)
      setenv(name, value, 1);
  }
  ~Environment() {
    for (auto &[name, value] : variables)
      unsetenv(name);
  }

private:
  std::vector<std::pair<const char *, const char *>> variables;
};

// The rank comes from whichever launcher has started the process; what contradicts itself is refused.
TEST(RankVariables, ofEachLauncher) {
  LaunchedRank found;
  ASSERT_TRUE(detectRank(found).ok());
  EXPECT_EQ(found.launcher, nullptr);
  auto expectRank = [&](const char *launcher, bool hasMpi) {
    Status status = detectRank(found);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_NE(found.launcher, nullptr);
    EXPECT_STREQ(found.launcher, launcher);
    EXPECT_EQ(found.rank, 2);
    EXPECT_EQ(found.size, 4);
    EXPECT_EQ(found.hasMpi, hasMpi);
  };
  {
    Environment batchScript({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}});
    ASSERT_TRUE(detectRank(found).ok());
    EXPECT_EQ(found.launcher, nullptr);
  }
  Environment torch({{"RANK", "2"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "29500"}});
  expectRank("torchrun", false);
  MeetingPoint point;
  ASSERT_TRUE(findMeetingPoint(found, point).ok());
  EXPECT_EQ(point.host, "localhost");
  EXPECT_EQ(point.port, 29500);
  {
    Environment slurm({{"SLURM_PROCID", "2"}, {"SLURM_STEP_NUM_TASKS", "4"}});
    expectRank("srun", false); // --mpi=none
    Environment pmix({{"PMIX_NAMESPACE", "slurm.pmix.1.0"}});
    expectRank("srun", true);
  }
  Environment pmi({{"PMI_RANK", "2"}, {"PMI_SIZE", "4"}});
  expectRank("mpiexec", true);
  Environment slurm({{"SLURM_PROCID", "2"}, {"SLURM_STEP_NUM_TASKS", "4"}});
  expectRank("srun", true);
  Environment openMpi(
      {{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}});
  expectRank("mpirun", true);
  EXPECT_EQ(found.localSize, 3);
  {
    Environment worker({{"TORCHELASTIC_RUN_ID", "run 7"}, {"TORCHELASTIC_USE_AGENT_STORE", "True"}});
    expectRank("torchrun", false); // which may be a rank of another launcher itself
    ASSERT_TRUE(findMeetingPoint(found, point).ok());
    EXPECT_EQ(point.port, 29501); // the agent of torchrun is on the other one
    EXPECT_EQ(point.run, "run 7");
    Environment chosen({{"PENSTOCK_PORT", "4711"}});
    ASSERT_TRUE(findMeetingPoint(found, point).ok());
    EXPECT_EQ(point.port, 4711);
    Environment wrong({{"PENSTOCK_PORT", "70000"}});
    EXPECT_NE(findMeetingPoint(found, point).message().find("leads to port 70000"), std::string::npos);
    Environment nowhere({{"MASTER_ADDR", ""}});
    EXPECT_NE(findMeetingPoint(found, point).message().find("MASTER_ADDR"), std::string::npos);
  }
  Environment odd({{"OMPI_COMM_WORLD_RANK", "4"}});
  EXPECT_NE(detectRank(found).message().find("OMPI_COMM_WORLD_RANK is 4"), std::string::npos);
  Environment bad({{"OMPI_COMM_WORLD_RANK", "two"}});
  EXPECT_NE(detectRank(found).message().find("is 'two'"), std::string::npos);
}

} // namespace

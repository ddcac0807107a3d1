//===- NcclTest.cpp - Channels between devices that are not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "../QueueFabric.h"
#include "../RankRun.h"
#include "DeviceRun.h"
#include "NcclTransport.h"
#include "cts/Conformance.h"
#include "transports/faulty/Faulty.h"
#include "transports/inproc/Inproc.h"

#include <thread>

using namespace testdevice;

namespace {

/// What joins the roles of a run beside NCCL: one process, or ranks with a control block each.
class HostRun {
public:
  virtual ~HostRun() = default;
  virtual Transport &transport(int32_t role) = 0;
  virtual RunControl control(int32_t role) = 0;
};

class InprocHost : public HostRun {
public:
  explicit InprocHost(const ControlLayout &layout) {
    EXPECT_TRUE(InprocHub::create(layout, hub).ok());
    for (int32_t role = 0; role <= layout.numRoles; ++role) // one more, for a test that needs an outsider
      transports.push_back(hub->makeTransport());
  }
  Transport &transport(int32_t role) override { return *transports[size_t(role)]; }
  RunControl control(int32_t) override { return hub->control(); }

private:
  std::unique_ptr<InprocHub> hub;
  std::vector<std::unique_ptr<Transport>> transports;
};

class RankHost : public HostRun {
public:
  explicit RankHost(const ControlLayout &layout)
      : hub(layout.numRoles), run(layout, [this](int32_t role) { return hub.of(role); }, false, true) {}
  Transport &transport(int32_t role) override { return run.transport(role); }
  RunControl control(int32_t role) override { return run.control(role); }

private:
  testfabric::QueueFabric hub;
  testfabric::RankRun run;
};

/// Every role has a device.
class NcclRun : public CandidateRun {
public:
  NcclRun(int32_t numRoles, std::unique_ptr<HostRun> given, bool isFaulty, int64_t timeoutNs = kLong)
      : host(std::move(given)) {
    standin::reset();
    Status status = loadLinks(PENSTOCK_TEST_NCCL, links);
    EXPECT_TRUE(status.ok()) << status.message();
    for (int32_t role = 0; role < numRoles; ++role) {
      devices.emplace_back(role);
      NcclTransport::Place place;
      place.role = role, place.timeoutNs = timeoutNs;
      inner.push_back(std::make_unique<NcclTransport>(devices.back().table, links, host->transport(role),
                                                      host->control(role), place));
      if (isFaulty)
        faulty.push_back(makeFaultyTransport(*inner.back(), nothing));
    }
  }
  ~NcclRun() override {
    faulty.clear(), inner.clear(), devices.clear();
    standin::checkLeaks();
    if (!areFaultsExpected)
      EXPECT_EQ(faultWords(), "");
  }
  Transport &transport(int32_t role) override { return faulty.empty() ? *inner[size_t(role)] : *faulty[size_t(role)]; }
  NcclTransport &nccl(int32_t role) { return *inner[size_t(role)]; }
  RunControl control() { return host->control(0); }
  Device &device(int32_t role) { return devices[size_t(role)].table; }
  Transport &outsider() { return host->transport(int32_t(inner.size())); }
  /// The role is gone.
  void lose(int32_t role) { inner[size_t(role)].reset(); }
  /// Faults were planted and have been found.
  void forgiveFaults() { areFaultsExpected = true; }
  void write(int32_t role, void *slot, const void *from, size_t numBytes) override {
    devices[size_t(role)].write(slot, from, numBytes);
  }
  void read(int32_t role, const void *slot, void *to, size_t numBytes) override {
    devices[size_t(role)].read(to, slot, numBytes);
  }

private:
  std::unique_ptr<HostRun> host;
  Links links;
  std::deque<OpenDevice> devices;
  FaultInjector nothing{FaultPlan()};
  std::vector<std::unique_ptr<Transport>> faulty;
  std::vector<std::unique_ptr<NcclTransport>> inner;
  bool areFaultsExpected = false;
};

std::unique_ptr<CandidateRun> makeNccl(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<NcclRun>(layout.numRoles, std::make_unique<InprocHost>(layout), false);
}
std::unique_ptr<CandidateRun> makeFaultyNccl(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<NcclRun>(layout.numRoles, std::make_unique<InprocHost>(layout), true);
}
std::unique_ptr<CandidateRun> makeNcclOnRanks(const ControlLayout &layout, const std::vector<ChannelDesc> &) {
  return std::make_unique<NcclRun>(layout.numRoles, std::make_unique<RankHost>(layout), false);
}
std::string nameOf(const testing::TestParamInfo<Candidate> &info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Transports, TransportConformance,
                         testing::Values(Candidate{"nccl", makeNccl, false},
                                         Candidate{"ncclFaulty", makeFaultyNccl, false},
                                         Candidate{"ncclOnRanks", makeNcclOnRanks, false}),
                         nameOf);

/// Two roles and a channel between them, on two devices.
class Pair {
public:
  explicit Pair(int32_t depth = 2, int64_t slotBytes = 64, int64_t timeoutNs = kLong) {
    desc.name = "c0", desc.tensor = "/relu", desc.dtype = RT_I32, desc.dims = {-1};
    desc.producerStage = 0, desc.consumerStages = {1}, desc.depth = depth, desc.slotBytes = slotBytes;
    ControlLayout layout;
    layout.numRoles = 2;
    ControlLayout::Channel channel;
    channel.tensor = desc.tensor, channel.depth = depth;
    channel.consumerRoles = channel.consumerStages = {1};
    layout.channels.assign(2, channel);
    run = std::make_unique<NcclRun>(2, std::make_unique<InprocHost>(layout), false, timeoutNs);
  }
  Status openProducer() { return run->nccl(0).open(desc, EndInfo(), deadlineAfter(kLong), out); }
  Status openConsumer() {
    EndInfo end;
    end.isProducer = false, end.stage = 1;
    return run->nccl(1).open(desc, end, deadlineAfter(kLong), in);
  }
  void open() {
    expectOk(openProducer());
    expectOk(openConsumer());
    expectOk(run->nccl(0).start(deadlineAfter(kLong)));
    expectOk(run->nccl(1).start(deadlineAfter(kLong)));
  }
  /// A second channel between the two; the producer opens it before the first, the consumer after it.
  void openTwo() {
    ChannelDesc second = desc;
    second.id = 1, second.name = "c1";
    EndInfo end;
    ChannelId secondOut = -1;
    expectOk(run->nccl(0).open(second, end, deadlineAfter(kLong), secondOut));
    expectOk(openProducer());
    expectOk(openConsumer());
    end.isProducer = false, end.stage = 1;
    expectOk(run->nccl(1).open(second, end, deadlineAfter(kLong), secondIn));
    expectOk(run->nccl(0).start(deadlineAfter(kLong)));
    expectOk(run->nccl(1).start(deadlineAfter(kLong)));
  }
  static void expectOk(const Status &status) { ASSERT_TRUE(status.ok()) << status.message(); }
  Status acquire(Slot &slot, int64_t deadlineNs, Stream stream = Stream()) {
    return run->nccl(0).acquire(out, 64, stream, deadlineNs, slot);
  }
  Status publish(Slot slot, Stream stream = Stream()) {
    int64_t dim = 16;
    MessageHeader header;
    header.dims = {&dim, 1};
    slot.numBytes = 64;
    return run->nccl(0).publish(out, slot, header, stream);
  }
  Status wait(Slot &slot, int64_t deadlineNs, Stream stream = Stream()) {
    MessageHeader header;
    return run->nccl(1).wait(in, stream, deadlineNs, slot, header);
  }
  ChannelDesc desc;
  std::unique_ptr<NcclRun> run;
  ChannelId out = -1, in = -1, secondIn = -1;
};

/// Fills with a value, or adds up: parameters to, value; or from, to.
void addKernels() {
  standin::KernelModel fill, sum;
  fill.name = "k_fill", fill.numParameters = 2;
  fill.accesses = [](const standin::KernelCall &call) -> std::vector<standin::Access> {
    return {{reinterpret_cast<const void *>(call.parameters[0]), 64, true}};
  };
  fill.run = [](const standin::KernelCall &call) {
    std::fill_n(reinterpret_cast<int32_t *>(call.parameters[0]), 16, int32_t(call.parameters[1]));
  };
  sum.name = "k_sum", sum.numParameters = 2;
  sum.accesses = [](const standin::KernelCall &call) -> std::vector<standin::Access> {
    return {{reinterpret_cast<const void *>(call.parameters[0]), 64, false},
            {reinterpret_cast<const void *>(call.parameters[1]), 64, true}};
  };
  sum.run = [](const standin::KernelCall &call) {
    for (int32_t i = 0; i < 16; ++i) // without a sign: without an event it is rubbish, which may overflow
      reinterpret_cast<uint32_t *>(call.parameters[1])[i] += reinterpret_cast<uint32_t *>(call.parameters[0])[i];
  };
  standin::addKernel(fill);
  standin::addKernel(sum);
}

/// The stage of one role, with one kernel.
struct KernelStage {
  KernelStage(const Device &device, const char *name) : image(standin::makeImage(90)) {
    Pair::expectOk(DeviceStage::open(device, name, {{"sum", 64}}, Watch(), stage));
    void *handle = nullptr;
    Pair::expectOk(stage->load({image.data(), "sm_90"}, handle));
    Pair::expectOk(stage->find(handle, name, 0, kernel));
  }
  void launch(uint64_t first, uint64_t second) {
    void *parameters[] = {&first, &second};
    Launch launch;
    launch.kernel = kernel, launch.parameters = parameters;
    Pair::expectOk(stage->launch(launch, "k"));
  }
  std::vector<char> image;
  std::unique_ptr<DeviceStage> stage;
  void *kernel = nullptr;
};

uint64_t addressOf(const void *data) { return reinterpret_cast<uintptr_t>(data); }

/// Kernels on both devices with `count` messages between them; the sum that the consumer's kernels have made.
int32_t streamMessages(Pair &pair, int32_t count, int64_t *numQueries = nullptr) {
  addKernels();
  KernelStage fill(pair.run->device(0), "k_fill"), sum(pair.run->device(1), "k_sum");
  std::vector<int32_t> result(16, 0);
  pair.run->write(1, sum.stage->part(0), result.data(), 64);
  int64_t before = standin::numCalls("cuEventQuery");
  for (int32_t i = 1; i <= count; ++i) {
    Slot slot, received;
    Pair::expectOk(pair.acquire(slot, deadlineAfter(kLong), fill.stage->compute()));
    fill.launch(addressOf(slot.data), uint64_t(i));
    Pair::expectOk(pair.publish(slot, fill.stage->compute()));
    Pair::expectOk(pair.wait(received, deadlineAfter(kLong), sum.stage->compute()));
    sum.launch(addressOf(received.data), addressOf(sum.stage->part(0)));
    Pair::expectOk(pair.run->nccl(1).release(pair.in, received, sum.stage->compute()));
  }
  if (numQueries)
    *numQueries = standin::numCalls("cuEventQuery") - before;
  DeviceEvent done;
  const Device &device = pair.run->device(1);
  Pair::expectOk(DeviceEvent::make(device, "a test", done));
  EXPECT_EQ(device.mark(device.self, done.get(), sum.stage->compute().handle), 0);
  Pair::expectOk(awaitEvent(device, "a test", "finish", done.get(), deadlineAfter(kLong), Watch()));
  pair.run->read(1, sum.stage->part(0), result.data(), 64);
  return result[15];
}

// With streams the host waits for nothing: kernels and transfers of many microbatches are joined by events alone.
TEST(Nccl, streamsAreJoinedByEvents) {
  for (int32_t depth : {1, 2, 3}) {
    Pair pair(depth);
    ASSERT_NO_FATAL_FAILURE(pair.open());
    int64_t allocations = standin::numCalls("cuMemAlloc"), numQueries = -1;
    EXPECT_EQ(streamMessages(pair, 20, &numQueries), 210);
    EXPECT_EQ(numQueries, 0);
    EXPECT_EQ(standin::numCalls("cuMemAlloc"), allocations + 2); // those of the test's stages
    EXPECT_EQ(standin::numCalls("ncclSend"), 21);                // the first one makes the connection
    EXPECT_EQ(faultWords(), "");
  }
}

// What happens to a call of await(): the n-th of every four is left out.
int32_t (*realAwait)(void *self, void *stream, void *event);
int64_t numAwaits, leftOut;
int32_t awaitMost(void *self, void *stream, void *event) {
  return numAwaits++ % 4 == leftOut ? 0 : realAwait(self, stream, event);
}

// Each of the four events of a message is needed: without it, the machine finds a fault.
TEST(Nccl, eachEventIsNeeded) {
  for (int64_t which : {-1, 0, 1, 2, 3}) {
    Pair pair(1);
    ASSERT_NO_FATAL_FAILURE(pair.open());
    EXPECT_EQ(faultWords(), "");
    realAwait = pair.run->device(0).await, numAwaits = 0, leftOut = which;
    pair.run->device(0).await = pair.run->device(1).await = awaitMost;
    (void)streamMessages(pair, 4);
    EXPECT_EQ(numAwaits, 16);
    EXPECT_EQ(faultWords().empty(), which == -1) << which;
    pair.run->forgiveFaults();
  }
}

// Receives are posted for all that is announced, whichever channel the stage waits at: a producer's device may be held
// by a send on one of them.
TEST(Nccl, receivesAheadOnAllChannels) {
  Pair pair(2);
  ASSERT_NO_FATAL_FAILURE(pair.openTwo());
  Slot slot;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(pair.acquire(slot, deadlineAfter(kLong)).ok());
    ASSERT_TRUE(pair.publish(slot).ok());
  }
  int64_t before = standin::numCalls("ncclRecv");
  MessageHeader header;
  EXPECT_EQ(pair.run->nccl(1).wait(pair.secondIn, Stream(), nowNs() + 50 * kMs, slot, header).code(), Code::kTimeout);
  EXPECT_EQ(standin::numCalls("ncclRecv"), before + 2);
  for (uint64_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(pair.wait(slot, deadlineAfter(kLong)).ok());
    EXPECT_EQ(slot.sequence, i);
  }
  EXPECT_EQ(standin::numCalls("ncclRecv"), before + 2);
}

// Stages make their connections in one order, whatever the order in which they have opened their ends.
TEST(Nccl, connectsInOneOrder) {
  Pair pair;
  ASSERT_NO_FATAL_FAILURE(pair.openTwo());
  std::vector<std::string> lines;
  for (const std::string &line : standin::calls())
    if (line.rfind("ncclSend ", 0) == 0 || line.rfind("ncclRecv ", 0) == 0)
      lines.push_back(line);
  EXPECT_EQ(lines, (std::vector<std::string>{"ncclSend 256 on stream 3", "ncclSend 256 on stream 2",
                                             "ncclRecv 256 on stream 4", "ncclRecv 256 on stream 5"}));
}

// A stage that goes in the middle is noticed by one that waits for it, which names both, and the run ends.
TEST(Nccl, aLostPeerIsNamed) {
  for (bool waitsForCredit : {true, false}) {
    Pair pair(1);
    ASSERT_NO_FATAL_FAILURE(pair.open());
    Slot slot;
    if (waitsForCredit) {
      ASSERT_TRUE(pair.acquire(slot, deadlineAfter(kLong)).ok());
      ASSERT_TRUE(pair.publish(slot).ok());
    }
    pair.run->lose(waitsForCredit ? 1 : 0);
    int64_t begin = nowNs();
    Status status = waitsForCredit ? pair.acquire(slot, deadlineAfter(kLong)) : pair.wait(slot, deadlineAfter(kLong));
    EXPECT_LT(nowNs() - begin, kLong / 4);
    EXPECT_EQ(status.code(), Code::kPeerLost);
    EXPECT_EQ(status.message(), std::string(waitsForCredit ? "stage 0" : "stage 1") +
                                    ", channel 'c0', tensor '/relu', microbatch 0: lost " +
                                    (waitsForCredit ? "stage 1" : "stage 0") +
                                    " over NCCL 2.28.9: remote process exited or there was a network error");
    EXPECT_TRUE(pair.run->control().aborted());
    EXPECT_EQ(pair.run->control().firstFailure().message(), status.message());
  }
}

// In the middle of a send: the role that has nothing to wait for asks its links.
TEST(Nccl, aPeerLostInTheMiddleOfASend) {
  Pair pair(2);
  ASSERT_NO_FATAL_FAILURE(pair.open());
  Slot slot;
  ASSERT_TRUE(pair.acquire(slot, deadlineAfter(kLong)).ok());
  ASSERT_TRUE(pair.publish(slot).ok());
  EXPECT_TRUE(pair.run->nccl(0).check().ok());
  pair.run->lose(1);
  EXPECT_EQ(pair.run->nccl(0).check().code(), Code::kPeerLost);
  EXPECT_EQ(pair.run->nccl(0).finish(pair.run->control().firstFailure(), deadlineAfter(kLong)).code(), Code::kPeerLost);
}

// A consumer that never opens its end: no connection by the deadline.
TEST(Nccl, aMissingPeerIsNamed) {
  Pair pair;
  ASSERT_TRUE(pair.openProducer().ok());
  Status status = pair.run->nccl(0).start(nowNs() + 20 * kMs);
  EXPECT_EQ(status.code(), Code::kTimeout);
  EXPECT_EQ(status.message(),
            "stage 0, channel 'c0', tensor '/relu': no connection with stage 1 over NCCL 2.28.9 before "
            "the deadline");
}

// A transfer that the library refuses ends the run.
TEST(Nccl, aRefusedTransfer) {
  Pair pair;
  ASSERT_NO_FATAL_FAILURE(pair.open());
  standin::failCall("ncclSend", 1, 1);
  Slot slot;
  ASSERT_TRUE(pair.acquire(slot, deadlineAfter(kLong)).ok());
  EXPECT_EQ(pair.publish(slot).code(), Code::kPeerLost);
  EXPECT_TRUE(pair.run->control().aborted());
}

// A library without communicators that do not block.
TEST(Nccl, refusesOldLibraries) {
  standin::Configuration machine;
  machine.ncclVersion = 21200;
  standin::reset(machine);
  Links links;
  Status status = loadLinks(PENSTOCK_TEST_NCCL, links);
  EXPECT_EQ(status.code(), Code::kSystem);
  EXPECT_EQ(status.message(), "cannot use NCCL: libnccl.so.2 has version 2.12.0; install NCCL 2.18 or newer");
}

// Slots that do not fit on the device: which ones, and how much is there.
TEST(Nccl, notEnoughMemory) {
  Pair pair(3, int64_t(500) << 20);
  EXPECT_EQ(pair.openProducer().message(),
            "stage 0, channel 'c0', tensor '/relu': device 0 (NVIDIA H200, sm_90) has 24.0 MiB free of 1.0 GiB, and "
            "500.0 MiB more are needed: slot 3 of 3, 500.0 MiB");
}

// A producer that sends its payloads otherwise.
TEST(Nccl, refusesOtherTransports) {
  Pair pair;
  Transport &other = pair.run->outsider();
  ChannelDesc desc = pair.desc;
  desc.slotBytes = kLinkIdBytes;
  ChannelId channel = -1;
  ASSERT_TRUE(other.open(desc, EndInfo(), deadlineAfter(kLong), channel).ok());
  Slot slot;
  int64_t dim = 16;
  MessageHeader header;
  header.dims = {&dim, 1};
  ASSERT_TRUE(other.acquire(channel, 64, Stream(), deadlineAfter(kLong), slot).ok());
  slot.numBytes = 64;
  ASSERT_TRUE(other.publish(channel, slot, header, Stream()).ok());
  Status status = pair.openConsumer();
  EXPECT_EQ(status.code(), Code::kMismatch);
  EXPECT_EQ(status.message(), "stage 1, channel 'c0', tensor '/relu': the producer does not use NCCL for this channel");
}

// Roles that end well leave their links together; nothing is left over.
TEST(Nccl, theEndIsCommon) {
  Pair pair;
  ASSERT_NO_FATAL_FAILURE(pair.open());
  EXPECT_EQ(streamMessages(pair, 5), 15);
  Status results[2];
  std::thread first([&] { results[0] = pair.run->nccl(0).finish(Status(), deadlineAfter(kLong)); });
  std::thread second([&] { results[1] = pair.run->nccl(1).finish(Status(), deadlineAfter(kLong)); });
  first.join();
  second.join();
  for (const Status &status : results)
    EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(standin::numCalls("ncclCommDestroy"), 2);
  EXPECT_EQ(standin::numCalls("ncclCommAbort"), 0);
}

// One whose peer does not end: the deadline comes, and the links are given up.
TEST(Nccl, theEndHasADeadline) {
  Pair pair;
  ASSERT_NO_FATAL_FAILURE(pair.open());
  Status status = pair.run->nccl(0).finish(Status(), nowNs() + 30 * kMs);
  EXPECT_EQ(status.code(), Code::kTimeout);
  EXPECT_NE(status.message().find("stage 0, channel 'c0'"), std::string::npos) << status.message();
  EXPECT_TRUE(pair.run->control().aborted());
}

} // namespace

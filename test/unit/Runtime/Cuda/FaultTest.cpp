//===- FaultTest.cpp - Every call of the driver and NCCL fails once -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two stages on two devices: a tensor from the host, a graph, a channel, a kernel, a tensor to the host. Each call that
// they make fails in a run of its own, which must end with an error, and leave nothing behind.
//
//===----------------------------------------------------------------------===//
#include "DeviceRun.h"
#include "NcclTransport.h"
#include "transports/inproc/Inproc.h"

#include <map>

using namespace testdevice;

namespace {

constexpr int64_t kDeadline = 300 * kMs; ///< of each wait
constexpr int64_t kBytes = 64;

standin::KernelModel makeCopy() {
  standin::KernelModel copy;
  copy.name = "k_copy", copy.numParameters = 2;
  copy.accesses = [](const standin::KernelCall &call) -> std::vector<standin::Access> {
    return {{reinterpret_cast<const void *>(call.parameters[0]), kBytes, false},
            {reinterpret_cast<const void *>(call.parameters[1]), kBytes, true}};
  };
  copy.run = [](const standin::KernelCall &call) {
    std::memcpy(reinterpret_cast<void *>(call.parameters[1]), reinterpret_cast<const void *>(call.parameters[0]),
                kBytes);
  };
  return copy;
}

ChannelDesc makeChannel() {
  ChannelDesc desc;
  desc.name = "c0", desc.tensor = "/h1", desc.dtype = RT_U8, desc.dims = {kBytes};
  desc.consumerStages = {1}, desc.depth = 2, desc.slotBytes = kBytes;
  return desc;
}

/// One of the two stages, with what joins it to the host.
class OneStage {
public:
  OneStage() = default;
  OneStage(const OneStage &) = delete;
  OneStage &operator=(const OneStage &) = delete;
  ~OneStage() {
    input.reset(), output.reset(), transport.reset(), stage.reset();
    if (device.self)
      (void)device.close(device.self);
  }
  Status open(int32_t role, const Links &links, InprocHub &hub) {
    if (Status status = loadDevice(PENSTOCK_TEST_CUDA, role, device); !status.ok())
      return status;
    host = hub.makeTransport();
    NcclTransport::Place place;
    place.role = role, place.timeoutNs = kDeadline;
    transport = std::make_unique<NcclTransport>(device, links, *host, hub.control(), place);
    Status status = DeviceStage::open(
        device, stageName(role), {{"slots", StagedTensor::deviceBytes(kBytes, 2)}},
        [this] { return transport->check(); }, stage);
    void *handle = nullptr;
    if (status.ok())
      status = stage->load({image.data(), "sm_90"}, handle);
    if (status.ok())
      status = stage->find(handle, "k_copy", 0, kernel);
    if (status.ok())
      status = role == 0 ? StagedInput::open(*stage, "x", kBytes, 2, stage->part(0), input)
                         : StagedOutput::open(*stage, "y", kBytes, 2, stage->part(0), output);
    EndInfo end;
    end.isProducer = role == 0, end.stage = role;
    return status.ok() ? transport->open(makeChannel(), end, deadlineAfter(kDeadline), channel) : status;
  }
  Status copy(void *from, void *to) {
    void *parameters[] = {&from, &to};
    Launch launch;
    launch.kernel = kernel, launch.parameters = parameters;
    return stage->launch(launch, "copy");
  }
  std::vector<char> image = standin::makeImage(90);
  Device device;
  std::unique_ptr<Transport> host;
  std::unique_ptr<NcclTransport> transport;
  std::unique_ptr<DeviceStage> stage;
  std::unique_ptr<StagedInput> input;
  std::unique_ptr<StagedOutput> output;
  ChannelId channel = -1;
  void *kernel = nullptr;
};

Status sendOne(OneStage &first, char value) {
  std::string x(kBytes, value);
  void *from = nullptr;
  Slot slot;
  Status status = first.input->take(x.data(), kBytes, deadlineAfter(kDeadline), from);
  if (status.ok())
    status = first.transport->acquire(first.channel, kBytes, first.stage->compute(), deadlineAfter(kDeadline), slot);
  if (status.ok())
    status = first.stage->runGraph({int64_t(slot.sequence % 2)}, [&] { return first.copy(from, slot.data); });
  if (status.ok())
    status = first.input->release();
  int64_t dim = kBytes;
  MessageHeader header;
  header.dims = {&dim, 1};
  slot.numBytes = kBytes;
  return status.ok() ? first.transport->publish(first.channel, slot, header, first.stage->compute()) : status;
}

Status receiveOne(OneStage &second, std::string &y) {
  void *to = nullptr;
  Slot slot;
  MessageHeader header;
  int64_t numBytes = 0;
  Stream compute = second.stage->compute();
  Status status = second.transport->wait(second.channel, compute, deadlineAfter(kDeadline), slot, header);
  if (status.ok())
    status = second.output->acquire(to);
  if (status.ok())
    status = second.copy(slot.data, to);
  if (status.ok())
    status = second.transport->release(second.channel, slot, compute);
  if (status.ok())
    status = second.output->publish(kBytes);
  return status.ok() ? second.output->take(&y[0], kBytes, deadlineAfter(kDeadline), numBytes) : status;
}

/// The whole run; what it leaves behind is for the machine to find.
Status runTwoStages() {
  standin::addKernel(makeCopy());
  ControlLayout layout;
  layout.numRoles = 2;
  ControlLayout::Channel channel;
  channel.depth = 2, channel.consumerRoles = channel.consumerStages = {1};
  layout.channels.push_back(channel);
  std::unique_ptr<InprocHub> hub;
  Links links;
  Status status = InprocHub::create(layout, hub);
  if (status.ok())
    status = loadLinks(PENSTOCK_TEST_NCCL, links);
  OneStage stages[2];
  for (int32_t role = 0; role < 2 && status.ok(); ++role)
    status = stages[role].open(role, links, *hub);
  for (int32_t role = 0; role < 2 && status.ok(); ++role)
    status = stages[role].transport->start(deadlineAfter(kDeadline));
  for (char i = 1; i <= 3 && status.ok(); ++i) {
    std::string y(kBytes, '\0');
    status = sendOne(stages[0], i);
    if (status.ok())
      status = receiveOne(stages[1], y);
    if (status.ok())
      EXPECT_EQ(y, std::string(kBytes, i));
  }
  return status;
}

/// How often each entry point is called in a run without faults.
std::map<std::string, int64_t> countCalls() {
  standin::reset();
  Status status = runTwoStages();
  EXPECT_TRUE(status.ok()) << status.message();
  std::map<std::string, int64_t> counts;
  for (const std::string &call : standin::calls())
    ++counts[call.substr(0, call.find(' '))];
  standin::checkLeaks();
  EXPECT_EQ(faultWords(), "");
  return counts;
}

/// Calls that give something back: what comes of them changes no result.
bool isFarewell(const std::string &entry) {
  for (const char *word : {"Destroy", "Free", "Unload", "Release", "Abort"})
    if (entry.find(word) != std::string::npos)
      return true;
  return false;
}

// No call is unchecked, no failure hangs or crashes, and none leaves anything behind.
TEST(CudaFaults, everyCallFailsOnce) {
  int64_t numRuns = 0;
  for (auto &[entry, count] : countCalls()) {
    if (entry == "ncclCommAbort") // nothing else could end the link
      continue;
    for (int64_t n = 1; n <= count; ++n, ++numRuns) {
      standin::reset();
      standin::failCall(entry, n, 1);
      int64_t begin = nowNs();
      Status status = runTwoStages();
      EXPECT_LT(nowNs() - begin, kLong) << entry << ", call " << n;
      EXPECT_EQ(status.ok(), isFarewell(entry)) << entry << ", call " << n << ": " << status.message();
      standin::checkLeaks();
      EXPECT_EQ(faultWords(), "") << entry << ", call " << n << ": " << status.message();
    }
  }
  EXPECT_GT(numRuns, 100);
}

} // namespace

//===- StageTest.cpp - Memory, staging and graphs of a stage -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "DeviceRun.h"

using namespace testdevice;

namespace {

constexpr int64_t kCount = 16, kBytes = kCount * 4;

/// to[i] = from[i] * factor: parameters from, to, factor.
standin::KernelModel makeScale() {
  standin::KernelModel kernel;
  kernel.name = "k_scale";
  kernel.numParameters = 3;
  kernel.accesses = [](const standin::KernelCall &call) -> std::vector<standin::Access> {
    return {{reinterpret_cast<const void *>(call.parameters[0]), kBytes, false},
            {reinterpret_cast<const void *>(call.parameters[1]), kBytes, true}};
  };
  kernel.run = [](const standin::KernelCall &call) {
    for (int64_t i = 0; i < kCount; ++i) // without a sign: without an event it is rubbish, which may overflow
      reinterpret_cast<uint32_t *>(call.parameters[1])[i] =
          reinterpret_cast<uint32_t *>(call.parameters[0])[i] * uint32_t(call.parameters[2]);
  };
  return kernel;
}

/// A stage that scales a tensor that comes from the host, through a buffer, to one that goes there.
class ScalingStage {
public:
  explicit ScalingStage(Device &device, int32_t depth = 2, int32_t inputDepth = 2) {
    standin::addKernel(makeScale());
    std::vector<DeviceStage::Part> parts = {{"arena", kBytes},
                                            {"slots of 'x'", StagedInput::deviceBytes(kBytes, inputDepth)},
                                            {"slots of 'y'", StagedOutput::deviceBytes(kBytes, depth)}};
    expectOk(DeviceStage::open(device, "stage 1", parts, Watch(), stage));
    expectOk(StagedInput::open(*stage, "x", kBytes, inputDepth, stage->part(1), input));
    expectOk(StagedOutput::open(*stage, "y", kBytes, depth, stage->part(2), output));
    image = standin::makeImage(90);
    void *handle = nullptr;
    expectOk(stage->load({image.data(), "sm_90"}, handle));
    expectOk(stage->find(handle, "k_scale", 0, kernel));
  }
  static void expectOk(const Status &status) { EXPECT_TRUE(status.ok()) << status.message(); }
  Status scale(const void *from, void *to, int64_t factor) {
    void *parameters[] = {&from, &to, &factor};
    Launch launch;
    launch.kernel = kernel, launch.block[0] = uint32_t(kCount), launch.parameters = parameters;
    return stage->launch(launch, "scale");
  }
  /// Gives one microbatch to the device; results are taken when both slots hold one.
  void enqueue(int32_t value, bool asGraph) {
    std::vector<int32_t> x(kCount, value);
    void *from = nullptr, *to = nullptr;
    expectOk(input->take(x.data(), kBytes, deadlineAfter(kLong), from));
    std::fill(x.begin(), x.end(), -1); // ours again
    expectOk(output->acquire(to));
    auto kernels = [&] {
      Status status = scale(from, stage->part(0), 3);
      return status.ok() ? scale(stage->part(0), to, 5) : status;
    };
    expectOk(asGraph ? stage->runGraph({value % 2, kCount}, kernels) : kernels());
    expectOk(input->release());
    expectOk(output->publish(kBytes));
  }
  void expectResult(int32_t value) {
    std::vector<int32_t> y(kCount, 0);
    int64_t numBytes = 0;
    expectOk(output->take(y.data(), kBytes, deadlineAfter(kLong), numBytes));
    EXPECT_EQ(numBytes, kBytes);
    EXPECT_EQ(y, std::vector<int32_t>(kCount, value * 15));
  }
  std::unique_ptr<DeviceStage> stage;
  std::unique_ptr<StagedInput> input;
  std::unique_ptr<StagedOutput> output;
  std::vector<char> image;
  void *kernel = nullptr;
};

class CudaStage : public testing::Test {
protected:
  void SetUp() override { standin::reset(); }
};

// Many microbatches, two at a time: right results, every use ordered by an event, one allocation and no later one.
TEST_F(CudaStage, steadyState) {
  for (bool asGraph : {false, true}) {
    standin::reset();
    {
      OpenDevice open;
      ScalingStage scaling(open.table);
      EXPECT_EQ(standin::numCalls("cuMemAlloc"), 1);
      int64_t pinned = standin::numCalls("cuMemHostAlloc"), events = standin::numCalls("cuEventCreate");
      scaling.enqueue(0, asGraph);
      for (int32_t i = 1; i < 50; ++i) {
        scaling.enqueue(i, asGraph);
        scaling.expectResult(i - 1);
      }
      scaling.expectResult(49);
      EXPECT_EQ(standin::numCalls("cuMemAlloc"), 1);
      EXPECT_EQ(standin::numCalls("cuMemHostAlloc"), pinned);
      EXPECT_EQ(standin::numCalls("cuEventCreate"), events);
      EXPECT_EQ(scaling.stage->numGraphs(), asGraph ? 2 : 0); // one per slot phase
      EXPECT_EQ(standin::numCalls("cuGraphLaunch"), asGraph ? 50 : 0);
      EXPECT_EQ(standin::numCalls("cuLaunchKernel"), asGraph ? 4 : 100);
    }
    standin::checkLeaks();
    EXPECT_EQ(faultWords(), "");
  }
}

// What happens to a call of await(): the n-th of every three is left out.
int32_t (*realAwait)(void *self, void *stream, void *event);
int64_t numAwaits, leftOut;
int32_t awaitMost(void *self, void *stream, void *event) {
  return numAwaits++ % 3 == leftOut ? 0 : realAwait(self, stream, event);
}

// Each of the three events of a microbatch is needed: without it, the machine finds a fault.
TEST_F(CudaStage, eachEventIsNeeded) {
  for (int64_t which : {-1, 0, 1, 2}) {
    standin::reset();
    OpenDevice open;
    realAwait = open.table.await, numAwaits = 0, leftOut = which;
    open.table.await = awaitMost;
    {
      // One slot for inputs: it is written anew while the kernels of the last microbatch are still to come.
      ScalingStage scaling(open.table, 3, 1);
      for (int32_t i = 0; i < 3; ++i)
        scaling.enqueue(i, false);
    }
    EXPECT_EQ(numAwaits, 9);
    EXPECT_EQ(faultWords().empty(), which == -1) << which;
  }
}

// Too little memory: how much is there, how much is needed, and for what.
TEST_F(CudaStage, notEnoughMemory) {
  OpenDevice open;
  std::unique_ptr<DeviceStage> stage;
  std::vector<DeviceStage::Part> parts = {
      {"weights", int64_t(900) << 20}, {"arena", int64_t(200) << 20}, {"slots of 'x'", 1000}};
  Status status = DeviceStage::open(open.table, "stage 1", parts, Watch(), stage);
  EXPECT_EQ(status.code(), Code::kSystem);
  EXPECT_EQ(status.message(),
            "stage 1: device 0 (NVIDIA H200, sm_90) has 1.0 GiB free of 1.0 GiB, and 1.1 GiB more are "
            "needed: weights 900.0 MiB, arena 200.0 MiB, slots of 'x' 1000 bytes");
  parts = {{"weights", int64_t(900) << 20}};
  ASSERT_TRUE(DeviceStage::open(open.table, "stage 1", parts, Watch(), stage).ok());
  std::unique_ptr<DeviceStage> second;
  EXPECT_EQ(DeviceStage::open(open.table, "stage 2", parts, Watch(), second).message(),
            "stage 2: device 0 (NVIDIA H200, sm_90) has 124.0 MiB free of 1.0 GiB, and 900.0 MiB more are needed: "
            "weights 900.0 MiB");
  parts = {{"weights", INT64_MAX / 2}, {"arena", INT64_MAX / 2}};
  EXPECT_EQ(DeviceStage::open(open.table, "stage 3", parts, Watch(), second).code(), Code::kInvalid);
}

// Pinned memory that the system refuses, and what was made before it goes away again.
TEST_F(CudaStage, noPinnedMemory) {
  {
    OpenDevice open;
    std::unique_ptr<DeviceStage> stage;
    ASSERT_TRUE(DeviceStage::open(open.table, "stage 1", {{"slots", 512}}, Watch(), stage).ok());
    standin::failCall("cuMemHostAlloc", 2, 2);
    std::unique_ptr<StagedInput> input;
    Status status = StagedInput::open(*stage, "x", kBytes, 2, stage->part(0), input);
    EXPECT_EQ(status.message(), "stage 1, tensor 'x': cannot pin memory of the host on device 0 (NVIDIA H200, sm_90): "
                                "its memory is full");
    input.reset();
  }
  standin::checkLeaks();
  EXPECT_EQ(faultWords(), "");
}

// A chip that is older than the code; a kernel that the code does not have.
TEST_F(CudaStage, wrongCode) {
  standin::Configuration machine;
  machine.devices = {{"Tesla V100", 7, 0, size_t(1) << 30}};
  standin::reset(machine);
  OpenDevice open;
  std::unique_ptr<DeviceStage> stage;
  ASSERT_TRUE(DeviceStage::open(open.table, "stage 1", {}, Watch(), stage).ok());
  std::vector<char> image = standin::makeImage(90);
  void *handle = nullptr, *kernel = nullptr;
  Status status = stage->load({image.data(), "sm_80,sm_90"}, handle);
  EXPECT_EQ(status.code(), Code::kMismatch);
  EXPECT_EQ(status.message(), "stage 1: device 0 (Tesla V100, sm_70) cannot run code that was compiled for "
                              "sm_80,sm_90; compile again with --arch sm_70");
  image = standin::makeImage(70);
  ASSERT_TRUE(stage->load({image.data(), "sm_70"}, handle).ok());
  EXPECT_EQ(
      stage->find(handle, "k_none", 0, kernel).message(),
      "stage 1: cannot find kernel 'k_none' on device 0 (Tesla V100, sm_70): the code has no kernel of this name");
}

// A launch that the device refuses, alone and within a graph, which is then not kept.
TEST_F(CudaStage, refusedLaunch) {
  {
    OpenDevice open;
    ScalingStage scaling(open.table);
    standin::failCall("cuLaunchKernel", 1, 1);
    std::string words = "stage 1: cannot launch kernel 'scale' on device 0 (NVIDIA H200, sm_90): "
                        "CUDA_ERROR_INVALID_VALUE (invalid argument)";
    EXPECT_EQ(scaling.scale(scaling.stage->part(1), scaling.stage->part(0), 2).message(), words);
    standin::failCall("cuLaunchKernel", 1, 1);
    auto kernels = [&] { return scaling.scale(scaling.stage->part(1), scaling.stage->part(0), 2); };
    EXPECT_EQ(scaling.stage->runGraph({0}, kernels).message(), words);
    EXPECT_EQ(scaling.stage->numGraphs(), 0);
    standin::failCall("cuGraphInstantiate", 1, 2);
    EXPECT_EQ(scaling.stage->runGraph({0}, kernels).message(),
              "stage 1: cannot make a graph on device 0 (NVIDIA H200, sm_90): its memory is full");
    EXPECT_TRUE(scaling.stage->runGraph({0}, kernels).ok());
  }
  standin::checkLeaks();
  EXPECT_EQ(faultWords(), "");
}

// Of very many tuples of symbol values the oldest graphs are forgotten.
TEST_F(CudaStage, graphsAreBounded) {
  {
    OpenDevice open;
    ScalingStage scaling(open.table);
    int64_t numRecorded = 0;
    auto run = [&](int64_t key) {
      EXPECT_TRUE(scaling.stage
                      ->runGraph({key},
                                 [&] {
                                   ++numRecorded;
                                   return scaling.scale(scaling.stage->part(1), scaling.stage->part(0), key);
                                 })
                      .ok());
    };
    auto limit = int64_t(DeviceStage::kMaxGraphs);
    for (int64_t key = 0; key < limit + 1; ++key)
      run(key);
    EXPECT_EQ(scaling.stage->numGraphs(), limit);
    run(1);
    EXPECT_EQ(numRecorded, limit + 1);
    run(0);
    EXPECT_EQ(numRecorded, limit + 2);
  }
  standin::checkLeaks();
  EXPECT_EQ(faultWords(), "");
}

// A wait ends at its deadline, or with what else has happened.
TEST_F(CudaStage, waitsEnd) {
  OpenDevice open;
  const Device &d = open.table;
  void *stream = nullptr;
  DeviceEvent event;
  ASSERT_EQ(d.makeStream(d.self, 0, &stream), 0);
  ASSERT_TRUE(DeviceEvent::make(d, "stage 1", event).ok());
  ASSERT_EQ(d.mark(d.self, event.get(), stream), 0);
  Status status = awaitEvent(d, "stage 1", "finish", event.get(), nowNs() - 1, Watch());
  EXPECT_EQ(status.code(), Code::kTimeout);
  EXPECT_EQ(status.message(), "stage 1: could not finish on device 0 (NVIDIA H200, sm_90) before the deadline");
  ASSERT_EQ(d.mark(d.self, event.get(), stream), 0);
  status = awaitEvent(d, "stage 1", "finish", event.get(), kNever, [] { return fail(Code::kAborted, "it is over"); });
  EXPECT_EQ(status.message(), "it is over");
  standin::failCall("cuEventQuery", 1, 400);
  EXPECT_EQ(awaitEvent(d, "stage 1", "finish", event.get(), kNever, Watch()).message(),
            "stage 1: cannot finish on device 0 (NVIDIA H200, sm_90): CUDA_ERROR_INVALID_HANDLE (invalid resource "
            "handle)");
  EXPECT_EQ(d.dropStream(d.self, stream), 0);
}

// Calls out of order, and sizes that do not fit, are told and change nothing.
TEST_F(CudaStage, refusesMisuse) {
  OpenDevice open;
  ScalingStage scaling(open.table, 1, 1);
  std::vector<int32_t> x(kCount + 1, 1);
  void *data = nullptr;
  int64_t numBytes = 0;
  EXPECT_EQ(scaling.input->release().code(), Code::kProgram);
  EXPECT_EQ(scaling.input->take(x.data(), kBytes + 4, kNever, data).code(), Code::kInvalid);
  EXPECT_TRUE(scaling.input->take(x.data(), kBytes, kNever, data).ok());
  EXPECT_EQ(scaling.input->take(x.data(), kBytes, kNever, data).code(), Code::kProgram);
  EXPECT_EQ(scaling.output->publish(kBytes).code(), Code::kProgram);
  EXPECT_EQ(scaling.output->take(x.data(), kBytes, kNever, numBytes).code(), Code::kProgram);
  EXPECT_TRUE(scaling.output->acquire(data).ok());
  EXPECT_EQ(scaling.output->acquire(data).code(), Code::kProgram);
  EXPECT_EQ(scaling.output->publish(kBytes + 4).code(), Code::kInvalid);
  EXPECT_TRUE(scaling.output->publish(kBytes).ok());
  EXPECT_EQ(scaling.output->acquire(data).code(), Code::kProgram);
  EXPECT_EQ(scaling.output->take(x.data(), kBytes - 4, kNever, numBytes).code(), Code::kProgram);
}

} // namespace

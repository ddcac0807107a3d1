//===- RoleTest.cpp - A role whose kernels run on a device -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The stage of TestRole.h with its two kernels on a device, in a session of this process: a weight, a constant, a state
// that counts microbatches, an arena and slots of a free size.
//
//===----------------------------------------------------------------------===//
#include "DeviceRole.h"
#include "DeviceRun.h"
#include "Folder.h"
#include "penstock/rt/Session.h"

#include <map>

using namespace testdevice;
using namespace testrole;

namespace {

using Single = Role<0, 1, false>;

/// k_add: in, addend, sum, number of elements. k_finish: sum, bias, count, out, number of elements.
const std::vector<char> kImage = standin::makeImage(90);
const rt_cuda_function kAdd[] = {{"k_add_0", {32, 1, 1}, 4, 0}};
const rt_cuda_function kFinish[] = {{"k_finish_0", {32, 1, 1}, 5, 0}, {"k_finish_1", {1, 1, 1}, 1, 0}};
const rt_cuda_kernel kKernels[] = {
    {RT_CUDA_KERNEL_VERSION, 1, "k_add", "sm_90", kImage.data(), kImage.size(), kAdd},
    {RT_CUDA_KERNEL_VERSION, 2, "k_finish", "sm_90", kImage.data(), kImage.size(), kFinish},
    {RT_CUDA_KERNEL_VERSION, 1, "k_of_another_role", "sm_10", nullptr, 0, kAdd}};
const rt_cuda_kernel *const kCode[] = {&kKernels[0], &kKernels[1], &kKernels[2]};

template <typename Type> Type *pointer(uint64_t word) { return reinterpret_cast<Type *>(word); }

void addKernel(const char *name, size_t numParameters,
               const std::function<std::vector<standin::Access>(const std::vector<uint64_t> &)> &accesses,
               const std::function<void(const std::vector<uint64_t> &)> &run) {
  standin::KernelModel model;
  model.name = name, model.numParameters = numParameters;
  model.accesses = [=](const standin::KernelCall &call) { return accesses(call.parameters); };
  model.run = [=](const standin::KernelCall &call) { run(call.parameters); };
  standin::addKernel(model);
}

void addKernels() {
  using Words = std::vector<uint64_t>;
  auto use = [](uint64_t address, uint64_t count, bool writes) {
    return standin::Access{pointer<void>(address), size_t(count) * 4, writes};
  };
  addKernel(
      "k_add_0", 4,
      [=](const Words &w) -> std::vector<standin::Access> {
        return {use(w[0], w[3], false), use(w[1], 1, false), use(w[2], w[3], true)};
      },
      [](const Words &w) {
        for (uint64_t i = 0; i < w[3]; ++i)
          pointer<float>(w[2])[i] = pointer<float>(w[0])[i] + *pointer<float>(w[1]);
      });
  addKernel(
      "k_finish_0", 5,
      [=](const Words &w) -> std::vector<standin::Access> {
        return {use(w[0], w[4], false), use(w[1], 4, false), use(w[2], 2, false), use(w[3], w[4], true)};
      },
      [](const Words &w) {
        for (uint64_t i = 0; i < w[4]; ++i)
          pointer<float>(w[3])[i] =
              pointer<float>(w[0])[i] + pointer<float>(w[1])[i % 4] + 100 * float(*pointer<int64_t>(w[2]));
      });
  addKernel(
      "k_finish_1", 1, [=](const Words &w) -> std::vector<standin::Access> { return {use(w[0], 2, true)}; },
      [](const Words &w) { ++*pointer<int64_t>(w[0]); });
}

uint64_t word(const void *data) { return reinterpret_cast<uintptr_t>(data); }

/// What the calls of the program have asked the device for.
struct Asked {
  int64_t copiesIn = 0, copiesOut = 0, queries = 0;
  static Asked total() {
    return {standin::numCalls("cuMemcpyHtoDAsync"), standin::numCalls("cuMemcpyDtoHAsync"),
            standin::numCalls("cuEventQuery")};
  }
};
std::map<std::string, Asked> *askedBy = nullptr; ///< by the words of the call; null: nobody wants to know

template <typename Call> int32_t noting(const char *words, const Call &call) {
  if (!askedBy)
    return call();
  Asked before = Asked::total(), &asked = (*askedBy)[words];
  int32_t code = call();
  Asked after = Asked::total();
  asked.copiesIn += after.copiesIn - before.copiesIn;
  asked.copiesOut += after.copiesOut - before.copiesOut;
  asked.queries += after.queries - before.queries;
  return code;
}

#define RT_TRY(CALL)                                                                                                   \
  if (int32_t code = noting(#CALL, [&] { return (CALL); }))                                                            \
  return code
int32_t program(rt_ctx *ctx) {
  void *const *buffers = rt_buffers(ctx);
  const int64_t *extents = rt_extents(ctx);
  for (;;) {
    if (int32_t code = noting("rt_begin(ctx)", [&] { return rt_begin(ctx); }))
      return code == RT_END ? int32_t(RT_OK) : code;
    RT_TRY(rt_wait(ctx, 0));
    RT_TRY(rt_upload(ctx, 0));
    RT_TRY(rt_bind(ctx));
    RT_TRY(rt_acquire(ctx, 1));
    uint64_t count = uint64_t(extents[0] / 4);
    uint32_t grid[3] = {uint32_t((count + 31) / 32), 1, 1}, one[3] = {1, 1, 1};
    uint64_t add[] = {word(buffers[0]), word(buffers[3]), word(buffers[2]), count};
    rt_cuda_launch(ctx, &kKernels[0], 0, grid, 0, add);
    RT_TRY(rt_done(ctx, 0));
    RT_TRY(rt_release(ctx, 0));
    uint64_t finish[] = {word(buffers[2]), word(buffers[5]), word(buffers[4]), word(buffers[1]), count};
    rt_cuda_launch(ctx, &kKernels[1], 0, grid, 0, finish);
    rt_cuda_launch(ctx, &kKernels[1], 1, one, 0, &finish[2]);
    RT_TRY(rt_done(ctx, 1));
    RT_TRY(rt_download(ctx, 1));
    RT_TRY(rt_publish(ctx, 1));
    RT_TRY(rt_end(ctx));
  }
}

const rt_device kDevice = {"cuda",
                           [](const rt_role_desc &role, Transport &host, const RunControl &control,
                              const RoleOptions &options) -> std::unique_ptr<RoleDevice> {
                             return std::make_unique<DeviceRole>(role, host, control, options, "libpenstock-cuda.so",
                                                                 Span<const rt_cuda_kernel *const>{kCode, 3});
                           }};

/// Requests of so many rows each, one after the other. `fault`: planted in the role. `trace`: to be filled.
Status runRequests(const std::vector<int64_t> &rows, const std::function<void(rt_role_desc &)> &change = nullptr,
                   const std::string &fault = std::string(), json *trace = nullptr) {
  addKernels();
  TemporaryFolder folder;
  writeFile(folder.path + "/plan.json", chainPlan(1, false).dump());
  writeFile(folder.path + "/stage-0.weights", chainWeights());
  std::filesystem::create_directory(folder.path + "/lib");
  std::filesystem::create_symlink(PENSTOCK_TEST_CUDA, folder.path + "/lib/libpenstock-cuda.so");
  rt_role_desc role = Single::make(program);
  role.device = &kDevice;
  if (change)
    change(role);
  SessionOptions options;
  options.roles = {&role};
  options.timeoutNs = 5000 * kMs;
  options.traceEvents = trace ? 1000 : 0;
  if (!fault.empty())
    options.faults[0] = fault;
  std::unique_ptr<Session> session;
  Status status = Session::open(folder.path, options, session);
  for (size_t i = 0; i < rows.size() && status.ok(); ++i) {
    TensorMap inputs{{"x", ramp(rows[i], float(i))}}, outputs;
    status = session->run(viewsOf(inputs), outputs);
    if (!status.ok())
      break;
    auto *values = reinterpret_cast<float *>(outputs.at("y").data.get());
    EXPECT_EQ(outputs.at("y").dims, (std::vector<int64_t>{rows[i], 4}));
    for (int64_t k = 0; k < rows[i] * 4; ++k)
      EXPECT_EQ(values[k], float(i) + float(k) + 1 + 0.5f + float(k % 4) + 100 * float(i)) << "request " << i;
  }
  Status closed = session ? session->close() : Status();
  if (trace) {
    EXPECT_TRUE(session->writeTrace(folder.path + "/trace.json").ok());
    *trace = json::parse(readFile(folder.path + "/trace.json"));
  }
  return status.ok() ? closed : status;
}

// Shapes that grow and shrink, a state, an empty tensor; equal microbatches are launched whole; nothing is left behind.
TEST(DeviceRole, stream) {
  standin::reset();
  Status status = runRequests({3, 3, 3, 3, 3, 3, 40, 1, 0, 3, 3});
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(standin::numCalls("cuGraphLaunch"), 10);        // the second part of each request but the empty one
  EXPECT_LE(standin::numCalls("cuGraphInstantiate"), 7);    // two slots of each of three sizes, and one for a new place
  EXPECT_EQ(standin::numCalls("cuModuleLoadData"), 2);      // not of the other role
  EXPECT_EQ(standin::numCalls("cuLaunchKernel k_add"), 10); // alone until its input is released
  standin::checkLeaks();
  EXPECT_EQ(faultWords(), "");
}

// The program says when is copied: an upload and a download begin one copy each, and neither a download nor what
// follows it asks whether the device is done; that is left to the wait for the next input.
TEST(DeviceRole, copiesAreCalls) {
  standin::reset();
  std::map<std::string, Asked> found;
  askedBy = &found;
  Status status = runRequests({3, 3, 3, 3});
  askedBy = nullptr;
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(found.size(), 11u);
  for (const auto &[call, asked] : found) {
    EXPECT_EQ(asked.copiesIn, call == "rt_upload(ctx, 0)" ? 4 : 0) << call;
    EXPECT_EQ(asked.copiesOut, call == "rt_download(ctx, 1)" ? 4 : 0) << call;
  }
  for (const char *call : {"rt_download(ctx, 1)", "rt_publish(ctx, 1)", "rt_end(ctx)"})
    EXPECT_EQ(found.at(call).queries, 0) << call;
  EXPECT_GE(found.at("rt_begin(ctx)").queries, 4);
  EXPECT_EQ(faultWords(), "");
}

// Copies are in the timeline, each with its tensor, in the order of the calls.
TEST(DeviceRole, copiesAreTraced) {
  standin::reset();
  json trace;
  Status status = runRequests({2, 2}, nullptr, "", &trace);
  EXPECT_TRUE(status.ok()) << status.message();
  std::vector<std::string> events;
  for (const json &event : trace["traceEvents"])
    if (event["ph"] == "X" && event["name"] == "microbatch 1")
      events.push_back(event["cat"].get<std::string>() + " " + event["args"].value("tensor", ""));
  EXPECT_EQ(events, (std::vector<std::string>{"wait x", "upload x", "send /h1", "download /h1", "run "}));
}

// Copies can be made to fail like other calls.
TEST(DeviceRole, copiesFail) {
  for (const auto &[fault, words] : std::map<std::string, std::string>{
           {"upload:2:fail", "planted failure at call 2 (upload) on channel 'c0'"},
           {"download:1:fail", "planted failure at call 1 (download) on channel 'c1'"}}) {
    standin::reset();
    Status status = runRequests({2, 2}, nullptr, fault);
    EXPECT_EQ(status.code(), Code::kFault) << status.message();
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
    standin::checkLeaks();
    EXPECT_EQ(faultWords(), "");
  }
}

// A program that leaves a copy out, or asks for one that cannot be, ends with the name of the call.
TEST(DeviceRole, copiesInOrder) {
  auto expect = [](int32_t (*wrong)(rt_ctx *), const char *words) {
    standin::reset();
    Status status = runRequests({2}, [&](rt_role_desc &role) { role.program = wrong; });
    EXPECT_EQ(status.code(), Code::kProgram) << words;
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
  };
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        return rt_release(ctx, 0);
      },
      "called rt_release on channel 0, expected rt_upload first");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        RT_TRY(rt_upload(ctx, 0));
        return rt_upload(ctx, 0);
      },
      "called rt_upload on channel 0, expected a received input channel");
  expect([](rt_ctx *ctx) -> int32_t { return rt_upload(ctx, 0); }, "called rt_upload on channel 0");
  expect([](rt_ctx *ctx) -> int32_t { return rt_upload(ctx, 7); }, "called rt_upload on channel 7");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        RT_TRY(rt_upload(ctx, 0));
        RT_TRY(rt_bind(ctx));
        return rt_download(ctx, 1);
      },
      "called rt_download on channel 1, expected an acquired output channel");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        RT_TRY(rt_upload(ctx, 0));
        RT_TRY(rt_bind(ctx));
        RT_TRY(rt_acquire(ctx, 1));
        return rt_publish(ctx, 1);
      },
      "called rt_publish on channel 1, expected rt_download first");
}
#undef RT_TRY

// The devices that the process may see are dealt out in turn.
TEST(DeviceRole, number) {
  for (auto &[number, device] : std::map<int32_t, int32_t>{{0, 0}, {3, 3}, {5, 1}}) {
    standin::reset();
    Status status = runRequests({2}, [n = number](rt_role_desc &role) { role.device_number = n; });
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(standin::numCalls("cuDevicePrimaryCtxRetain " + std::to_string(device)), 1);
  }
}

// Neighbouring stages get devices that are joined by NVLink.
TEST(DeviceRole, followsLinks) {
  standin::Configuration configuration;
  configuration.nvlinkGroups = {0, 1, 0, 1};
  unsetenv("CUDA_VISIBLE_DEVICES");
  for (auto &[number, device] : std::map<int32_t, int32_t>{{0, 0}, {1, 2}, {2, 1}, {3, 3}, {5, 2}}) {
    standin::reset(configuration);
    Status status = runRequests({2}, [n = number](rt_role_desc &role) { role.device_number = n; });
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(standin::numCalls("cuDevicePrimaryCtxRetain " + std::to_string(device)), 1);
  }
}

// What is missing is said before the first request, with what it is for.
TEST(DeviceRole, refused) {
  standin::Configuration configuration;
  configuration.devices = std::vector<standin::DeviceModel>(1);
  configuration.devices[0].totalBytes = 100;
  standin::reset(configuration);
  EXPECT_EQ(runRequests({2}).message(),
            "stage 0: device 0 (NVIDIA H200, sm_90) has 100 bytes free of 100 bytes, and 768 "
            "bytes more are needed: weights 64 bytes, constants 256 bytes, states 256 "
            "bytes, arena 0 bytes, slots 0 bytes");
  configuration.devices[0].totalBytes = 2400;
  standin::reset(configuration);
  EXPECT_EQ(runRequests({1, 100}).message(), "stage 0, tensor 'x': device 0 (NVIDIA H200, sm_90) has 864 bytes free of "
                                             "2.3 KiB, and 3.5 KiB more are needed: slots 3.5 KiB");
  configuration.devices.clear();
  standin::reset(configuration);
  Status status = runRequests({2});
  EXPECT_EQ(status.code(), Code::kSystem);
  EXPECT_EQ(status.message().rfind("stage 0: no CUDA device", 0), 0u) << status.message();
}

/// Calls that give something back: what comes of them changes no result.
bool isFarewell(const std::string &entry) {
  for (const char *word : {"Destroy", "Free", "Unload", "Release"})
    if (entry.find(word) != std::string::npos)
      return true;
  return false;
}

// No call is unchecked, no failure hangs or crashes, and none leaves anything behind.
TEST(DeviceRole, everyCallFailsOnce) {
  standin::reset();
  EXPECT_TRUE(runRequests({2, 2, 5}).ok());
  std::map<std::string, int64_t> counts;
  for (const std::string &call : standin::calls())
    ++counts[call.substr(0, call.find(' '))];
  for (auto &[entry, count] : counts)
    for (int64_t n = 1; n <= count; ++n) {
      standin::reset();
      standin::failCall(entry, n, 1);
      int64_t begin = nowNs();
      Status status = runRequests({2, 2, 5});
      EXPECT_LT(nowNs() - begin, kLong) << entry << ", call " << n;
      if (standin::numCalls(entry) >= n) // how often an event is asked for depends on time
        EXPECT_EQ(status.ok(), isFarewell(entry)) << entry << ", call " << n << ": " << status.message();
      standin::checkLeaks();
      EXPECT_EQ(faultWords(), "") << entry << ", call " << n << ": " << status.message();
    }
}

} // namespace

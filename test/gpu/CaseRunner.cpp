//===- CaseRunner.cpp - Cases on a device --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CaseRunner.h"

#include "Difference.h"
#include "penstock/rt/Types.h"

#include <cstring>

using namespace penstock;
using namespace penstock::test;
using rt::Status;

static constexpr const char *kWho = "a case";
static constexpr int64_t kPatienceNs = 20000000000;
/// Of a larger workspace only the ends are filled and looked at.
static constexpr int64_t kMostCopied = 1 << 20, kEnd = 1 << 16;

Status CaseRunner::open(const std::string &path, const CaseFolder &folder, int64_t mostBytes,
                        std::unique_ptr<CaseRunner> &runner) {
  std::unique_ptr<CaseRunner> made(new CaseRunner(folder));
  if (Status status = made->code.open(path); !status.ok())
    return status;
  if (Status status = made->openDevice(path, mostBytes); !status.ok())
    return status;
  runner = std::move(made);
  return Status();
}

Status CaseRunner::openDevice(const std::string &path, int64_t mostBytes) {
  if (Status status = rt::loadDevice(path + "/" + kPluginFile, 0, table); !status.ok())
    return status;
  if (Status status = rt::DeviceEvent::make(table, kWho, event); !status.ok())
    return status;
  if (int32_t failure = table.allocateHost(table.self, mostBytes, reinterpret_cast<void **>(&pinned)))
    return rt::deviceFailure(table, kWho, "allocate pinned memory", failure);
  before.resize(size_t(mostBytes));
  if (Status status = rt::DeviceStage::open(table, kWho, {{"tensors", mostBytes}}, rt::Watch(), stage); !status.ok())
    return status;
  direct = std::make_unique<rt::CudaKernels>(*stage);
  collected = std::make_unique<rt::CudaKernels>(*stage);
  collected->collect();
  return Status();
}

CaseRunner::~CaseRunner() {
  direct.reset(), collected.reset(), stage.reset();
  event = rt::DeviceEvent();
  if (pinned)
    (void)table.releaseHost(table.self, pinned);
  if (table.self)
    (void)table.close(table.self);
}

Status CaseRunner::loadKernel(const CaseKernel &kernel, rt_kernel_fn &function) {
  if (Status status = code.find(kernel, function); !status.ok() || loaded.count(kernel.symbol))
    return status;
  for (rt::CudaKernels *kernels : {direct.get(), collected.get()})
    if (Status status = code.load(kernel, *kernels); !status.ok())
      return status;
  loaded.insert(kernel.symbol);
  return Status();
}

Status CaseRunner::finish(const char *what) {
  if (int32_t failure = table.mark(table.self, event.get(), stage->compute().handle))
    return rt::deviceFailure(table, kWho, what, failure);
  return rt::awaitEvent(table, kWho, what, event.get(), rt::deadlineAfter(kPatienceNs), rt::Watch());
}

Status CaseRunner::copy(const CaseLayout &layout, bool in) {
  int64_t all = layout.numBytes(), rest = all - layout.endOfTensors();
  std::vector<std::pair<int64_t, int64_t>> pieces = {{0, all}};
  if (rest > kMostCopied)
    pieces = {{0, layout.endOfTensors() + kEnd}, {all - kEnd, all}};
  auto *data = static_cast<unsigned char *>(stage->part(0));
  for (auto [from, to] : pieces) {
    int32_t failure = in ? table.copyIn(table.self, data + from, pinned + from, to - from, stage->compute().handle)
                         : table.copyOut(table.self, pinned + from, data + from, to - from, stage->compute().handle);
    if (failure)
      return rt::deviceFailure(table, kWho, in ? "copy tensors in" : "copy tensors out", failure);
  }
  return finish(in ? "copy tensors in" : "run a kernel and copy tensors out");
}

Status CaseRunner::runOnce(const Case &test, const CaseLayout &layout, rt_kernel_fn function, rt::CudaKernels &kernels,
                           unsigned char rubbish) {
  layout.fill(before.data(), folder.data, rubbish);
  std::memcpy(pinned, before.data(), size_t(layout.numBytes()));
  if (Status status = copy(layout, /*in=*/true); !status.ok())
    return status;
  std::vector<void *> buffers;
  for (int64_t offset : layout.offsets())
    buffers.push_back(static_cast<unsigned char *>(stage->part(0)) + offset);
  if (Status status = code.call(function, kernels, buffers, test.symbols); !status.ok())
    return status;
  if (Status status = kernels.flush(); !status.ok())
    return status;
  return copy(layout, /*in=*/false);
}

std::string CaseRunner::judgeResult(const CaseTensor &tensor, const unsigned char *bytes) const {
  std::vector<double> got, expected;
  for (int64_t at = 0; at < tensor.numBytes; at += rt::dtypeBytes(tensor.dtype)) {
    got.push_back(rt::elementValue(tensor.dtype, bytes + at));
    expected.push_back(rt::elementValue(tensor.dtype, folder.data.data() + tensor.offset + at));
  }
  return findDifference(got, expected, tensor.dtype);
}

std::string CaseRunner::judge(const Case &test, const CaseLayout &layout) const {
  if (std::string damage = layout.findDamage(before.data(), pinned); !damage.empty())
    return damage;
  for (size_t i = 0; i < test.results.size(); ++i) {
    const CaseTensor &tensor = test.results[i];
    std::string difference = judgeResult(tensor, pinned + layout.offsets()[test.inputs.size() + i]);
    if (!difference.empty())
      return rt::format("result %zu, %s x %s: ", i, rt::dimsToString(tensor.dims).c_str(),
                        rt::dtypeName(tensor.dtype)) +
             difference;
  }
  return "";
}

bool CaseRunner::isLost() { return !finish("look at the device").ok(); }

Verdict CaseRunner::run(const Case &test) {
  const CaseKernel &kernel = folder.kernels[test.kernel];
  for (rt::CudaKernels *kernels : {direct.get(), collected.get()})
    if (Status status = code.openLibrary(kernel, *kernels); !status.ok())
      return {Verdict::Skipped, status.message()};
  CaseLayout layout(test);
  rt_kernel_fn function = nullptr;
  if (Status status = loadKernel(kernel, function); !status.ok())
    return {isLost() ? Verdict::Lost : Verdict::Wrong, status.message()};
  for (int round : {0, 1}) {
    Status status =
        round == 0 ? runOnce(test, layout, function, *direct, 0xFF) : runOnce(test, layout, function, *collected, 0x5A);
    const char *how = round == 0 ? "launch by launch: " : "as a graph, over other rubbish: ";
    if (!status.ok())
      return {isLost() ? Verdict::Lost : Verdict::Wrong, how + status.message()};
    if (std::string words = judge(test, layout); !words.empty())
      return {Verdict::Wrong, how + words};
    if (round == 0)
      first.assign(pinned, pinned + layout.endOfTensors());
    for (size_t i = test.inputs.size(); i + 1 < layout.offsets().size(); ++i)
      if (std::memcmp(first.data() + layout.offsets()[i], pinned + layout.offsets()[i], size_t(layout.sizeOf(i))) != 0)
        return {Verdict::Wrong, "the second run gives other bits than the first"};
  }
  return {};
}

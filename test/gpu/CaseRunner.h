//===- CaseRunner.h - Cases on a device ----------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs kernels as a stage does: the plug-in, the stage's memory and stream, images loaded and launched by CudaKernels,
// products by cuBLASLt, convolutions by cuDNN. Each case runs twice, over different rubbish: launch by launch, then
// with its launches in one graph. Both times the results must be the CPU target's, with the same bits, and nothing else
// may have changed.
//
// Threads: one.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_CASERUNNER_H
#define PENSTOCK_TEST_GPU_CASERUNNER_H

#include "CaseCode.h"
#include "CaseFolder.h"
#include "CaseLayout.h"

#include <memory>
#include <unordered_set>

namespace penstock::test {

struct Verdict {
  enum Kind { Right, Wrong, Skipped, Lost /**< and nothing runs on the device any more */ } kind = Right;
  std::string words;
};

class CaseRunner {
public:
  /// `path`: of the folder. `mostBytes`: of the largest case. kSystem: there is no device, or it cannot be used.
  static rt::Status open(const std::string &path, const CaseFolder &folder, int64_t mostBytes,
                         std::unique_ptr<CaseRunner> &runner);
  ~CaseRunner();

  Verdict run(const Case &test);
  const rt::Device &device() const { return table; }

private:
  explicit CaseRunner(const CaseFolder &folder) : folder(folder) {}
  rt::Status openDevice(const std::string &path, int64_t mostBytes);
  rt::Status loadKernel(const CaseKernel &kernel, rt_kernel_fn &function);
  /// One run by `kernels`; the memory is then in `after`.
  rt::Status runOnce(const Case &test, const CaseLayout &layout, rt_kernel_fn function, rt::CudaKernels &kernels,
                     unsigned char rubbish);
  rt::Status copy(const CaseLayout &layout, bool in);
  rt::Status finish(const char *what);
  /// What is wrong with the memory after a run.
  std::string judge(const Case &test, const CaseLayout &layout) const;
  std::string judgeResult(const CaseTensor &tensor, const unsigned char *bytes) const;
  bool isLost();

  const CaseFolder &folder;
  CaseCode code;
  std::unordered_set<std::string> loaded;
  rt::Device table;
  unsigned char *pinned = nullptr;
  std::vector<unsigned char> before, first;
  rt::DeviceEvent event;
  std::unique_ptr<rt::DeviceStage> stage;
  std::unique_ptr<rt::CudaKernels> direct, collected;
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_CASERUNNER_H

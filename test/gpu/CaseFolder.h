//===- CaseFolder.h - Kernels with what they must give -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A folder of cases is all that a machine with a GPU needs to check kernels of the CUDA target:
//
//   cases.json           which kernel a case runs, its symbols and tensors
//   data.bin             the bytes of all tensors, each once
//   libkernels.so        the kernels' objects; what they call is the program that opens it
//   libpenstock-cuda.so  the plug-in
//   gpu_conformance      the program that runs them
//
// A folder of kernels that are to be timed has no bytes of tensors, and gpu_bench instead. gpu_cases writes both kinds.
// Units: bytes.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_CASEFOLDER_H
#define PENSTOCK_TEST_GPU_CASEFOLDER_H

#include "penstock/rt/Status.h"

#include <string>
#include <vector>

namespace penstock::test {

constexpr int64_t kCasesVersion = 1;
constexpr const char *kCasesFile = "cases.json", *kDataFile = "data.bin", *kKernelsFile = "libkernels.so",
                     *kPluginFile = "libpenstock-cuda.so", *kRunnerFile = "gpu_conformance", *kBenchFile = "gpu_bench";
/// Offset of a tensor that has no bytes in the data.
constexpr int64_t kNoContents = -1;

/// A tensor, and where its bytes are in the data: what goes in, or what must come out.
struct CaseTensor {
  int32_t dtype = 0; ///< rt_dtype
  std::vector<int64_t> dims;
  int64_t offset = kNoContents, numBytes = 0;
};

struct CaseKernel {
  std::string symbol;  ///< "k_<hash>"
  std::string library; ///< whose kernel it is; empty: generated code
  std::string text;
};

struct Case {
  std::string name; ///< "Suite.Test#3": the third run of a kernel in a test
  size_t kernel = 0;
  std::vector<int64_t> symbols;
  std::vector<CaseTensor> inputs, results;
  int64_t workspaceBytes = 0;
};

struct CaseFolder {
  std::vector<CaseKernel> kernels;
  std::vector<Case> cases;
  std::string data;

  /// `hasContents`: tensors have. kSystem, kInvalid: the folder cannot be read or is not a whole one.
  static rt::Status read(const std::string &path, bool hasContents, CaseFolder &folder);
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_CASEFOLDER_H

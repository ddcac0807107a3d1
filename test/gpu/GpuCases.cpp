//===- GpuCases.cpp - The kernels' tests, for a machine with a GPU -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   gpu_cases FOLDER [--arch sm_80,sm_90 | --played] [--gtest_filter=...]
//
// Runs the kernels' tests on the CPU target and writes what every run was and gave, with the kernels compiled for the
// CUDA target, into a folder that gpu_conformance checks where there is a GPU. `--played`: for the stand-in of the
// driver, without a toolkit.
//
//===----------------------------------------------------------------------===//

#include "CaseWriter.h"
#include "GpuHarness.h"
#include "HostImages.h"

#include "llvm/Support/Error.h"

#include <cstring>

using namespace penstock;
using namespace penstock::test;

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  std::string folder, arch = "native";
  bool isPlayed = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--arch") == 0 && i + 1 < argc)
      arch = argv[++i];
    else if (std::strcmp(argv[i], "--played") == 0)
      isPlayed = true;
    else
      folder = argv[i];
  }
  if (folder.empty() || folder[0] == '-') {
    llvm::errs() << "usage: gpu_cases FOLDER [--arch sm_80,sm_90 | --played] [--gtest_filter=...]\n";
    return 2;
  }
  auto target = isPlayed ? cuda::createCudaTarget(arch, std::make_unique<HostImages>()) : createCudaTarget(arch);
  if (!target) {
    llvm::errs() << "gpu_cases: " << llvm::toString(target.takeError()) << '\n';
    return 1;
  }
  CaseWriter writer;
  observeAll([&](Kernel &kernel, const std::vector<Array> &inputs, const std::vector<int64_t> &symbols,
                 const std::vector<Array> &results) {
    getNumLibraryRuns() += !(*target)->getLibrary()->describe(kernel.op, TargetProfile()).empty();
    const testing::TestInfo *test = testing::UnitTest::GetInstance()->current_test_info();
    writer.add(kernel, std::string(test->test_suite_name()) + "." + test->name(), inputs, symbols, results);
  });
  if (RUN_ALL_TESTS() != 0)
    return 1;
  if (llvm::Error error = writer.write(folder, **target, llvm::outs())) {
    llvm::errs() << "gpu_cases: " << llvm::toString(std::move(error)) << '\n';
    return 1;
  }
  return 0;
}

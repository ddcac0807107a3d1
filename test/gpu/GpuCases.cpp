//===- GpuCases.cpp - The kernels' tests, for a machine with a GPU -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   gpu_cases FOLDER [--arch sm_80,sm_90 | --played] [--dump FILE VALUE]... [--gtest_filter=...]
//   gpu_cases FOLDER --bench [--small] [--arch sm_80,sm_90 | --played]
//
// Runs the kernels' tests on the CPU target, then the kernels of dumps of the schedule phase with every symbol at
// VALUE, and writes what every run was and gave, with the kernels compiled for the CUDA target, into a folder that
// gpu_conformance checks where there is a GPU. With `--bench` they are the kernels that gpu_bench times there
// (BenchCases.h). `--played`: for the stand-in of the driver, without a toolkit.
//
//===----------------------------------------------------------------------===//

#include "BenchCases.h"
#include "DumpCases.h"
#include "GpuHarness.h"
#include "HostImages.h"
#include "penstock/Support/Error.h"

#include "llvm/Support/Error.h"

#include <cstdlib>

using namespace penstock;
using namespace penstock::test;

namespace {

struct Options {
  std::string folder, arch = "native";
  bool isPlayed = false, isBench = false, isSmall = false;
  std::vector<std::pair<std::string, int64_t>> dumps;
};

bool parse(int argc, char **argv, Options &options) {
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--arch" && i + 1 < argc) {
      options.arch = argv[++i];
    } else if (word == "--played") {
      options.isPlayed = true;
    } else if (word == "--bench") {
      options.isBench = true;
    } else if (word == "--small") {
      options.isSmall = true;
    } else if (word == "--dump" && i + 2 < argc) {
      options.dumps.emplace_back(argv[i + 1], std::atoll(argv[i + 2]));
      i += 2;
    } else if (word[0] != '-' && options.folder.empty()) {
      options.folder = word;
    } else {
      return false;
    }
  }
  return !options.folder.empty() && (options.isBench ? options.dumps.empty() : !options.isSmall);
}

int fail(llvm::Error error) {
  llvm::errs() << "gpu_cases: " << llvm::toString(std::move(error)) << '\n';
  return 1;
}

/// Runs of the kernels' tests and of the dumps.
llvm::Error addRuns(const Options &options, const TargetBackend &target, CaseWriter &writer) {
  observeAll([&](Kernel &kernel, const std::vector<Array> &inputs, const std::vector<int64_t> &symbols,
                 const std::vector<Array> &results) {
    const testing::TestInfo *test = testing::UnitTest::GetInstance()->current_test_info();
    if (!test) // of a dump
      return;
    getNumLibraryRuns() += !target.getLibrary()->describe(kernel.op, TargetProfile()).empty();
    writer.add(kernel, std::string(test->test_suite_name()) + "." + test->name(), inputs, symbols, results);
  });
  if (RUN_ALL_TESTS() != 0)
    return worldError("tests of kernels have failed");
  for (const auto &[path, value] : options.dumps)
    if (llvm::Error error = addDump(path, value, writer, llvm::outs()))
      return error;
  return llvm::Error::success();
}

llvm::Error addTimed(bool isSmall, CaseWriter &writer) {
  for (const BenchCase &timed : listBenchCases(isSmall))
    if (llvm::Error error = writer.addTimed(timed.name, timed.text))
      return error;
  return llvm::Error::success();
}

} // namespace

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  Options options;
  if (!parse(argc, argv, options)) {
    llvm::errs() << "usage: gpu_cases FOLDER [--arch sm_80,sm_90 | --played] [--dump FILE VALUE]... "
                    "[--gtest_filter=...]\n       gpu_cases FOLDER --bench [--small] [--arch sm_80,sm_90 | --played]\n";
    return 2;
  }
  auto target = options.isPlayed ? cuda::createCudaTarget(options.arch, std::make_unique<HostImages>())
                                 : createCudaTarget(options.arch);
  if (!target)
    return fail(target.takeError());
  CaseWriter writer;
  if (llvm::Error error = options.isBench ? addTimed(options.isSmall, writer) : addRuns(options, **target, writer))
    return fail(std::move(error));
  if (llvm::Error error = writer.write(options.folder, **target, llvm::outs()))
    return fail(std::move(error));
  return 0;
}

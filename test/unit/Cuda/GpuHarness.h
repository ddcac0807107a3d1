//===- GpuHarness.h - Kernels on the played GPU ------------ -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_UNIT_CUDA_GPUHARNESS_H
#define PENSTOCK_TEST_UNIT_CUDA_GPUHARNESS_H

#include "GpuOnHost.h"
#include "KernelHarness.h"

namespace penstock::test {

/// Runs \p gpu on the inputs of \p kernel; what the machine finds goes to \p finding.
std::vector<Array> runOnMachine(Kernel &kernel, GpuKernel &gpu, const std::vector<Array> &inputs,
                                const std::vector<int64_t> &symbols, std::string &finding);

/// How the numbers of the machine differ from the CPU target's (Difference.h); empty if they do not.
std::string findDifference(const Array &got, const Array &expected, mlir::Type element);

/// That is expected to be nothing for each result of \p kernel.
void expectResults(Kernel &kernel, const std::vector<Array> &inputs, const std::vector<Array> &got,
                   const std::vector<Array> &results);

/// Has \p observer see all runs of kernels of this program; for a variable of the program.
const testing::Environment *observeAll(Kernel::Observer observer);

/// How many runs of kernels the observer has taken for a library's.
int64_t &getNumLibraryRuns();

/// What the table says of a kernel; empty if it is not the library's.
std::string describeKernel(const kernels::LibraryTable &table, const std::string &text);

/// The text of a kernel as it is written in a module.
std::string getText(Kernel &kernel);

} // namespace penstock::test

#endif // PENSTOCK_TEST_UNIT_CUDA_GPUHARNESS_H

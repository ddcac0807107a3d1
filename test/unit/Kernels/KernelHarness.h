//===- KernelHarness.h - Kernels from text, run on arrays -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel is written as MLIR text; arrays are vectors of doubles that are stored in the kernel's element types, with
// guard bytes around each, so that a write outside is noticed.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TEST_UNIT_KERNELS_KERNELHARNESS_H
#define PENSTOCK_TEST_UNIT_KERNELS_KERNELHARNESS_H

#include "penstock/Kernels/KernelCompiler.h"
#include "penstock/Kernels/KernelRunner.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>
#include <vector>

namespace penstock::test {

/// A tensor's elements, row-major. 64-bit integers are exact up to 2^53.
struct Array {
  std::vector<int64_t> dims;
  std::vector<double> values;

  int64_t size() const { return values.size(); }
};

// One element of a type of nn in memory.
void storeElement(mlir::Type type, double value, unsigned char *to);
double loadElement(mlir::Type type, const unsigned char *from);

/// What this machine's code is made for.
const TargetProfile &hostProfile();
TargetProfile baselineProfile(); ///< x86-64-v3

/// A kernel_def from text, compiled and loaded.
class Kernel {
public:
  /// Sees every run of every kernel with its results; set by programs that run kernels elsewhere too.
  using Observer = std::function<void(Kernel &, const std::vector<Array> &inputs, const std::vector<int64_t> &symbols,
                                      const std::vector<Array> &results)>;
  static Observer &getObserver();
  std::shared_ptr<void> observed; ///< what the observer keeps of this kernel

  /// \p text is an `nn.kernel_def`. Failures of any step become the message.
  /// With a library, kernels that it takes are its own; \p functions are what those call.
  explicit Kernel(const std::string &text, const TargetProfile &profile = hostProfile(),
                  const kernels::LibraryTable *library = nullptr,
                  const std::vector<std::pair<std::string, void *>> &functions = {});

  bool ok() const { return error.empty(); }
  /// Extents of input \p i (then the results) for these symbols.
  std::vector<int64_t> dimsOf(size_t i, const std::vector<int64_t> &symbols);
  size_t numInputs();
  size_t numResults();
  /// What \p values become when stored in the type of argument \p i.
  Array rounded(size_t i, const Array &values);
  std::vector<Array> run(const std::vector<Array> &inputs, const std::vector<int64_t> &symbols = {});
  /// Random inputs in [low, high), the same for the same seed.
  std::vector<Array> randomInputs(const std::vector<int64_t> &symbols, double low = -2, double high = 2,
                                  unsigned seed = 1);
  /// Seconds of the fastest of \p repeats runs.
  double time(const std::vector<Array> &inputs, const std::vector<int64_t> &symbols, int repeats);

  std::string error;
  kernels::CompiledKernel compiled;
  nn::KernelDefOp op;

  /// Of input \p i, then of the results.
  mlir::RankedTensorType typeOf(size_t i);

private:
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::unique_ptr<kernels::KernelRunner> runner;
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_UNIT_KERNELS_KERNELHARNESS_H

//===- GpuHarness.cpp - Kernels on the played GPU ---------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GpuHarness.h"

#include "Difference.h"
#include "mlir/Parser/Parser.h"
#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Dialect/Rt/IR/RtOps.h"

using namespace penstock;
using namespace penstock::test;

std::vector<Array> test::runOnMachine(Kernel &kernel, GpuKernel &gpu, const std::vector<Array> &inputs,
                                      const std::vector<int64_t> &symbols, std::string &finding) {
  GpuMachine machine;
  std::vector<void *> buffers;
  size_t numBuffers = kernel.numInputs() + kernel.numResults();
  auto bytesOf = [&](size_t i) { return nn::getElementBytes(kernel.typeOf(i).getElementType()); };
  for (size_t i = 0; i < numBuffers; ++i) {
    bool isInput = i < inputs.size();
    int64_t size = 1;
    for (int64_t dim : kernel.dimsOf(i, symbols))
      size *= dim;
    std::string name = (isInput ? "input " : "result ") + std::to_string(isInput ? i : i - inputs.size());
    buffers.push_back(machine.allocate(name, size * bytesOf(i), /*isWritten=*/isInput));
    for (int64_t k = 0; isInput && k < inputs[i].size(); ++k)
      storeElement(kernel.typeOf(i).getElementType(), inputs[i].values[k],
                   static_cast<unsigned char *>(buffers[i]) + k * bytesOf(i));
  }
  gpu.run(machine, buffers, symbols);
  finding = machine.getError();
  std::vector<Array> results;
  for (size_t i = inputs.size(); i < numBuffers; ++i) {
    Array array{kernel.dimsOf(i, symbols), {}};
    int64_t size = 1;
    for (int64_t dim : array.dims)
      size *= dim;
    for (int64_t k = 0; k < size; ++k)
      array.values.push_back(
          loadElement(kernel.typeOf(i).getElementType(), static_cast<unsigned char *>(buffers[i]) + k * bytesOf(i)));
    results.push_back(std::move(array));
  }
  return results;
}

std::string test::findDifference(const Array &got, const Array &expected, mlir::Type element) {
  return findDifference(got.values, expected.values, rtir::getRuntimeType(element).value_or(0));
}

void test::expectResults(Kernel &kernel, const std::vector<Array> &inputs, const std::vector<Array> &got,
                         const std::vector<Array> &results) {
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(findDifference(got[i], results[i], kernel.typeOf(inputs.size() + i).getElementType()), "")
        << "result " << i << " of " << getText(kernel);
}

namespace {
class ObserveAll : public testing::Environment {
public:
  explicit ObserveAll(Kernel::Observer observer) : observer(std::move(observer)) {}
  void SetUp() override { Kernel::getObserver() = observer; }

private:
  Kernel::Observer observer;
};
} // namespace

const testing::Environment *test::observeAll(Kernel::Observer observer) {
  return testing::AddGlobalTestEnvironment(new ObserveAll(std::move(observer)));
}

int64_t &test::getNumLibraryRuns() {
  static int64_t number = 0;
  return number;
}

std::string test::describeKernel(const kernels::LibraryTable &table, const std::string &text) {
  mlir::MLIRContext context;
  context.loadDialect<nn::NNDialect>();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, mlir::ParserConfig(&context));
  EXPECT_TRUE(module) << text;
  auto kernels = module->getOps<nn::KernelDefOp>();
  return table.describe(*kernels.begin(), TargetProfile());
}

std::string test::getText(Kernel &kernel) {
  std::string text;
  llvm::raw_string_ostream(text) << *kernel.op;
  return text;
}

//===- LibraryRun.cpp - Kernels of libraries beside the CPU target's -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LibraryRun.h"
#include "GpuHarness.h"
#include "KernelText.h"
#include "KernelsRun.h"

#include "penstock/Dialect/NN/IR/Extents.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/TargetSelect.h"

namespace penstock::test {
namespace {

/// The compiled kernel in this process.
class Loaded {
public:
  Loaded(const kernels::CompiledKernel &kernel, const ObservedLibrary &library) : workspace(kernel.workspaceBytes) {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    jit = llvm::cantFail(llvm::orc::LLJITBuilder().create());
    llvm::cantFail(jit->getMainJITDylib().define(llvm::orc::absoluteSymbols(
        {{jit->mangleAndIntern(library.entry),
          {llvm::orc::ExecutorAddr::fromPtr(library.address), llvm::JITSymbolFlags::Exported}}})));
    llvm::cantFail(jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(kernel.object, "kernel")));
    function = llvm::cantFail(jit->lookup(kernel.symbolName)).toPtr<rt_kernel_fn>();
  }
  rt_kernel_fn function;
  mlir::AffineExpr workspace; ///< bytes

private:
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

/// A part of the device's memory for each buffer.
std::vector<rt::DeviceStage::Part> listParts(const std::vector<int64_t> &numBytes) {
  std::vector<rt::DeviceStage::Part> parts;
  for (int64_t bytes : numBytes)
    parts.push_back({"a buffer", bytes});
  return parts;
}

/// What the kernel reports; empty if nothing.
std::string call(testdevice::KernelsOnDevice &run, rt_kernel_fn function, size_t numBuffers,
                 const std::vector<int64_t> &symbols) {
  std::vector<void *> buffers;
  for (size_t i = 0; i < numBuffers; ++i)
    buffers.push_back(run.stage->part(i));
  function(run.ctx.get(), buffers.data(), symbols.data());
  run.awaitCompute();
  return run.ctx->kernelFailed ? run.ctx->kernelMessage : "";
}

/// The results of a kernel on the device. `failure`: what it reported.
std::vector<Array> runOnDevice(Kernel &kernel, const ObservedLibrary &library, const std::vector<Array> &inputs,
                               const std::vector<int64_t> &symbols, std::string &failure) {
  const Loaded &loaded = *std::static_pointer_cast<Loaded>(kernel.observed);
  size_t numBuffers = kernel.numInputs() + kernel.numResults();
  std::vector<int64_t> numBytes;
  auto bytesOf = [&](size_t i) { return nn::getElementBytes(kernel.typeOf(i).getElementType()); };
  for (size_t i = 0; i < numBuffers; ++i)
    numBytes.push_back(numElements(kernel.dimsOf(i, symbols)) * bytesOf(i));
  numBytes.push_back(*nn::evaluate(loaded.workspace, symbols));
  testdevice::KernelsOnDevice run(listParts(numBytes));
  EXPECT_TRUE(library.open(*run.kernels).ok());
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<unsigned char> bytes(numBytes[i]);
    for (int64_t k = 0; k < inputs[i].size(); ++k)
      storeElement(kernel.typeOf(i).getElementType(), inputs[i].values[k], bytes.data() + k * bytesOf(i));
    run.device->write(run.stage->part(i), bytes.data(), bytes.size());
  }
  failure = call(run, loaded.function, numBuffers + 1, symbols);
  std::vector<Array> results;
  for (size_t i = inputs.size(); i < numBuffers && failure.empty(); ++i) {
    std::vector<unsigned char> bytes(numBytes[i]);
    run.device->read(bytes.data(), run.stage->part(i), bytes.size());
    Array array{kernel.dimsOf(i, symbols), {}};
    for (int64_t k = 0; k < numElements(array.dims); ++k)
      array.values.push_back(loadElement(kernel.typeOf(i).getElementType(), bytes.data() + k * bytesOf(i)));
    results.push_back(std::move(array));
  }
  return results;
}

void compare(const ObservedLibrary &library, Kernel &kernel, const std::vector<Array> &inputs,
             const std::vector<int64_t> &symbols, const std::vector<Array> &results) {
  std::unique_ptr<kernels::LibraryTable> table = library.makeTable();
  if (table->describe(kernel.op, TargetProfile()).empty())
    return;
  if (!kernel.observed) {
    auto made = kernels::compileKernel(kernel.op, TargetProfile(), table.get());
    ASSERT_TRUE(mlir::succeeded(made)) << getText(kernel);
    kernel.observed = std::make_shared<Loaded>(*made, library);
  }
  ++getNumLibraryRuns();
  std::string failure;
  std::vector<Array> got = runOnDevice(kernel, library, inputs, symbols, failure);
  if (!failure.empty()) {
    EXPECT_NE(failure.find(library.sumOverNothing), std::string::npos) << failure;
    EXPECT_TRUE(llvm::any_of(inputs, [](const Array &input) { return input.size() == 0; })) << getText(kernel);
    return;
  }
  expectResults(kernel, inputs, got, results);
}

} // namespace

const testing::Environment *observeLibrary(ObservedLibrary library) {
  return observeAll(
      [library](Kernel &kernel, const std::vector<Array> &inputs, const std::vector<int64_t> &symbols,
                const std::vector<Array> &results) { compare(library, kernel, inputs, symbols, results); });
}

} // namespace penstock::test

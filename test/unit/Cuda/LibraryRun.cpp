//===- LibraryRun.cpp - Kernels of libraries beside the CPU target's -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LibraryRun.h"
#include "DeviceRun.h"
#include "GpuHarness.h"
#include "KernelText.h"
#include "lib/Role/Context.h"
#include "transports/inproc/Inproc.h"

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

/// One run on a device, whose memory has a part for each buffer.
class DeviceRun {
public:
  DeviceRun(const std::vector<int64_t> &numBytes, const ObservedLibrary &library) {
    standin::reset();
    device = std::make_unique<testdevice::OpenDevice>();
    std::vector<rt::DeviceStage::Part> parts;
    for (int64_t bytes : numBytes)
      parts.push_back({"a buffer", bytes});
    EXPECT_TRUE(rt::DeviceStage::open(device->table, "stage 0", parts, rt::Watch(), stage).ok());
    kernels = std::make_unique<rt::CudaKernels>(*stage);
    EXPECT_TRUE(library.open(*kernels).ok());
    rt::ControlLayout layout;
    layout.numRoles = 1;
    EXPECT_TRUE(rt::InprocHub::create(layout, hub).ok());
    transport = hub->makeTransport();
    role.role_name = "stage-0";
    ctx = std::make_unique<rt_ctx>(role, *transport, hub->control(), rt::RoleOptions());
    ctx->cudaKernels = kernels.get();
  }
  ~DeviceRun() {
    ctx.reset(), kernels.reset(), stage.reset(), device.reset();
    standin::checkLeaks();
    EXPECT_EQ(testdevice::faultWords(), "");
  }

  /// What the kernel reports; empty if nothing.
  std::string call(rt_kernel_fn function, size_t numBuffers, const std::vector<int64_t> &symbols) {
    std::vector<void *> buffers;
    for (size_t i = 0; i < numBuffers; ++i)
      buffers.push_back(stage->part(i));
    function(ctx.get(), buffers.data(), symbols.data());
    rt::DeviceEvent event;
    const rt::Device &table = device->table;
    EXPECT_TRUE(rt::DeviceEvent::make(table, "a test", event).ok());
    EXPECT_EQ(table.mark(table.self, event.get(), stage->compute().handle), 0);
    EXPECT_TRUE(
        rt::awaitEvent(table, "a test", "compute", event.get(), rt::deadlineAfter(testdevice::kLong), rt::Watch())
            .ok());
    return ctx->kernelFailed ? ctx->kernelMessage : "";
  }

  std::unique_ptr<testdevice::OpenDevice> device;
  std::unique_ptr<rt::DeviceStage> stage;

private:
  std::unique_ptr<rt::CudaKernels> kernels;
  std::unique_ptr<rt::InprocHub> hub;
  std::unique_ptr<rt::Transport> transport;
  rt_role_desc role = {};
  std::unique_ptr<rt_ctx> ctx;
};

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
  DeviceRun run(numBytes, library);
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<unsigned char> bytes(numBytes[i]);
    for (int64_t k = 0; k < inputs[i].size(); ++k)
      storeElement(kernel.typeOf(i).getElementType(), inputs[i].values[k], bytes.data() + k * bytesOf(i));
    run.device->write(run.stage->part(i), bytes.data(), bytes.size());
  }
  failure = run.call(loaded.function, numBuffers + 1, symbols);
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

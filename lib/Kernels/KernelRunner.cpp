//===- KernelRunner.cpp - Compiled kernels run in this process --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Kernels/KernelRunner.h"
#include "Passes.h"

#include "penstock/Dialect/NN/IR/Extents.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"

#include <cstdlib>
#include <mutex>

using namespace penstock;
using namespace penstock::kernels;

/// Stands for the runtime's context: what a kernel has to say.
struct Report {
  std::string error;
};

/// `rt_check` of the runtime's header.
static int32_t check(Report *report, int64_t lhs, int64_t rhs, const char *what) {
  if (lhs != rhs && report->error.empty())
    report->error = llvm::formatv("{0} have extents {1} and {2}, expected them to be equal", what, lhs, rhs).str();
  return lhs == rhs ? 0 : -1;
}

KernelRunner::KernelRunner(std::unique_ptr<llvm::orc::LLJIT> jit) : jit(std::move(jit)) {}
KernelRunner::~KernelRunner() = default;

static constexpr llvm::StringLiteral kParallelFor = "rt_parallel_for";

/// rt_parallel_for without a runtime: the caller's thread does it all. The bits are the same.
static void runAsOnePart(void *, int64_t count, int64_t, void (*function)(void *, int64_t, int64_t, int32_t),
                         void *argument) {
  if (count > 0)
    function(argument, 0, count, 0);
}

llvm::Expected<std::unique_ptr<KernelRunner>> KernelRunner::create() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
  });
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  std::unique_ptr<KernelRunner> runner(new KernelRunner(std::move(*jit)));
  if (llvm::Error error = runner->define("rt_check", reinterpret_cast<void *>(&check)))
    return error;
  return runner;
}

llvm::Error KernelRunner::define(llvm::StringRef name, void *function) {
  hasParallelFor |= name == kParallelFor;
  llvm::orc::ExecutorSymbolDef symbol(llvm::orc::ExecutorAddr::fromPtr(function), llvm::JITSymbolFlags::Exported);
  return jit->getMainJITDylib().define(llvm::orc::absoluteSymbols({{jit->mangleAndIntern(name), symbol}}));
}

llvm::Error KernelRunner::add(const CompiledKernel &kernel) {
  if (functions.count(kernel.symbolName))
    return llvm::Error::success();
  if (!hasParallelFor)
    if (llvm::Error error = define(kParallelFor, reinterpret_cast<void *>(&runAsOnePart)))
      return error;
  auto bytes = llvm::MemoryBuffer::getMemBufferCopy(kernel.object, kernel.symbolName);
  if (llvm::Error error = jit->addObjectFile(std::move(bytes)))
    return error;
  auto address = jit->lookup(kernel.symbolName);
  if (!address)
    return address.takeError();
  functions[kernel.symbolName] = address->toPtr<void *>();
  return llvm::Error::success();
}

llvm::Error KernelRunner::run(const CompiledKernel &kernel, llvm::ArrayRef<void *> buffers,
                              llvm::ArrayRef<int64_t> symbols) {
  auto found = functions.find(kernel.symbolName);
  if (found == functions.end())
    return worldError("kernel '{0}' was not added to its runner", kernel.symbolName);
  std::optional<int64_t> bytes = nn::evaluate(kernel.workspaceBytes, symbols);
  if (!bytes || *bytes < 0)
    return userError("the workspace of kernel '{0}' has no size for the given extents", kernel.symbolName);
  std::unique_ptr<void, decltype(&std::free)> workspace(
      std::aligned_alloc(kAlignment, llvm::alignTo(std::max<int64_t>(*bytes, 1), kAlignment)), &std::free);
  if (!workspace)
    return worldError("out of memory: {0} bytes for the workspace of kernel '{1}'", *bytes, kernel.symbolName);
  llvm::SmallVector<void *> all(buffers.begin(), buffers.end());
  all.push_back(workspace.get());
  using Function = void (*)(void *, void *const *, const int64_t *);
  Report report;
  reinterpret_cast<Function>(found->second)(&report, all.data(), symbols.data());
  if (!report.error.empty())
    return userError("kernel '{0}': {1}", kernel.symbolName, report.error);
  return llvm::Error::success();
}

//===- CudaObjectTest.cpp - Objects of kernels for GPUs ---------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Target/TargetBackend.h"
#include "penstock/rt/CudaKernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/TargetSelect.h"

#include <gtest/gtest.h>

using namespace penstock;
using namespace mlir;

namespace {

/// Two launches: a softmax along rows, then a transpose.
constexpr const char *kText = R"(
nn.kernel_def @k(%0: tensor<?x64xf32, #nn.extents<[s0]>>) -> (tensor<64x?xf32, #nn.extents<[s0]>>) symbols 1 {
  %a = nn.softmax %0 axis 1 : tensor<?x64xf32, #nn.extents<[s0]>>
  %r = nn.transpose %a [1, 0] : tensor<?x64xf32, #nn.extents<[s0]>>
  nn.yield %r : tensor<64x?xf32, #nn.extents<[s0]>>
}
)";

struct Call {
  const rt_cuda_kernel *kernel;
  uint32_t function, sharedBytes;
  std::vector<uint32_t> grid;
  std::vector<uint64_t> arguments;
};

std::vector<Call> &calls() {
  static std::vector<Call> all;
  return all;
}

void recordLaunch(rt_ctx *, const rt_cuda_kernel *kernel, uint32_t function, const uint32_t *grid, uint32_t sharedBytes,
                  const uint64_t *arguments) {
  uint32_t count = kernel->functions[function].num_arguments;
  calls().push_back({kernel, function, sharedBytes, {grid, grid + 3}, {arguments, arguments + count}});
}

class CudaObject : public ::testing::Test {
protected:
  void SetUp() override {
    auto made = createCudaTarget("sm_80,sm_90");
    if (!made)
      GTEST_SKIP() << llvm::toString(made.takeError());
    target = std::move(*made);
    context.loadDialect<nn::NNDialect, func::FuncDialect>();
    module = parseSourceString<ModuleOp>(kText, ParserConfig(&context));
    ASSERT_TRUE(module);
    auto compiled = kernels::compileKernel(*module->getOps<nn::KernelDefOp>().begin(), target->getProfile(), nullptr,
                                           target->getGenerator());
    ASSERT_TRUE(succeeded(compiled));
    kernel = std::move(*compiled);
  }

  MLIRContext context;
  std::unique_ptr<TargetBackend> target;
  OwningOpRef<ModuleOp> module;
  kernels::CompiledKernel kernel;
};

} // namespace

TEST_F(CudaObject, LaunchesAsSymbolsSay) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  auto jit = llvm::cantFail(llvm::orc::LLJITBuilder().create());
  llvm::cantFail(jit->getMainJITDylib().define(llvm::orc::absoluteSymbols(
      {{jit->mangleAndIntern("rt_cuda_launch"),
        {llvm::orc::ExecutorAddr::fromPtr(&recordLaunch), llvm::JITSymbolFlags::Exported}}})));
  llvm::cantFail(jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(kernel.object, "kernel")));
  auto function = llvm::cantFail(jit->lookup(kernel.symbolName)).toPtr<rt_kernel_fn>();
  char memory[3];
  void *buffers[] = {&memory[0], &memory[1], &memory[2]};
  int64_t symbols[] = {100};
  function(nullptr, buffers, symbols);

  ASSERT_EQ(calls().size(), 2u);
  const rt_cuda_kernel &table = *calls()[0].kernel;
  EXPECT_EQ(calls()[1].kernel, &table);
  EXPECT_EQ(table.version, static_cast<uint32_t>(RT_CUDA_KERNEL_VERSION));
  EXPECT_STREQ(table.name, kernel.symbolName.c_str());
  EXPECT_STREQ(table.archs, "sm_80,sm_90");
  ASSERT_EQ(table.num_functions, 2u);
  auto word = [](void *pointer) { return reinterpret_cast<uint64_t>(pointer); };
  // Rows of 64 elements: a warp each, four to a block.
  const rt_cuda_function &rows = table.functions[0];
  EXPECT_EQ(rows.name, kernel.symbolName + "_0");
  EXPECT_EQ(std::vector<uint32_t>(rows.block, rows.block + 3), (std::vector<uint32_t>{32, 4, 1}));
  EXPECT_EQ(rows.static_shared_bytes, 0u);
  EXPECT_EQ(calls()[0].grid, (std::vector<uint32_t>{25, 1, 1}));
  EXPECT_EQ(calls()[0].arguments, (std::vector<uint64_t>{word(buffers[0]), word(buffers[2]), 100}));
  // Tiles of 32 x 32.
  const rt_cuda_function &tiles = table.functions[1];
  EXPECT_EQ(tiles.name, kernel.symbolName + "_1");
  EXPECT_EQ(std::vector<uint32_t>(tiles.block, tiles.block + 3), (std::vector<uint32_t>{32, 8, 1}));
  EXPECT_EQ(tiles.static_shared_bytes, 32u * 33 * 4);
  EXPECT_EQ(calls()[1].function, 1u);
  EXPECT_EQ(calls()[1].grid, (std::vector<uint32_t>{4 * 2, 1, 1}));
  EXPECT_EQ(calls()[1].sharedBytes, 0u);
  EXPECT_EQ(calls()[1].arguments, (std::vector<uint64_t>{word(buffers[1]), word(buffers[2]), 100}));
  // A fat binary begins with its magic number.
  ASSERT_GT(table.image_bytes, 16u);
  EXPECT_EQ(*static_cast<const uint32_t *>(table.image), 0xba55ed50u);
}

TEST_F(CudaObject, StandsInTheListOfKernels) {
  auto file =
      llvm::cantFail(llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(kernel.object, "kernel")));
  uint64_t numBytes = 0;
  for (const llvm::object::SectionRef &section : file->sections())
    if (llvm::cantFail(section.getName()) == "rt_cuda_kernels")
      numBytes = section.getSize();
  EXPECT_EQ(numBytes, sizeof(void *));
}

TEST_F(CudaObject, ReportsFiguresOfEachChip) {
  ASSERT_EQ(kernel.functions.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const kernels::DeviceFunction &function = kernel.functions[i];
    EXPECT_EQ(function.name, kernel.symbolName + "_" + std::to_string(i % 2));
    EXPECT_EQ(function.arch, i < 2 ? "sm_80" : "sm_90");
    EXPECT_EQ(function.threadsPerBlock, i % 2 ? 256 : 128);
    EXPECT_GT(function.numRegisters, 0);
    EXPECT_EQ(function.sharedBytes, i % 2 ? 32 * 33 * 4 : 0);
    EXPECT_EQ(function.spillStoreBytes + function.spillLoadBytes, 0);
  }
}

//===- GpuMachineTest.cpp - What the machine finds ----------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GpuHarness.h"
#include "KernelText.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace penstock;
using namespace penstock::test;
using namespace mlir;

namespace {

/// What the machine finds in a kernel with a planted fault.
std::string findingOf(const KernelText &text, const std::function<void(ModuleOp)> &alter,
                      const std::vector<int64_t> &symbols = {0, 0, 0, 0}) {
  Kernel::Observer observer;
  std::swap(observer, Kernel::getObserver());
  Kernel kernel(text.str());
  EXPECT_TRUE(kernel.ok()) << kernel.error;
  std::string finding;
  auto gpu = GpuKernel::create(kernel.op, alter);
  if (gpu)
    runOnMachine(kernel, **gpu, kernel.randomInputs(symbols), symbols, finding);
  else
    ADD_FAILURE() << llvm::toString(gpu.takeError());
  std::swap(observer, Kernel::getObserver());
  return finding;
}

std::string textOf(const KernelText &text) {
  Kernel kernel(text.str());
  auto gpu = GpuKernel::create(kernel.op);
  if (gpu)
    return (*gpu)->getText();
  ADD_FAILURE() << llvm::toString(gpu.takeError());
  return "";
}

template <typename Op> void eraseAll(ModuleOp module) {
  SmallVector<Op> ops;
  module.walk([&](Op op) { ops.push_back(op); });
  EXPECT_FALSE(ops.empty());
  for (Op op : ops)
    op.erase();
}

bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

KernelText unary(const std::string &type) { return {{type}, "%r = nn.unary neg %0 : " + type, {type}}; }

KernelText transpose() {
  std::string type = tensorType("40x50");
  return {{type}, "%r = nn.transpose %0 [1, 0] : " + type, {tensorType("50x40")}};
}

KernelText longSoftmax() {
  std::string type = tensorType("2x3000");
  return {{type}, "%r = nn.softmax %0 axis 1 : " + type, {type}};
}

} // namespace

TEST(GpuMachine, FindsNothingInSoundKernels) {
  for (const KernelText &text : {unary(tensorType("1000")), transpose(), longSoftmax()})
    EXPECT_EQ(findingOf(text, {}), "");
}

TEST(GpuMachine, FindsAccessesOutside) {
  // Without its guard the last block goes on behind the end: 1000 elements, 4 blocks of 256 threads.
  std::string finding = findingOf(unary(tensorType("1000")), [](ModuleOp module) {
    module.walk([](arith::CmpIOp compare) {
      OpBuilder b(compare);
      compare.replaceAllUsesWith(b.create<arith::ConstantOp>(compare.getLoc(), b.getBoolAttr(true)).getResult());
    });
  });
  EXPECT_TRUE(contains(finding, "outside: thread 232 of block 3 reads byte 4000 of 'input 0', which has 4000"))
      << finding;
}

TEST(GpuMachine, FindsRacesWithoutBarrier) {
  std::string finding = findingOf(transpose(), eraseAll<gpu::BarrierOp>);
  // A thread either reads what another has just written, or what nobody has written yet.
  EXPECT_TRUE(contains(finding, "race: ") || contains(finding, "unwritten: ")) << finding;
  EXPECT_TRUE(contains(finding, "of 'shared memory 0'")) << finding;
  finding = findingOf(longSoftmax(), eraseAll<gpu::BarrierOp>);
  EXPECT_TRUE(contains(finding, "race: ") || contains(finding, "unwritten: ")) << finding;
}

TEST(GpuMachine, FindsTwoBlocksAtOnePlace) {
  std::string finding = findingOf(unary(tensorType("1000")), [](ModuleOp module) {
    module.walk([](gpu::BlockIdOp block) {
      OpBuilder b(block);
      block.replaceAllUsesWith(b.create<arith::ConstantIndexOp>(block.getLoc(), 0).getResult());
    });
  });
  EXPECT_TRUE(contains(finding, "race: thread 0 of block 1 writes byte 0 of 'result 0', which thread 0 of block 0 "
                                "writes with no barrier between"))
      << finding;
}

TEST(GpuMachine, FindsBarriersThatSomeNeverReach) {
  std::string finding = findingOf(transpose(), [](ModuleOp module) {
    // Thread 0 of each row waits for the others twice.
    SmallVector<gpu::BarrierOp> barriers;
    module.walk([&](gpu::BarrierOp barrier) { barriers.push_back(barrier); });
    for (gpu::BarrierOp barrier : barriers) {
      OpBuilder b(barrier);
      Location loc = barrier.getLoc();
      Value x = b.create<gpu::ThreadIdOp>(loc, gpu::Dimension::x), one = b.create<arith::ConstantIndexOp>(loc, 1);
      Value first = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, x, one);
      auto branch = b.create<scf::IfOp>(loc, first, /*withElseRegion=*/false);
      b.setInsertionPoint(branch.thenBlock()->getTerminator());
      b.clone(*barrier);
    }
  });
  EXPECT_TRUE(contains(finding, "divergence: some threads of block 0 wait")) << finding;
}

TEST(GpuMachine, FindsReadsOfWhatNobodyWrote) {
  std::string type = tensorType("64x64");
  KernelText text{{type, type},
                  "%a = nn.matmul %0, %1 : " + type + ", " + type + "\n  %b = nn.softmax %a axis 0 : " + type +
                      "\n  %r = nn.matmul %b, %1 : " + type + ", " + type,
                  {type}};
  EXPECT_EQ(findingOf(text, {}), "");
  std::string finding = findingOf(text, [](ModuleOp module) {
    SmallVector<gpu::LaunchFuncOp> launches;
    module.walk([&](gpu::LaunchFuncOp launch) { launches.push_back(launch); });
    launches.front().erase();
  });
  EXPECT_TRUE(contains(finding, "unwritten: thread 0 of block 0 reads byte 0 of 'result 0', which nobody has written"))
      << finding;
}

TEST(GpuKernels, RowsAreOneLaunch) {
  for (const char *shape : {"6x100", "3x2000", "s0xs1"}) {
    std::string type = tensorType(shape),
                scale = tensorType(std::string(shape).substr(std::string(shape).find('x') + 1));
    KernelText softmax{{type}, "%r = nn.softmax %0 axis 1 : " + type, {type}};
    KernelText norm{
        {type, scale}, "%r = nn.layer_norm %0 scale %1 : " + scale + " axis 1 {epsilon = 1.0e-5} : " + type, {type}};
    for (const KernelText &text : {softmax, norm}) {
      std::string made = textOf(text);
      EXPECT_TRUE(contains(made, "gpu.shuffle")) << made;
      EXPECT_TRUE(contains(made, "gpu.func @f0")) << made;
      EXPECT_FALSE(contains(made, "gpu.func @f1")) << made;
    }
  }
}

TEST(GpuKernels, TransposesGoThroughSharedMemory) {
  for (const char *element : {"f32", "f16", "i64", "i1"}) {
    std::string type = tensorType("3x33xs0x40", element), result = tensorType("3x40xs0x33", element);
    KernelText text{{type}, "%r = nn.transpose %0 [0, 3, 2, 1] : " + type, {result}};
    EXPECT_TRUE(contains(textOf(text), "workgroup(")) << textOf(text);
    EXPECT_EQ(findingOf(text, {}, {5, 0, 0, 0}), "");
  }
}

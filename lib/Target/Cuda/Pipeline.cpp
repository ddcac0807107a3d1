//===- Pipeline.cpp - From linalg to functions of the device  -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Target/Cuda/Pipeline.h"
#include "Lowering.h"
#include "penstock/Kernels/CodeGenerator.h"
#include "penstock/Target/Cuda/Passes.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/FunctionCallUtils.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace penstock::cuda {
using namespace mlir;

void registerCudaDialects(DialectRegistry &registry) {
  registry.insert<gpu::GPUDialect, NVVM::NVVMDialect>();
  registerGPUDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
}

namespace {

/// Reshapes whose extents pass through a buffer of numbers become casts with these numbers: a device must not wait for
/// the host to write them.
class ResolveReshapesPass : public PassWrapper<ResolveReshapesPass, OperationPass<func::FuncOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ResolveReshapesPass)
  StringRef getArgument() const override { return "cuda-resolve-reshapes"; }

  void runOnOperation() override {
    getOperation().walk([](memref::ReshapeOp op) {
      SmallVector<Value> sizes(cast<MemRefType>(op.getType()).getRank());
      SmallVector<memref::StoreOp> stores;
      for (Operation *user : op.getShape().getUsers())
        if (auto store = dyn_cast<memref::StoreOp>(user))
          if (std::optional<int64_t> axis = getConstantIntValue(store.getIndices().front())) {
            sizes[*axis] = store.getValueToStore();
            stores.push_back(store);
          }
      if (llvm::is_contained(sizes, Value()) || !op.getShape().getDefiningOp<memref::AllocOp>())
        return;
      replace(op, sizes);
      Operation *buffer = op.getShape().getDefiningOp();
      op.erase();
      if (llvm::any_of(buffer->getUsers(), [](Operation *user) { return !isa<memref::StoreOp>(user); }))
        return;
      for (memref::StoreOp store : stores)
        store.erase();
      buffer->erase();
    });
  }

private:
  static void replace(memref::ReshapeOp op, ArrayRef<Value> sizes) {
    OpBuilder b(op);
    auto type = cast<MemRefType>(op.getType());
    SmallVector<OpFoldResult> extents, strides(sizes.size());
    for (auto [axis, size] : llvm::enumerate(sizes))
      extents.push_back(type.isDynamicDim(axis) ? OpFoldResult(size) : b.getIndexAttr(type.getDimSize(axis)));
    OpFoldResult stride = b.getIndexAttr(1);
    for (size_t axis = sizes.size(); axis-- > 0;) {
      strides[axis] = stride;
      Value inner = getValueOrCreateConstantIndexOp(b, op.getLoc(), stride);
      Value extent = getValueOrCreateConstantIndexOp(b, op.getLoc(), extents[axis]);
      stride = b.createOrFold<arith::MulIOp>(op.getLoc(), inner, extent);
    }
    SmallVector<int64_t> staticStrides;
    for (OpFoldResult &number : strides) {
      staticStrides.push_back(getConstantIntValue(number).value_or(ShapedType::kDynamic));
      if (staticStrides.back() != ShapedType::kDynamic)
        number = b.getIndexAttr(staticStrides.back());
    }
    auto layout = StridedLayoutAttr::get(op.getContext(), /*offset=*/0, staticStrides);
    auto strided = MemRefType::get(type.getShape(), type.getElementType(), layout);
    Value cast =
        b.create<memref::ReinterpretCastOp>(op.getLoc(), strided, op.getSource(), b.getIndexAttr(0), extents, strides);
    op.replaceAllUsesWith(b.create<memref::CastOp>(op.getLoc(), type, cast).getResult());
  }
};

/// Shuffles of 64 bits as two of 32.
class SplitShufflesPass : public PassWrapper<SplitShufflesPass, OperationPass<>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SplitShufflesPass)
  StringRef getArgument() const override { return "cuda-split-shuffles"; }
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateGpuShufflePatterns(patterns);
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

/// Mathematics that a GPU has instructions for, as intrinsics of LLVM. The rest calls functions of libdevice, here
/// those that the conversion to NVVM does not know.
class SelectMathPass : public PassWrapper<SelectMathPass, OperationPass<>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SelectMathPass)
  StringRef getArgument() const override { return "cuda-select-math"; }
  void getDependentDialects(DialectRegistry &registry) const override { registry.insert<LLVM::LLVMDialect>(); }

  void runOnOperation() override {
    getOperation()->walk([](Operation *op) {
      APFloat exponent(0.0);
      if (auto power = dyn_cast<math::PowFOp>(op);
          power && matchPattern(power.getRhs(), m_ConstantFloat(&exponent)) && exponent.convertToDouble() == 2) {
        OpBuilder b(op);
        power.replaceAllUsesWith(b.create<arith::MulFOp>(op->getLoc(), power.getLhs(), power.getLhs()).getResult());
        return op->erase();
      }
      if (StringRef function = getFunction(op); !function.empty())
        return callFunction(op, function);
      StringRef intrinsic = getIntrinsic(op);
      if (intrinsic.empty())
        return;
      OpBuilder b(op);
      SmallVector<Value> operands(op->getOperands());
      if (isa<math::AbsIOp, math::CountLeadingZerosOp, math::CountTrailingZerosOp>(op)) // every number has a result
        operands.push_back(b.create<LLVM::ConstantOp>(op->getLoc(), b.getBoolAttr(false)));
      auto call = b.create<LLVM::CallIntrinsicOp>(op->getLoc(), op->getResultTypes(), b.getStringAttr(intrinsic),
                                                  operands, LLVM::FastmathFlagsAttr());
      op->replaceAllUsesWith(call->getResults());
      op->erase();
    });
  }

private:
  /// Of libdevice, for f64.
  static StringRef getFunction(Operation *op) {
    return llvm::TypeSwitch<Operation *, StringRef>(op)
        .Case([](math::AcosOp) { return "__nv_acos"; })
        .Case([](math::AcoshOp) { return "__nv_acosh"; })
        .Case([](math::AsinOp) { return "__nv_asin"; })
        .Case([](math::AsinhOp) { return "__nv_asinh"; })
        .Case([](math::AtanhOp) { return "__nv_atanh"; })
        .Case([](math::CoshOp) { return "__nv_cosh"; })
        .Case([](math::SinhOp) { return "__nv_sinh"; })
        .Default([](Operation *) { return ""; });
  }

  /// With a number of f64, or of f32, which f16 and bf16 are extended to.
  static void callFunction(Operation *op, StringRef name) {
    OpBuilder b(op);
    Location loc = op->getLoc();
    Value number = op->getOperand(0);
    Type type = number.getType(), computed = type.isF64() ? type : b.getF32Type();
    if (type != computed)
      number = b.create<arith::ExtFOp>(loc, computed, number);
    LLVM::LLVMFuncOp function = LLVM::lookupOrCreateFn(op->getParentOfType<gpu::GPUModuleOp>(),
                                                       (name + (type.isF64() ? "" : "f")).str(), {computed}, computed);
    Value result = b.create<LLVM::CallOp>(loc, function, ValueRange{number}).getResult();
    if (type != computed)
      result = b.create<arith::TruncFOp>(loc, type, result);
    op->replaceAllUsesWith(ValueRange{result});
    op->erase();
  }

  static StringRef getIntrinsic(Operation *op) {
    return llvm::TypeSwitch<Operation *, StringRef>(op)
        .Case([](math::AbsFOp) { return "llvm.fabs"; })
        .Case([](math::AbsIOp) { return "llvm.abs"; })
        .Case([](math::CeilOp) { return "llvm.ceil"; })
        .Case([](math::CopySignOp) { return "llvm.copysign"; })
        .Case([](math::CountLeadingZerosOp) { return "llvm.ctlz"; })
        .Case([](math::CountTrailingZerosOp) { return "llvm.cttz"; })
        .Case([](math::CtPopOp) { return "llvm.ctpop"; })
        .Case([](math::FloorOp) { return "llvm.floor"; })
        .Case([](math::FmaOp) { return "llvm.fma"; })
        .Case([](math::RoundEvenOp) { return "llvm.roundeven"; })
        .Case([](math::RoundOp) { return "llvm.round"; })
        .Case([](math::SqrtOp) { return "llvm.sqrt"; })
        .Case([](math::TruncOp) { return "llvm.trunc"; })
        .Default([](Operation *) { return ""; });
  }
};

void addCleanup(OpPassManager &passes) {
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
}

} // namespace

void addBufferPasses(OpPassManager &passes) {
  kernels::addBufferPasses(passes);
  passes.addNestedPass<func::FuncOp>(std::make_unique<ResolveReshapesPass>());
  addCleanup(passes);
  passes.addNestedPass<func::FuncOp>(kernels::createPlaceTemporariesPass(/*maxStackBytes=*/0));
  addCleanup(passes);
}

void addDevicePasses(OpPassManager &passes) {
  passes.addPass(createCudaMapLaunchesPass());
  passes.addPass(createConvertLinalgToLoopsPass());
  passes.addPass(memref::createFoldMemRefAliasOpsPass());
  passes.addPass(memref::createExpandStridedMetadataPass());
  passes.addPass(createLowerAffinePass());
  addCleanup(passes);
}

void addNVVMPasses(OpPassManager &passes) {
  OpPassManager &device = passes.nest<gpu::GPUModuleOp>();
  device.addPass(kernels::createApproximateMathPass());
  device.addPass(std::make_unique<SplitShufflesPass>());
  device.addPass(arith::createArithExpandOpsPass());
  device.addPass(memref::createExpandOpsPass());
  addCleanup(device);
  device.addPass(createConvertSCFToCFPass());
  device.addPass(std::make_unique<SelectMathPass>());
  device.addPass(createConvertGpuOpsToNVVMOps());
  device.addPass(createReconcileUnrealizedCastsPass());
  addCleanup(device);
}

void registerCudaPipelines() {
  PassPipelineRegistration<>("cuda-to-buffers", "linalg on tensors to linalg on buffers, temporaries in the workspace",
                             addBufferPasses);
  PassPipelineRegistration<>("cuda-to-device", "linalg on buffers to launches of gpu.func ops", addDevicePasses);
  PassPipelineRegistration<>("cuda-to-nvvm", "gpu.func ops to the dialects of LLVM and NVVM", addNVVMPasses);
}

} // namespace penstock::cuda

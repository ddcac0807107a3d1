//===- Pipeline.cpp - Linalg on tensors to the LLVM dialect -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The order of passes, and the dialects with the interface implementations that they need.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"
#include "penstock/Conversion/NNToLinalg/NNToLinalg.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MathToLibm/MathToLibm.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/Affine/IR/ValueBoundsOpInterfaceImpl.h"
#include "mlir/Dialect/Arith/IR/ValueBoundsOpInterfaceImpl.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Transforms/SubsetInsertionOpInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Transforms/TilingInterfaceImpl.h"
#include "mlir/Dialect/MemRef/IR/ValueBoundsOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/ValueBoundsOpInterfaceImpl.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/TensorInferTypeOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/TensorTilingInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/ValueBoundsOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/SubsetInsertionOpInterfaceImpl.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::kernels;

void kernels::registerKernelDialects(DialectRegistry &registry) {
  registerLinalgDialects(registry);
  registry.insert<cf::ControlFlowDialect, index::IndexDialect, vector::VectorDialect>();
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerSubsetOpInterfaceExternalModels(registry);
  tensor::registerSubsetOpInterfaceExternalModels(registry);
  linalg::registerTilingInterfaceExternalModels(registry);
  tensor::registerTilingInterfaceExternalModels(registry);
  tensor::registerInferTypeOpInterfaceExternalModels(registry);
  affine::registerValueBoundsOpInterfaceExternalModels(registry);
  arith::registerValueBoundsOpInterfaceExternalModels(registry);
  memref::registerValueBoundsOpInterfaceExternalModels(registry);
  scf::registerValueBoundsOpInterfaceExternalModels(registry);
  tensor::registerValueBoundsOpInterfaceExternalModels(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

static void addCleanup(OpPassManager &passes) {
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
}

static void addFusion(OpPassManager &passes, const TargetProfile &) {
  addCleanup(passes);
  passes.addNestedPass<func::FuncOp>(createFuseElementwisePass());
  addCleanup(passes);
  passes.addNestedPass<func::FuncOp>(createWorkInPlacePass());
}

static void addBufferization(OpPassManager &passes, const TargetProfile &) {
  passes.addNestedPass<func::FuncOp>(createSeparateEmptiesPass());
  passes.addPass(bufferization::createEmptyTensorEliminationPass());
  passes.addPass(bufferization::createEmptyTensorToAllocTensorPass());
  bufferization::OneShotBufferizationOptions options;
  options.setFunctionBoundaryTypeConversion(bufferization::LayoutMapOption::IdentityLayoutMap);
  options.bufferAlignment = kAlignment;
  passes.addPass(bufferization::createOneShotBufferizePass(options));
  passes.addPass(memref::createResolveShapedTypeResultDimsPass());
  addCleanup(passes);
}

void kernels::addBufferPasses(OpPassManager &passes) {
  addFusion(passes, {});
  addBufferization(passes, {});
}

static void addLoops(OpPassManager &passes, const TargetProfile &profile) {
  passes.addPass(createTileContractionsPass(profile.vectorBits, profile.isParallel()));
  if (profile.isParallel())
    passes.addPass(createTileReductionsPass());
  passes.addPass(createPlaceTemporariesPass(kMaxStackBytes));
  passes.addPass(createTileTransposesPass(profile.isParallel()));
  passes.addNestedPass<func::FuncOp>(createLowerCopiesPass());
  passes.addPass(profile.isParallel() ? createConvertLinalgToParallelLoopsPass() : createConvertLinalgToLoopsPass());
  passes.addPass(memref::createFoldMemRefAliasOpsPass());
  passes.addPass(memref::createExpandStridedMetadataPass());
  passes.addPass(createLowerAffinePass());
  addCleanup(passes);
  if (profile.isParallel()) {
    passes.addPass(createOutlineParallelLoopsPass());
    addCleanup(passes);
  }
}

void kernels::addConversionToLLVM(OpPassManager &passes) {
  passes.addPass(createApproximateMathPass());
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true;
  passes.addPass(arith::createArithExpandOpsPass(expand));
  passes.addPass(memref::createExpandOpsPass());
  addCleanup(passes);
  passes.addPass(createConvertSCFToCFPass());
  ConvertMathToLLVMPassOptions math;
  math.approximateLog1p = false;
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createConvertMathToLLVMPass(math));
  passes.addPass(createConvertMathToLibmPass());
  passes.addPass(createFinalizeMemRefToLLVMConversionPass());
  passes.addPass(createConvertFuncToLLVMPass());
  passes.addPass(createArithToLLVMConversionPass());
  passes.addPass(createConvertIndexToLLVMPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  addCleanup(passes);
}

LogicalResult kernels::lowerModule(ModuleOp module, const TargetProfile &profile, KernelForm form) {
  PassManager passes(module.getContext(), ModuleOp::getOperationName(), OpPassManager::Nesting::Implicit);
  using AddPasses = void (*)(OpPassManager &, const TargetProfile &);
  static constexpr std::pair<KernelForm, AddPasses> parts[] = {
      {KernelForm::Fused, addFusion},
      {KernelForm::Buffers, addBufferization},
      {KernelForm::Loops, addLoops},
  };
  for (auto [made, add] : parts)
    if (made <= form)
      add(passes, profile);
  if (form >= KernelForm::LLVM)
    addConversionToLLVM(passes);
  return passes.run(module);
}

//===- SplitEpilogues.cpp - cuda-split-epilogues -------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CublasLtMatch.h"
#include "penstock/Dialect/NN/Transforms/MakeKernel.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Target/Cuda/Passes.h"

#include "llvm/ADT/SetVector.h"

namespace penstock::cuda {
#define GEN_PASS_DEF_CUDASPLITEPILOGUESPASS
#include "penstock/Target/Cuda/Passes.h.inc"

using namespace mlir;

namespace {

/// Ops of a body that make `value`, in order. `given`: is taken as it is.
SmallVector<Operation *> collectMakers(Block &body, ValueRange values, Value given = {}) {
  llvm::SmallPtrSet<Operation *, 16> needed;
  SmallVector<Value> open(values);
  while (!open.empty()) {
    Value value = open.pop_back_val();
    Operation *op = value.getDefiningOp();
    if (value == given || !op || op->getBlock() != &body || !needed.insert(op).second)
      continue;
    op->walk([&](Operation *nested) { open.append(nested->operand_begin(), nested->operand_end()); });
  }
  SmallVector<Operation *> ordered;
  for (Operation &op : body)
    if (needed.contains(&op))
      ordered.push_back(&op);
  return ordered;
}

/// A kernel of `ops`, which yields `values`. `given`: a value of the old body that is `made` outside.
nn::KernelOp makePart(OpBuilder &builder, nn::KernelOp kernel, StringRef name, ArrayRef<Operation *> ops,
                      ValueRange values, Value given = {}, Value made = {}) {
  Block &body = kernel.getBody().front();
  llvm::SetVector<Value> used; ///< values of the old body that come from outside
  for (Operation *op : ops)
    op->walk([&](Operation *nested) {
      for (Value operand : nested->getOperands())
        if (auto argument = dyn_cast<BlockArgument>(operand);
            operand == given || (argument && argument.getOwner() == &body))
          used.insert(operand);
    });
  SmallVector<Value> inputs;
  for (Value value : used)
    inputs.push_back(value == given ? made : kernel.getInputs()[cast<BlockArgument>(value).getArgNumber()]);
  return nn::makeKernel(builder, kernel.getLoc(), name, /*shared=*/{}, ops, used.getArrayRef(), inputs, values);
}

/// The tensor that `value` is in the model, or a name of its own.
std::string nameOf(nn::KernelOp kernel, Value value) {
  auto tensor = value.getDefiningOp()->getAttrOfType<StringAttr>(nn::kTensorAttr);
  return tensor && tensor != kernel.getNameAttr() ? tensor.str() : (kernel.getName() + ".product").str();
}

bool split(nn::KernelOp kernel) {
  Block &body = kernel.getBody().front();
  Value end = findCublasLtEnd(body);
  ValueRange results = body.getTerminator()->getOperands();
  if (!end || kernel.getDefines() || llvm::is_contained(results, end))
    return false;
  OpBuilder builder(kernel);
  nn::KernelOp product = makePart(builder, kernel, nameOf(kernel, end), collectMakers(body, end), end);
  nn::KernelOp rest = makePart(builder, kernel, kernel.getName(), collectMakers(body, results, end), results, end,
                               product.getResult(0));
  kernel.replaceAllUsesWith(rest);
  kernel.erase();
  return true;
}

struct CudaSplitEpiloguesPass : impl::CudaSplitEpiloguesPassBase<CudaSplitEpiloguesPass> {
  void runOnOperation() override {
    SmallVector<nn::KernelOp> kernels;
    getOperation().walk([&](nn::KernelOp kernel) { kernels.push_back(kernel); });
    for (nn::KernelOp kernel : kernels)
      numSplit += split(kernel);
  }
};

} // namespace
} // namespace penstock::cuda

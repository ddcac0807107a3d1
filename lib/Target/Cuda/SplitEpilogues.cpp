//===- SplitEpilogues.cpp - cuda-split-epilogues -------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CublasLtMatch.h"
#include "CudnnMatch.h"
#include "penstock/Dialect/NN/Transforms/MakeKernel.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Target/Cuda/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
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

LibraryEnd findEnd(nn::KernelOp kernel) {
  Block &body = kernel.getBody().front();
  LibraryEnd end;
  if (!kernel.getDefines())
    end = findCublasLtEnd(body);
  if (!end.value && !kernel.getDefines())
    end = findCudnnEnd(body);
  return end;
}

bool split(nn::KernelOp kernel, Value end) {
  Block &body = kernel.getBody().front();
  ValueRange results = body.getTerminator()->getOperands();
  if (llvm::is_contained(results, end))
    return false;
  OpBuilder builder(kernel);
  nn::KernelOp product = makePart(builder, kernel, nameOf(kernel, end), collectMakers(body, end), end);
  nn::KernelOp rest = makePart(builder, kernel, kernel.getName(), collectMakers(body, results, end), results, end,
                               product.getResult(0));
  kernel.replaceAllUsesWith(rest);
  kernel.erase();
  return true;
}

/// Makes constants in kernels weights, which have memory on the device.
class ConstantOutliner {
public:
  explicit ConstantOutliner(ModuleOp module) : symbols(module), builder(module.getContext()) {}

  void run(nn::KernelOp kernel, nn::ConstantOp constant) {
    Location loc = constant.getLoc();
    builder.setInsertionPoint(kernel->getParentOfType<func::FuncOp>());
    auto weight =
        builder.create<nn::WeightOp>(loc, builder.getStringAttr("constant"), TypeAttr::get(constant.getType()),
                                     nn::FileRangeAttr(), FlatSymbolRefAttr::get(makeKernel(constant)),
                                     builder.getArrayAttr({}), FlatSymbolRefAttr(), nn::PackingAttr(), StringAttr());
    StringAttr name = symbols.insert(weight);
    builder.setInsertionPoint(kernel);
    auto load = builder.create<nn::LoadWeightOp>(loc, constant.getType(), FlatSymbolRefAttr::get(name));
    kernel.getInputsMutable().append(load.getResult());
    constant.replaceAllUsesWith(kernel.getBody().addArgument(constant.getType(), loc));
    constant.erase();
  }

private:
  /// What computes the weight when the executables are linked.
  StringAttr makeKernel(nn::ConstantOp constant) {
    Location loc = constant.getLoc();
    auto kernel = builder.create<nn::KernelDefOp>(loc, builder.getStringAttr("init"), builder.getI64IntegerAttr(0),
                                                  /*sym_visibility=*/StringAttr());
    OpBuilder inner = OpBuilder::atBlockEnd(&kernel.getBody().emplaceBlock());
    Value value = inner.clone(*constant)->getResult(0);
    auto identity = nn::UnaryKindAttr::get(builder.getContext(), nn::UnaryKind::identity);
    Value copy = inner.create<nn::UnaryOp>(loc, identity, value, FloatAttr(), FloatAttr());
    inner.create<nn::YieldOp>(loc, copy);
    return symbols.insert(kernel);
  }

  SymbolTable symbols;
  OpBuilder builder;
};

struct CudaSplitEpiloguesPass : impl::CudaSplitEpiloguesPassBase<CudaSplitEpiloguesPass> {
  void runOnOperation() override {
    SmallVector<nn::KernelOp> kernels;
    getOperation().walk([&](nn::KernelOp kernel) { kernels.push_back(kernel); });
    ConstantOutliner outliner(getOperation());
    for (nn::KernelOp kernel : kernels) {
      LibraryEnd end = findEnd(kernel);
      if (!end.value)
        continue;
      for (nn::ConstantOp constant : end.constants)
        outliner.run(kernel, constant);
      numOutlined += end.constants.size();
      numSplit += split(kernel, end.value);
    }
  }
};

} // namespace
} // namespace penstock::cuda

//===- OutlineConstants.cpp - nn-outline-constants -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

namespace penstock::nn {
#define GEN_PASS_DEF_OUTLINECONSTANTSPASS
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

namespace {

class Outliner {
public:
  Outliner(ModuleOp module, func::FuncOp function) : module(module), function(function), symbols(module) {}

  void run() {
    SmallVector<Value> frontier;
    for (Operation &op : function.getBody().front()) {
      if (isConstant(&op))
        constant.insert(&op);
    }
    for (Operation *op : constant)
      for (Value result : op->getResults())
        if (computes(op) && usedOutside(result))
          frontier.push_back(result);
    for (Value value : frontier)
      outline(value);
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
  }

  unsigned numDerived = 0;

private:
  static bool computes(Operation *op) { return !isa<ConstantOp, LoadWeightOp>(op); }

  /// Constants, weights, and pure ops of static results over nothing but these. Uniform values stay as they are: an op
  /// without operands is cheap wherever it is needed.
  bool isConstant(Operation *op) {
    if (!computes(op))
      return true;
    if (op->getNumOperands() == 0 || op->getNumRegions() != 0 || !isPure(op))
      return false;
    bool isStatic = llvm::all_of(op->getResultTypes(), [](Type type) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      return tensor && tensor.hasStaticShape();
    });
    return isStatic && llvm::all_of(op->getOperands(), [&](Value operand) {
             return operand.getDefiningOp() && constant.contains(operand.getDefiningOp());
           });
  }

  bool usedOutside(Value value) {
    return llvm::any_of(value.getUsers(), [&](Operation *user) { return !constant.contains(user); });
  }

  void outline(Value value) {
    SetVector<Operation *> slice;
    collect(value.getDefiningOp(), slice);
    SmallVector<Operation *> ordered(slice.begin(), slice.end());
    llvm::sort(ordered, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });

    Location loc = value.getLoc();
    OpBuilder builder(function);
    auto kernel = builder.create<KernelDefOp>(loc, builder.getStringAttr("init"), builder.getI64IntegerAttr(0),
                                              /*sym_visibility=*/StringAttr());
    Block &body = kernel.getBody().emplaceBlock();
    OpBuilder inner = OpBuilder::atBlockEnd(&body);
    IRMapping mapping;
    SmallVector<Attribute> operands;
    for (Operation *op : ordered) {
      if (auto load = dyn_cast<LoadWeightOp>(op)) {
        mapping.map(load.getResult(), body.addArgument(load.getType(), load.getLoc()));
        operands.push_back(load.getWeightAttr());
      } else {
        inner.clone(*op, mapping);
      }
    }
    inner.create<YieldOp>(loc, ValueRange{mapping.lookup(value)});
    StringAttr kernelName = symbols.insert(kernel);

    auto weight =
        builder.create<WeightOp>(loc, builder.getStringAttr("derived"), TypeAttr::get(value.getType()), FileRangeAttr(),
                                 FlatSymbolRefAttr::get(kernelName), builder.getArrayAttr(operands),
                                 FlatSymbolRefAttr(), PackingAttr(), StringAttr());
    StringAttr weightName = symbols.insert(weight);
    OpBuilder here(value.getDefiningOp());
    auto load = here.create<LoadWeightOp>(loc, value.getType(), FlatSymbolRefAttr::get(weightName));
    value.replaceUsesWithIf(load, [&](OpOperand &use) { return !constant.contains(use.getOwner()); });
    ++numDerived;
  }

  void collect(Operation *op, SetVector<Operation *> &slice) {
    SmallVector<Operation *> pending{op};
    while (!pending.empty()) {
      Operation *next = pending.pop_back_val();
      if (!slice.insert(next))
        continue;
      for (Value operand : next->getOperands())
        pending.push_back(operand.getDefiningOp());
    }
  }

  ModuleOp module;
  func::FuncOp function;
  SymbolTable symbols;
  SetVector<Operation *> constant;
};

struct OutlineConstantsPass : impl::OutlineConstantsPassBase<OutlineConstantsPass> {
  void runOnOperation() override {
    auto function = getOperation().lookupSymbol<func::FuncOp>(kEntryName);
    if (!function || !llvm::hasSingleElement(function.getBody())) {
      getOperation().emitError() << "has no function '" << kEntryName << "' of one block; expected an imported model";
      return signalPassFailure();
    }
    Outliner outliner(getOperation(), function);
    outliner.run();
    numDerived += outliner.numDerived;
  }
};

} // namespace
} // namespace penstock::nn

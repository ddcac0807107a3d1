//===- CutKernel.cpp - Where kernels end ---------------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CutKernel.h"
#include "penstock/Dialect/NN/Transforms/MakeKernel.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallPtrSet.h"

namespace penstock::cuda {
using namespace mlir;

namespace {

class Cutter {
public:
  explicit Cutter(nn::KernelOp kernel) : kernel(kernel), body(kernel.getBody().front()), builder(kernel) {
    for (auto [argument, input] : llvm::zip_equal(body.getArguments(), kernel.getInputs()))
      made[argument] = input;
  }

  /// A kernel that yields `values`, from what is made so far.
  nn::KernelOp makePart(StringRef name, ValueRange values) {
    SmallVector<Operation *> ops = collectMakers(values);
    llvm::SetVector<Value> used; ///< values of the old body that come from outside of the part
    for (Operation *op : ops)
      op->walk([&](Operation *nested) {
        for (Value operand : nested->getOperands())
          if (made.contains(operand))
            used.insert(operand);
      });
    SmallVector<Value> inputs = llvm::map_to_vector(used, [&](Value value) { return made.lookup(value); });
    return nn::makeKernel(builder, kernel.getLoc(), name, /*shared=*/{}, ops, used.getArrayRef(), inputs, values);
  }

  void setMade(Value value, Value outside) { made[value] = outside; }
  Value getMade(Value value) const { return made.lookup(value); }

private:
  /// Ops of the body that make `values` from what is made, in order.
  SmallVector<Operation *> collectMakers(ValueRange values) {
    llvm::SmallPtrSet<Operation *, 16> needed;
    SmallVector<Value> open(values);
    while (!open.empty()) {
      Value value = open.pop_back_val();
      Operation *op = value.getDefiningOp();
      if (made.contains(value) || !op || op->getBlock() != &body || !needed.insert(op).second)
        continue;
      op->walk([&](Operation *nested) { open.append(nested->operand_begin(), nested->operand_end()); });
    }
    SmallVector<Operation *> ordered;
    for (Operation &op : body)
      if (needed.contains(&op))
        ordered.push_back(&op);
    return ordered;
  }

  nn::KernelOp kernel;
  Block &body;
  OpBuilder builder;
  DenseMap<Value, Value> made; ///< values of the old body, and what they are outside
};

} // namespace

SmallVector<nn::KernelOp> cutKernel(nn::KernelOp kernel, ArrayRef<Cut> cuts) {
  Cutter cutter(kernel);
  SmallVector<nn::KernelOp> parts;
  for (const Cut &cut : cuts) {
    parts.push_back(cutter.makePart(cut.name, cut.value));
    cutter.setMade(cut.value, parts.back().getResult(0));
  }
  SmallVector<unsigned> left; ///< results of the kernel that no cut makes
  ValueRange results = kernel.getBody().front().getTerminator()->getOperands();
  for (auto [i, value] : llvm::enumerate(results)) {
    if (Value outside = cutter.getMade(value))
      kernel.getResult(i).replaceAllUsesWith(outside);
    else
      left.push_back(i);
  }
  parts.push_back(cutter.makePart(kernel.getName(), llvm::map_to_vector(left, [&](unsigned i) { return results[i]; })));
  for (auto [i, value] : llvm::zip_equal(left, parts.back().getResults()))
    kernel.getResult(i).replaceAllUsesWith(value);
  kernel.erase();
  return parts;
}

bool joinCasts(nn::KernelOp kernel, function_ref<bool(nn::KernelOp)> mayRead) {
  Block &body = kernel.getBody().front();
  auto isCast = [](Operation &op) { return isa<nn::CastOp, nn::ReshapeOp>(op); };
  if (kernel.getNumResults() != 1 || !kernel->hasOneUse() || !llvm::all_of(body.without_terminator(), isCast))
    return false;
  OpOperand &use = *kernel->use_begin();
  auto reader = dyn_cast<nn::KernelOp>(use.getOwner());
  if (!reader || !mayRead(reader))
    return false;
  unsigned number = use.getOperandNumber();
  Block &readerBody = reader.getBody().front();
  IRMapping mapping;
  for (auto [argument, input] : llvm::zip_equal(body.getArguments(), kernel.getInputs())) {
    reader.getInputsMutable().append(input);
    mapping.map(argument, readerBody.addArgument(argument.getType(), argument.getLoc()));
  }
  OpBuilder builder = OpBuilder::atBlockBegin(&readerBody);
  SmallVector<Attribute> tensors;
  for (nn::KernelOp part : {reader, kernel})
    if (auto list = part->getAttrOfType<ArrayAttr>(nn::kTensorsAttr))
      llvm::append_range(tensors, list);
  reader->setAttr(nn::kTensorsAttr, builder.getArrayAttr(tensors));
  for (Operation &op : body.without_terminator())
    builder.clone(op, mapping);
  readerBody.getArgument(number).replaceAllUsesWith(mapping.lookup(body.getTerminator()->getOperand(0)));
  readerBody.eraseArgument(number);
  reader.getInputsMutable().erase(number);
  kernel.erase();
  return true;
}

} // namespace penstock::cuda

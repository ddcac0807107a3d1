//===- BatchAnalysis.cpp - Which axis carries the batch -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/Transforms/BatchAnalysis.h"

#include "BatchRules.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

namespace {

class Prover {
public:
  Prover(func::FuncOp entry, BatchProof &proof) : entry(entry), proof(proof) {}

  void prove();

private:
  bool seedInputs();
  bool visitBlock(Block &block);
  bool visit(Operation *op);
  bool fail(Operation *op, std::string reason) {
    proof.mixing = op;
    proof.reason = std::move(reason);
    return false;
  }

  func::FuncOp entry;
  BatchProof &proof;
  DenseMap<Value, Carry> carries;
};

/// ONNX tensor or node of an op, for messages.
std::string getName(Operation *op) {
  if (auto tensor = op->getAttrOfType<StringAttr>(nn::kTensorAttr))
    return "'" + tensor.str() + "' (" + op->getName().getStringRef().str() + ")";
  if (auto name = dyn_cast<NameLoc>(op->getLoc()))
    return "'" + name.getName().str() + "' (" + op->getName().getStringRef().str() + ")";
  return "'" + op->getName().getStringRef().str() + "'";
}

/// The batch is one whole axis of an input: a symbol on any axis, a static extent on the leading one.
bool Prover::seedInputs() {
  AffineExpr one = getAffineConstantExpr(1, entry.getContext());
  bool isStatic = isa<AffineConstantExpr>(proof.batch), hasAny = false;
  for (BlockArgument argument : entry.getArguments()) {
    SmallVector<AffineExpr> extents = nn::getExtents(cast<RankedTensorType>(argument.getType()));
    Carry carry{-1, one, one};
    for (auto [axis, extent] : llvm::enumerate(extents)) {
      if (extent != proof.batch || (isStatic && axis > 0))
        continue;
      if (carry.hasRows())
        return fail(nullptr, "input " + std::to_string(argument.getArgNumber()) + " has the batch on two axes");
      carry.axis = axis;
    }
    if (!carry.hasRows() && mentionsBatch(argument.getType(), proof.batch))
      return fail(nullptr, "input " + std::to_string(argument.getArgNumber()) + " has the batch inside of an extent");
    carries[argument] = carry;
    proof.inputAxes.push_back(carry.axis);
    hasAny |= carry.hasRows();
  }
  return hasAny || fail(nullptr, "no input has the batch on an axis of its own");
}

bool Prover::visit(Operation *op) {
  if (auto kernel = dyn_cast<nn::KernelOp>(op)) {
    Block &body = kernel.getBody().front();
    for (auto [argument, input] : llvm::zip(body.getArguments(), kernel.getInputs()))
      carries[argument] = carries.lookup(input);
    if (!visitBlock(body))
      return false;
    for (auto [result, value] : llvm::zip(kernel->getResults(), body.getTerminator()->getOperands()))
      carries[result] = carries.lookup(value);
    return true;
  }
  SmallVector<Carry> operands;
  for (Value operand : op->getOperands())
    operands.push_back(carries.lookup(operand));
  bool hasRows = llvm::any_of(operands, [](const Carry &carry) { return carry.hasRows(); });
  if (op->getNumRegions() > 0) {
    // What lies in a region may read rows from outside: only a region that reads none is known to keep them apart.
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        hasRows |= carries.lookup(operand).hasRows();
    });
    return !hasRows || fail(op, getName(op) + " decides by, or computes on, rows in a region");
  }
  std::optional<SmallVector<Carry>> results = applyBatchRule(op, operands, proof.batch);
  if (!results)
    return fail(op, hasRows ? getName(op) + " is not known to keep the rows of the batch apart"
                            : getName(op) + " depends on the number of rows");
  for (auto [result, carry] : llvm::zip(op->getResults(), *results))
    carries[result] = carry;
  return true;
}

bool Prover::visitBlock(Block &block) {
  for (Operation &op : block.without_terminator())
    if (!visit(&op))
      return false;
  return true;
}

void Prover::prove() {
  Block &body = entry.getBody().front();
  if (!seedInputs() || !visitBlock(body))
    return;
  bool hasAny = false;
  for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands())) {
    Carry carry = carries.lookup(value);
    bool isWhole = !carry.hasRows() || (nn::getConstant(carry.outer) == 1 && nn::getConstant(carry.inner) == 1);
    if (!isWhole || carry.numbers != RowNumbers::None) {
      fail(nullptr, "output " + std::to_string(i) +
                        (isWhole ? " has the numbers of the rows" : " has the batch inside of an extent"));
      return;
    }
    proof.outputAxes.push_back(carry.axis);
    hasAny |= carry.hasRows();
  }
  proof.isProved = hasAny || fail(nullptr, "no output has rows of the batch");
}

/// One row on the leading axis of everything that has axes.
bool isOneRow(TypeRange types) {
  return llvm::all_of(types, [](Type type) {
    auto tensor = cast<RankedTensorType>(type);
    return tensor.getRank() > 0 && tensor.getDimSize(0) == 1;
  });
}

/// Leading extents that are a symbol (or, with `isStatic`, a constant), in order.
llvm::SetVector<AffineExpr> getLeading(TypeRange types, bool isStatic) {
  llvm::SetVector<AffineExpr> result;
  for (Type type : types) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    AffineExpr extent = tensor && tensor.getRank() > 0 ? nn::getExtent(tensor, 0) : AffineExpr();
    if (extent && (isStatic ? isa<AffineConstantExpr>(extent) : isa<AffineSymbolExpr>(extent)))
      result.insert(extent);
  }
  return result;
}

/// The leading extent that inputs and outputs share; of several, the first.
AffineExpr chooseBatch(func::FuncOp entry) {
  for (bool isStatic : {false, true}) {
    llvm::SetVector<AffineExpr> inputs = getLeading(entry.getArgumentTypes(), isStatic);
    llvm::SetVector<AffineExpr> outputs = getLeading(entry.getResultTypes(), isStatic);
    for (AffineExpr extent : inputs)
      if (outputs.contains(extent))
        return extent;
  }
  return {};
}

} // namespace

BatchProof pipe::proveBatch(func::FuncOp entry, StringRef batchSymbol) {
  BatchProof proof;
  if (batchSymbol.empty()) {
    proof.batch = chooseBatch(entry);
    if (!proof.batch)
      proof.reason = "inputs and outputs share no leading extent";
  } else {
    auto symbol = entry->getParentOfType<ModuleOp>().lookupSymbol<nn::SymbolOp>(batchSymbol);
    if (symbol)
      proof.batch = getAffineSymbolExpr(symbol.getIndex(), entry.getContext());
    else
      proof.reason = ("the model has no dimension '" + batchSymbol + "'").str();
  }
  if (!proof.batch)
    return proof;
  Prover(entry, proof).prove();
  if (!proof.isProved && nn::getConstant(proof.batch) == 1 && isOneRow(entry.getArgumentTypes()) &&
      isOneRow(entry.getResultTypes())) {
    proof.isProved = true;
    proof.inputAxes.assign(entry.getNumArguments(), 0);
    proof.outputAxes.assign(entry.getNumResults(), 0);
    proof.mixing = nullptr;
    proof.reason.clear();
  }
  return proof;
}

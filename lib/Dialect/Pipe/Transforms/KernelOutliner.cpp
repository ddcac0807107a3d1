//===- KernelOutliner.cpp - Kernels as symbols, each structure once -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Which expressions become a kernel's own symbols: the extents of its operands, whole, so that a layer which sees `s1 *
// 2` and one which sees `s1` share code; where an expression inside can not be written over these, the symbols that it
// needs become symbols of the kernel and the extents that contain them are dropped. Where the types then no longer
// agree (a simplification of the original does not hold between independent symbols), the module's symbols are used one
// by one.
//===----------------------------------------------------------------------===//
#include "KernelOutliner.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"

#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

namespace {

/// A list of expressions that become symbols 0, 1, ... of a kernel.
using Choice = llvm::SmallSetVector<AffineExpr, 8>;

/// `expr` over the chosen symbols. Symbols of the module that are left are added to `missing`.
AffineExpr rewrite(AffineExpr expr, const Choice &choice, Choice &missing) {
  for (auto [i, chosen] : llvm::enumerate(choice))
    if (expr == chosen)
      return getAffineSymbolExpr(i, expr.getContext());
  if (isa<AffineSymbolExpr>(expr))
    missing.insert(expr);
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return expr;
  AffineExpr lhs = rewrite(binary.getLHS(), choice, missing), rhs = rewrite(binary.getRHS(), choice, missing);
  return getAffineBinaryOpExpr(expr.getKind(), lhs, rhs);
}

/// Every expression that occurs in types and attributes of the kernel.
Choice collectExpressions(nn::KernelOp kernel) {
  Choice exprs;
  AttrTypeWalker walker;
  walker.addWalk([&](nn::ExtentsAttr extents) {
    for (AffineExpr expr : extents.getExprs())
      exprs.insert(expr);
  });
  for (BlockArgument argument : kernel.getBody().getArguments())
    walker.walk(argument.getType());
  kernel.getBody().walk([&](Operation *op) {
    walker.walk(op->getAttrDictionary());
    for (Type type : op->getResultTypes())
      walker.walk(type);
    for (Region &region : op->getRegions())
      for (BlockArgument argument : region.getArguments())
        walker.walk(argument.getType());
  });
  return exprs;
}

/// The module's symbols that occur, ascending: a choice that always works.
Choice chooseSymbols(const Choice &exprs) {
  Choice none, symbols;
  for (AffineExpr expr : exprs)
    rewrite(expr, none, symbols);
  SmallVector<AffineExpr> sorted(symbols.begin(), symbols.end());
  llvm::sort(sorted, [](AffineExpr lhs, AffineExpr rhs) {
    return cast<AffineSymbolExpr>(lhs).getPosition() < cast<AffineSymbolExpr>(rhs).getPosition();
  });
  return Choice(sorted.begin(), sorted.end());
}

/// Whole extents of operands where they suffice.
Choice chooseExtents(nn::KernelOp kernel, const Choice &exprs) {
  Choice choice;
  for (BlockArgument argument : kernel.getBody().getArguments())
    for (AffineExpr extent : nn::getExtents(cast<RankedTensorType>(argument.getType())))
      if (extent && !isa<AffineConstantExpr>(extent))
        choice.insert(extent);
  while (true) {
    Choice missing;
    for (AffineExpr expr : exprs)
      rewrite(expr, choice, missing);
    if (missing.empty())
      return choice;
    choice.remove_if([&](AffineExpr expr) {
      return llvm::any_of(missing, [&](AffineExpr symbol) {
        return expr.isFunctionOfSymbol(cast<AffineSymbolExpr>(symbol).getPosition());
      });
    });
    choice.insert(missing.begin(), missing.end());
  }
}

bool hasOnlySymbols(const Choice &choice) {
  return llvm::all_of(choice, [](AffineExpr expr) { return isa<AffineSymbolExpr>(expr); });
}

/// Puts the chosen symbols in the place of the module's, in all types and attributes.
void replaceExpressions(nn::KernelDefOp def, const Choice &choice) {
  Choice missing;
  AttrTypeReplacer replacer;
  replacer.addReplacement([&](nn::ExtentsAttr extents) -> std::optional<Attribute> {
    SmallVector<AffineExpr> exprs;
    for (AffineExpr expr : extents.getExprs())
      exprs.push_back(nn::simplifyExtent(rewrite(expr, choice, missing)));
    return nn::ExtentsAttr::get(extents.getContext(), exprs);
  });
  replacer.recursivelyReplaceElementsIn(def, /*replaceAttrs=*/true, /*replaceLocs=*/false, /*replaceTypes=*/true);
}

/// A definition that is in no module yet.
nn::KernelDefOp buildDef(nn::KernelOp kernel, const Choice &choice) {
  OpBuilder builder(kernel.getContext());
  OperationState state(kernel.getLoc(), nn::KernelDefOp::getOperationName());
  state.addAttribute("sym_name", builder.getStringAttr("k"));
  state.addAttribute("num_symbols", builder.getI64IntegerAttr(choice.size()));
  // What is said of one place in the graph is no part of the structure.
  const StringRef ofPlace[] = {PipeDialect::getStageIdAttrName(), kSecondsAttr, nn::kTensorsAttr, kCloneOfAttr};
  for (NamedAttribute attribute : kernel->getDiscardableAttrs())
    if (!llvm::is_contained(ofPlace, attribute.getName().getValue()))
      state.addAttribute(attribute.getName(), attribute.getValue());
  state.addRegion();
  auto def = cast<nn::KernelDefOp>(Operation::create(state));
  IRMapping mapping;
  kernel.getBody().cloneInto(&def.getBody(), mapping);
  def.walk([](Operation *op) {
    op->removeDiscardableAttr(nn::kTensorAttr);
    op->removeDiscardableAttr(nn::kOnnxStageAttr);
    op->removeDiscardableAttr(nn::kOnnxNodesAttr);
  });
  replaceExpressions(def, choice);
  return def;
}

/// True if the definition is valid in itself and the call has the types of the original.
bool fits(nn::KernelDefOp def, nn::KernelOp kernel, const Choice &choice) {
  ScopedDiagnosticHandler quiet(kernel.getContext(), [](Diagnostic &) { return success(); });
  if (failed(verify(def)))
    return false;
  auto isSame = [&](TypeRange local, TypeRange original) {
    return llvm::all_of(llvm::zip(local, original), [&](auto pair) {
      return nn::replaceSymbols(cast<RankedTensorType>(std::get<0>(pair)), choice.getArrayRef()) == std::get<1>(pair);
    });
  };
  return isSame(def.getBody().getArgumentTypes(), kernel.getInputs().getTypes()) &&
         isSame(def.getResultTypes(), kernel.getResultTypes());
}

/// The structure as text, without names and locations.
std::string getStructure(nn::KernelDefOp def) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  OpPrintingFlags flags;
  flags.enableDebugInfo(false).printGenericOpForm().useLocalScope();
  def->print(stream, flags);
  return text;
}

} // namespace

OutlinedKernel KernelOutliner::outline(nn::KernelOp kernel) {
  Choice exprs = collectExpressions(kernel);
  Choice choice = chooseExtents(kernel, exprs);
  if (hasOnlySymbols(choice))
    choice = chooseSymbols(exprs);
  nn::KernelDefOp def = buildDef(kernel, choice);
  if (!hasOnlySymbols(choice) && !fits(def, kernel, choice)) {
    def->destroy();
    choice = chooseSymbols(exprs);
    def = buildDef(kernel, choice);
  }
  SmallVector<AffineExpr> symbols(choice.begin(), choice.end());
  auto [entry, isNew] = names.try_emplace(getStructure(def));
  if (!isNew) {
    def->destroy();
    return {entry->second, symbols};
  }
  def.setSymName("k" + std::to_string(names.size() - 1));
  entry->second = symbolTable.insert(def, insertBefore->getIterator()).getValue().str();
  return {entry->second, symbols};
}

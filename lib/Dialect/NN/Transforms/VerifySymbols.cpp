//===- VerifySymbols.cpp - nn-verify-symbols -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/DataSymbols.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SetVector.h"

namespace penstock::nn {
#define GEN_PASS_DEF_VERIFYSYMBOLSPASS
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

namespace {

struct VerifySymbolsPass : impl::VerifySymbolsPassBase<VerifySymbolsPass> {
  void runOnOperation() override {
    if (failed(verifyIndices()) || failed(verifyTypes()) || failed(verifyDefinitions()))
      return signalPassFailure();
    if (auto function = getOperation().lookupSymbol<func::FuncOp>(kEntryName))
      listConstraints(function);
  }

private:
  LogicalResult verifyIndices() {
    int64_t next = 0;
    for (auto symbol : getOperation().getOps<SymbolOp>()) {
      if (static_cast<int64_t>(symbol.getIndex()) != next)
        return symbol.emitOpError() << "has index " << symbol.getIndex() << "; expected " << next; // symbol_c1
      if (symbol.getExprs())
        for (AffineExpr expr : symbol.getExprs()->getExprs())
          if (getNumSymbols(expr) > next)
            return symbol.emitOpError() << "is derived from s" << getNumSymbols(expr) - 1
                                        << "; expected symbols below s" << next;
      ++next;
    }
    numSymbols = next;
    return success();
  }

  LogicalResult verifyTypes() {
    auto function = getOperation().lookupSymbol<func::FuncOp>(kEntryName);
    if (!function)
      return success();
    auto verify = [&](Operation *op, TypeRange types) -> LogicalResult {
      for (Type type : types)
        if (auto tensor = dyn_cast<RankedTensorType>(type))
          for (AffineExpr extent : getExtents(tensor))
            if (!extent || getNumSymbols(extent) > numSymbols)
              return op->emitOpError() << "has type " << tensor << "; expected extents over the " << numSymbols
                                       << " symbols of the module";
      return success();
    };
    if (failed(verify(function, function.getArgumentTypes())))
      return failure();
    WalkResult result = function.walk([&](Operation *op) {
      return failed(verify(op, op->getResultTypes())) ? WalkResult::interrupt() : WalkResult::advance();
    });
    return failure(result.wasInterrupted());
  }

  /// A symbol that kernels find is found in one place, before anything but a copy of an extent needs it.
  LogicalResult verifyDefinitions() {
    auto function = getOperation().lookupSymbol<func::FuncOp>(kEntryName);
    DataSymbols symbols(getOperation());
    if (!function || symbols.empty())
      return success();
    SymbolSet known;
    for (Operation &op : function.getBody().front()) {
      if (auto define = dyn_cast<DefineExtentOp>(op); define && define.getSymbol())
        if (!known.insert(symbols.getIndex(*define.getSymbol())).second)
          return op.emitOpError() << "defines " << define.getSymbolAttr() << " a second time";
      SymbolSet needed;
      if (!isa<ExtentTensorOp, IotaOp>(op))
        symbols.collect(&op, needed);
      for (unsigned symbol : needed)
        if (!known.count(symbol))
          return op.emitOpError() << "needs the extent @" << symbols.getName(symbol)
                                  << "; expected an nn.define_extent of it before";
    }
    return success();
  }

  /// Two extents that an op needs to be equal.
  void require(Operation *op, AffineExpr lhs, AffineExpr rhs) {
    if (lhs == rhs || (getConstant(lhs) && getConstant(rhs)))
      return;
    std::string what = op->getName().getStringRef().str();
    if (auto tensor = op->getAttrOfType<StringAttr>(kTensorAttr))
      what = tensor.str();
    auto reason = StringAttr::get(op->getContext(), "operands of '" + what + "'");
    if (isa<IfOp>(op->getParentOp()))
      requiredInside[op->getParentRegion()].insert({{lhs, rhs}, reason});
    else
      required.insert({{lhs, rhs}, reason});
  }

  /// Axes aligned from the last; a constant 1 stretches and needs nothing.
  void requireBroadcast(Operation *op, ArrayRef<AffineExpr> lhs, ArrayRef<AffineExpr> rhs) {
    for (size_t i = 1; i <= std::min(lhs.size(), rhs.size()); ++i) {
      AffineExpr left = lhs[lhs.size() - i], right = rhs[rhs.size() - i];
      if (getConstant(left) != 1 && getConstant(right) != 1)
        require(op, left, right);
    }
  }

  void requireAttention(AttentionOp op) {
    auto extents = [](Value value) { return getExtents(cast<RankedTensorType>(value.getType())); };
    SmallVector<AffineExpr> query = extents(op.getQuery()), key = extents(op.getKey()), value = extents(op.getValue());
    size_t last = query.size() - 1;
    require(op, query[last], key[last]);
    require(op, key[last - 1], value[last - 1]);
    for (size_t i = 0; i + 1 < last; ++i) {
      require(op, query[i], key[i]);
      require(op, query[i], value[i]);
    }
    SmallVector<AffineExpr> scores(query);
    scores[last] = key[last - 1];
    if (op.getMask())
      requireBroadcast(op, scores, extents(op.getMask()));
  }

  void visit(Operation *op) {
    auto extents = [](Value value) { return getExtents(cast<RankedTensorType>(value.getType())); };
    if (isa<BinaryOp, CompareOp, SelectOp>(op)) {
      for (Value operand : op->getOperands())
        requireBroadcast(op, extents(op->getResult(0)), extents(operand));
    } else if (auto concat = dyn_cast<ConcatOp>(op)) {
      for (Value input : concat.getInputs())
        for (auto [i, extent] : llvm::enumerate(extents(input)))
          if (i != concat.getAxis())
            require(op, extents(concat.getResult())[i], extent);
    } else if (auto matmul = dyn_cast<MatmulOp>(op)) {
      SmallVector<AffineExpr> left = extents(matmul.getLhs()), right = extents(matmul.getRhs());
      require(op, left[left.size() - (matmul.getTransposeLhs() ? 2 : 1)],
              right[right.size() - (matmul.getTransposeRhs() ? 1 : 2)]);
      requireBroadcast(op, ArrayRef(left).drop_back(2), ArrayRef(right).drop_back(2));
    } else if (auto attention = dyn_cast<AttentionOp>(op)) {
      requireAttention(attention);
    } else if (auto reshape = dyn_cast<ReshapeOp>(op)) {
      require(op, getNumElements(reshape.getInput().getType()), getNumElements(reshape.getType()));
    }
  }

  void listConstraints(func::FuncOp function) {
    function.walk([&](Operation *op) { visit(op); });
    function.walk([&](IfOp op) { listAssumptions(op); });
    OpBuilder builder(function);
    llvm::DenseSet<std::pair<AffineExpr, AffineExpr>> known;
    for (auto constraint : getOperation().getOps<ConstraintOp>())
      known.insert({constraint.getExprs().getExprs()[0], constraint.getExprs().getExprs()[1]});
    for (auto [pair, reason] : required) {
      if (!known.insert(pair).second)
        continue;
      builder.create<ConstraintOp>(function.getLoc(), ExtentsAttr::get(&getContext(), {pair.first, pair.second}),
                                   reason);
      ++numConstraints;
    }
  }

  /// What the ops of a branch need is checked where that branch is taken.
  void listAssumptions(IfOp op) {
    Builder builder(&getContext());
    std::vector<std::string> names = getSymbolNames(getOperation());
    auto list = [&](Region &region, std::optional<ExtentsAttr> assumes, std::optional<ArrayAttr> reasons,
                    StringAttr assumesName, StringAttr reasonsName) {
      SmallVector<AffineExpr> exprs;
      SmallVector<Attribute> texts;
      if (assumes && reasons) {
        llvm::append_range(exprs, assumes->getExprs());
        llvm::append_range(texts, *reasons);
      }
      llvm::DenseSet<std::pair<AffineExpr, AffineExpr>> known;
      for (size_t i = 0; i + 1 < exprs.size(); i += 2)
        known.insert({exprs[i], exprs[i + 1]});
      for (auto [pair, reason] : requiredInside[&region]) {
        if (!known.insert(pair).second)
          continue;
        exprs.append({pair.first, pair.second});
        texts.push_back(builder.getStringAttr("'" + formatExtents(pair.first, names) + "' and '" +
                                              formatExtents(pair.second, names) + "' (" + reason.getValue() + ")"));
        ++numConstraints;
      }
      if (exprs.empty())
        return;
      op->setAttr(assumesName, ExtentsAttr::get(&getContext(), exprs));
      op->setAttr(reasonsName, builder.getArrayAttr(texts));
    };
    list(op.getThenRegion(), op.getThenAssumes(), op.getThenReasons(), op.getThenAssumesAttrName(),
         op.getThenReasonsAttrName());
    list(op.getElseRegion(), op.getElseAssumes(), op.getElseReasons(), op.getElseAssumesAttrName(),
         op.getElseReasonsAttrName());
  }

  unsigned numSymbols = 0;
  using Required = llvm::SetVector<std::pair<std::pair<AffineExpr, AffineExpr>, StringAttr>>;
  Required required;                           ///< of the whole module
  DenseMap<Region *, Required> requiredInside; ///< of branches
};

} // namespace
} // namespace penstock::nn

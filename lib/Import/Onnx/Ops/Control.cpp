//===- Control.cpp - Control flow -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../GraphImporter.h"
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include <utility>

namespace penstock::onnximport {
namespace {

struct Branch {
  Region region;
  SmallVector<Value> yields;
  std::vector<GraphImporter::Assumption> assumptions;
};

/// A graph into a region of its own.
LogicalResult importBranch(NodeContext &n, const onnx::GraphProto &graph, Branch &branch) {
  OpBuilder &builder = n.builder();
  OpBuilder::InsertionGuard guard(builder);
  builder.createBlock(&branch.region);
  SmallVector<OnnxValue *> outputs;
  std::vector<GraphImporter::Assumption> *outer = std::exchange(n.getImporter().branchAssumptions, &branch.assumptions);
  LogicalResult result = n.getImporter().importSubgraph(graph, n.getScope(), {}, outputs, n.getLoc());
  n.getImporter().branchAssumptions = outer;
  if (failed(result))
    return failure();
  for (OnnxValue *output : outputs) {
    Value value = n.getImporter().materialize(*output, n.getLoc());
    if (!value)
      return failure();
    branch.yields.push_back(value);
  }
  if (static_cast<int>(branch.yields.size()) < n.getNumOutputs())
    return n.emitError() << "a branch has " << branch.yields.size() << " outputs; expected " << n.getNumOutputs();
  builder.setInsertionPointToEnd(&branch.region.front());
  builder.create<nn::YieldOp>(n.getLoc(), branch.yields);
  return success();
}

/// A graph in place of the node.
LogicalResult importInline(NodeContext &n, const onnx::GraphProto &graph) {
  SmallVector<OnnxValue *> outputs;
  if (failed(n.getImporter().importSubgraph(graph, n.getScope(), {}, outputs, n.getLoc())))
    return failure();
  if (static_cast<int>(outputs.size()) < n.getNumOutputs())
    return n.emitError() << "a branch has " << outputs.size() << " outputs; expected " << n.getNumOutputs();
  for (int i = 0; i < n.getNumOutputs(); ++i)
    if (failed(n.forward(i, outputs[i])))
      return failure();
  return success();
}

/// The first output whose type differs between the branches.
std::optional<int> findMismatch(const Branch &left, const Branch &right) {
  for (auto [i, a, b] : llvm::enumerate(left.yields, right.yields))
    if (a.getType() != b.getType())
      return i;
  return std::nullopt;
}

LogicalResult makeIf(NodeContext &n, Value condition, Branch &thenBranch, Branch &elseBranch) {
  auto op = n.builder().create<nn::IfOp>(n.getLoc(), ValueRange(thenBranch.yields).getTypes(), condition,
                                         nn::ExtentsAttr(), ArrayAttr(), nn::ExtentsAttr(), ArrayAttr());
  op.getThenRegion().takeBody(thenBranch.region);
  op.getElseRegion().takeBody(elseBranch.region);
  auto note = [&](const Branch &branch, StringAttr assumesName, StringAttr reasonsName) {
    SmallVector<AffineExpr> exprs;
    SmallVector<StringRef> reasons;
    for (const GraphImporter::Assumption &assumption : branch.assumptions) {
      exprs.append({assumption.left, assumption.right});
      reasons.push_back(assumption.reason);
    }
    if (exprs.empty())
      return;
    op->setAttr(assumesName, n.extents(exprs));
    op->setAttr(reasonsName, Builder(n.getContext()).getStrArrayAttr(reasons));
  };
  note(thenBranch, op.getThenAssumesAttrName(), op.getThenReasonsAttrName());
  note(elseBranch, op.getElseAssumesAttrName(), op.getElseReasonsAttrName());
  for (int i = 0; i < n.getNumOutputs(); ++i)
    if (failed(n.setOutput(i, op.getResult(i))))
      return failure();
  return success();
}

LogicalResult convertIf(NodeContext &n) {
  const onnx::AttributeProto *thenGraph = n.findAttr("then_branch"), *elseGraph = n.findAttr("else_branch");
  OnnxValue *conditionValue = n.getValue(0);
  if (!thenGraph || !elseGraph || !conditionValue)
    return n.emitError() << "a branch or the condition is missing";
  const Elements *known = n.getElements(0);
  if (known && known->size() == 1 && known->front().getInt())
    return importInline(n, *known->front().getInt() ? thenGraph->g() : elseGraph->g());
  auto equality = conditionValue->equality;
  Value condition = n.getInput(0);
  if (!condition)
    return failure();
  Branch thenBranch, elseBranch;
  bool fits;
  {
    // Where the condition compares extents a branch may be one that never fits; then its errors do not count.
    ScopedDiagnosticHandler handler(n.getContext(), [&](Diagnostic &) { return success(equality.has_value()); });
    fits = succeeded(importBranch(n, thenGraph->g(), thenBranch)) &&
           succeeded(importBranch(n, elseGraph->g(), elseBranch));
  }
  std::optional<int> mismatch = fits ? findMismatch(thenBranch, elseBranch) : std::nullopt;
  if (fits && !mismatch)
    return makeIf(n, condition, thenBranch, elseBranch);
  if (equality) {
    // Exporters write "if the extent is 1 then squeeze": ranks are fixed by taking the equality for granted.
    n.getImporter().assumeEqual(equality->first, equality->second, "condition of " + describeNode(n.getNode()));
    return importInline(n, thenGraph->g());
  }
  if (!fits)
    return failure();
  return n.emitError() << "output " << *mismatch << " ('" << n.getNode().output(*mismatch) << "') has type "
                       << thenBranch.yields[*mismatch].getType() << " in one branch and "
                       << elseBranch.yields[*mismatch].getType()
                       << " in the other, and the condition is not known; bind the input or the dimension that "
                       << "decides it (--bind, --dim)";
}

} // namespace

void registerControlOperators(OperatorRegistry &r) { r.add("If", 1, convertIf); }

} // namespace penstock::onnximport

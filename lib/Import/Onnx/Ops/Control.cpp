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

/// An element of a list of extents, as a number of the running model.
Value getNumber(NodeContext &n, AffineExpr extent) {
  return n.extentTensor(extent, RankedTensorType::get({}, n.builder().getI64Type()));
}

/// The value of the branch taken, where only the number of elements on some axes is another: both values lie one after
/// the other, and one of them is cut out.
Value cutOut(NodeContext &n, int output, Value condition, Value left, Value right) {
  ShapeAlgebra &algebra = n.algebra();
  Extents a = n.extentsOf(left), b = n.extentsOf(right), chosen;
  for (auto [axis, extents] : llvm::enumerate(llvm::zip(a, b))) {
    auto [one, other] = extents;
    bool isSame = algebra.equal(one, other) == true;
    chosen.push_back(isSame ? one
                            : n.dataExtent(n.select(condition, getNumber(n, one), getNumber(n, other)), output,
                                           static_cast<int64_t>(axis), algebra.maximum(one, other)));
    if (!chosen.back())
      return {};
  }
  AffineExpr numLeft = algebra.product(a);
  Value first = n.select(condition, getNumber(n, n.cst(0)), getNumber(n, numLeft));
  AffineExpr start =
      n.getImporter().getElementAsExtent(first, 0, n.getNode().output(output) + ".start", numLeft, n.getLoc());
  if (!start)
    return {};
  Value both = n.concat({n.reshape(left, numLeft), n.reshape(right, algebra.product(b))}, 0);
  return n.reshape(n.sliceAxis(both, 0, start, algebra.product(chosen)), chosen);
}

/// Both graphs in place of the node, and of each output the value that the condition chooses: for branches that cannot
/// be regions, as what they find decides extents or as their results differ in extents.
LogicalResult importBoth(NodeContext &n, Value condition, const onnx::GraphProto &thenGraph,
                         const onnx::GraphProto &elseGraph) {
  SmallVector<OnnxValue *> results[2];
  std::vector<GraphImporter::Assumption> assumptions;
  std::vector<GraphImporter::Assumption> *outer = std::exchange(n.getImporter().branchAssumptions, &assumptions);
  auto importAll = [&](const onnx::GraphProto &graph, SmallVector<OnnxValue *> &outputs) {
    return succeeded(n.getImporter().importSubgraph(graph, n.getScope(), {}, outputs, n.getLoc()));
  };
  bool imported = importAll(thenGraph, results[0]) && importAll(elseGraph, results[1]);
  n.getImporter().branchAssumptions = outer;
  if (!imported || !assumptions.empty())
    return failure();
  condition = n.reshape(condition, {});
  for (int i = 0; i < n.getNumOutputs(); ++i) {
    Value values[2];
    for (int k = 0; k < 2; ++k)
      if (static_cast<int>(results[k].size()) <= i || !results[k][i]->type ||
          !(values[k] = n.getImporter().materialize(*results[k][i], n.getLoc())))
        return failure();
    RankedTensorType left = n.typeOf(values[0]), right = n.typeOf(values[1]);
    if (left.getRank() != right.getRank() || left.getElementType() != right.getElementType())
      return failure();
    Value chosen =
        left == right ? n.select(condition, values[0], values[1]) : cutOut(n, i, condition, values[0], values[1]);
    if (failed(n.setOutput(i, chosen)))
      return failure();
  }
  return success();
}

/// True if the outputs of both branches could be chosen from; nothing is said where they could not.
bool choosesFromBoth(NodeContext &n, Value condition, const onnx::GraphProto &thenGraph,
                     const onnx::GraphProto &elseGraph) {
  ScopedDiagnosticHandler handler(n.getContext(), [](Diagnostic &) { return success(); });
  return succeeded(importBoth(n, condition, thenGraph, elseGraph));
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
  std::vector<std::string> errors;
  bool fits;
  {
    // Where the condition compares extents a branch may be one that never fits; then its errors do not count.
    ScopedDiagnosticHandler handler(n.getContext(), [&](Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
        errors.push_back(diagnostic.str());
      return success();
    });
    fits = succeeded(importBranch(n, thenGraph->g(), thenBranch)) &&
           succeeded(importBranch(n, elseGraph->g(), elseBranch));
  }
  std::optional<int> mismatch = fits ? findMismatch(thenBranch, elseBranch) : std::nullopt;
  if (fits && !mismatch)
    return makeIf(n, condition, thenBranch, elseBranch);
  bool haveRanks = !fits || llvm::all_of(llvm::zip(thenBranch.yields, elseBranch.yields), [](auto pair) {
    return NodeContext::typeOf(std::get<0>(pair)).getRank() == NodeContext::typeOf(std::get<1>(pair)).getRank();
  });
  if (haveRanks && !n.getImporter().branchAssumptions && choosesFromBoth(n, condition, thenGraph->g(), elseGraph->g()))
    return success();
  if (equality) {
    // Exporters write "if the extent is 1 then squeeze": ranks are fixed by taking the equality for granted.
    n.getImporter().assumeEqual(equality->first, equality->second, "condition of " + describeNode(n.getNode()));
    return importInline(n, thenGraph->g());
  }
  for (const std::string &error : errors)
    n.emitError() << error;
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

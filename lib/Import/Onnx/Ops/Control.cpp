//===- Control.cpp - Control flow -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../GraphImporter.h"
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

/// One branch into `region`, with the types of what it yields.
LogicalResult importBranch(NodeContext &n, const onnx::GraphProto &graph, Region &region,
                           SmallVectorImpl<Value> &yields) {
  OpBuilder &builder = n.builder();
  OpBuilder::InsertionGuard guard(builder);
  builder.createBlock(&region);
  SmallVector<OnnxValue *> outputs;
  if (failed(n.getImporter().importSubgraph(graph, n.getScope(), {}, outputs, n.getLoc())))
    return failure();
  for (OnnxValue *output : outputs) {
    Value value = n.getImporter().materialize(*output, n.getLoc());
    if (!value)
      return failure();
    yields.push_back(value);
  }
  builder.setInsertionPointToEnd(&region.front());
  builder.create<nn::YieldOp>(n.getLoc(), yields);
  return success();
}

LogicalResult convertIf(NodeContext &n) {
  const onnx::AttributeProto *thenGraph = n.findAttr("then_branch"), *elseGraph = n.findAttr("else_branch");
  if (!thenGraph || !elseGraph)
    return n.emitError() << "a branch is missing";
  const Elements *known = n.getElements(0);
  if (known && known->size() == 1 && known->front().getInt()) {
    const onnx::GraphProto &taken = *known->front().getInt() ? thenGraph->g() : elseGraph->g();
    SmallVector<OnnxValue *> outputs;
    if (failed(n.getImporter().importSubgraph(taken, n.getScope(), {}, outputs, n.getLoc())))
      return failure();
    if (static_cast<int>(outputs.size()) < n.getNumOutputs())
      return n.emitError() << "a branch has " << outputs.size() << " outputs; expected " << n.getNumOutputs();
    for (int i = 0; i < n.getNumOutputs(); ++i)
      if (failed(n.forward(i, outputs[i])))
        return failure();
    return success();
  }
  Value condition = n.getInput(0);
  if (!condition)
    return failure();
  Region thenRegion, elseRegion;
  SmallVector<Value> thenYields, elseYields;
  if (failed(importBranch(n, thenGraph->g(), thenRegion, thenYields)) ||
      failed(importBranch(n, elseGraph->g(), elseRegion, elseYields)))
    return failure();
  if (thenYields.size() != elseYields.size() || static_cast<int>(thenYields.size()) != n.getNumOutputs())
    return n.emitError() << "the branches have " << thenYields.size() << " and " << elseYields.size()
                         << " outputs; expected " << n.getNumOutputs();
  for (auto [i, left, right] : llvm::enumerate(thenYields, elseYields))
    if (left.getType() != right.getType())
      return n.emitError() << "output " << i << " ('" << n.getNode().output(i) << "') has type " << left.getType()
                           << " in one branch and " << right.getType()
                           << " in the other, and the condition is not known; bind the input or the dimension that "
                           << "decides it (--bind, --dim)";
  auto op = n.builder().create<nn::IfOp>(n.getLoc(), ValueRange(thenYields).getTypes(), condition);
  op.getThenRegion().takeBody(thenRegion);
  op.getElseRegion().takeBody(elseRegion);
  for (int i = 0; i < n.getNumOutputs(); ++i)
    if (failed(n.setOutput(i, op.getResult(i))))
      return failure();
  return success();
}

} // namespace

void registerControlOperators(OperatorRegistry &r) { r.add("If", 1, convertIf); }

} // namespace penstock::onnximport

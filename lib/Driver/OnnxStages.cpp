//===- OnnxStages.cpp - A plan into the model's own file -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Driver/OnnxStages.h"

#include "penstock/Dialect/NN/IR/NodeNumbers.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Driver/Diagnostics.h"
#include "penstock/Partition/Algorithms.h"
#include "penstock/Support/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace penstock::driver {
using namespace mlir;
using onnximport::NodePath;
using onnximport::NodeStages;

namespace {

/// An op inside of a kernel, and the nodes that it was made for.
struct TracedOp {
  NodePath path;
  Location loc;
};

std::vector<TracedOp> listOps(nn::KernelOp kernel) {
  std::vector<TracedOp> ops;
  kernel.getBody().walk([&](Operation *op) {
    if (auto path = op->getAttrOfType<DenseI64ArrayAttr>(nn::kOnnxNodesAttr))
      ops.push_back({NodePath(path.asArrayRef().begin(), path.asArrayRef().end()), op->getLoc()});
  });
  return ops;
}

/// The stage that a reader of the model takes for a kernel: the last one of its ops.
std::optional<int64_t> readStage(ArrayRef<TracedOp> ops, const NodeStages &stages) {
  std::optional<int64_t> result;
  for (const TracedOp &op : ops)
    if (std::optional<int64_t> stage = stages.read(op.path))
      result = std::max(result.value_or(*stage), *stage);
  return result;
}

/// Why ONNX cannot say that a kernel is in its stage: one of its nodes is also elsewhere.
llvm::Error refuse(nn::KernelOp kernel, ArrayRef<TracedOp> ops, const NodeStages &stages, int64_t stage, int64_t read) {
  for (const TracedOp &op : ops)
    if (std::optional<int64_t> said = stages.read(op.path); said && (read > stage ? *said > stage : *said < stage))
      return userError(
          "{0} is partly in stage {1} and partly in stage {2} (kernel '{3}'); ONNX gives a node one stage, "
          "and the nodes of a function the same one in every call; expected a cut (--cut) that does not "
          "go through it",
          describeLocation(op.loc), std::min(stage, *said), std::max(stage, *said), kernel.getName());
  return userError("kernel '{0}' is in stage {1}, but its nodes say {2}", kernel.getName(), stage, read);
}

} // namespace

llvm::Expected<NodeStages> chooseOnnxStages(ModuleOp module, const partition::Problem &problem, partition::Plan &plan) {
  auto found = module.lookupSymbol<func::FuncOp>(nn::kEntryName).getOps<nn::KernelOp>();
  SmallVector<nn::KernelOp> kernels(found.begin(), found.end());
  std::vector<bool> isRepeated(kernels.size(), false);
  for (const partition::Clone &clone : plan.clones)
    isRepeated[clone.kernel] = true;
  std::vector<std::vector<TracedOp>> ops;
  std::vector<std::pair<NodePath, int64_t>> owned;
  for (auto [i, kernel] : llvm::enumerate(kernels)) {
    ops.push_back(listOps(kernel));
    for (const TracedOp &op : ops.back())
      if (!isRepeated[i])
        owned.emplace_back(op.path, plan.stageOf[i]);
  }
  NodeStages stages = NodeStages::choose(owned);
  partition::Problem said = problem;
  said.pins.clear();
  said.cuts.clear();
  for (auto [i, kernel] : llvm::enumerate(kernels)) {
    for (const TracedOp &op : ops[i])
      stages.withCode.insert(op.path.begin(), op.path.end());
    std::optional<int64_t> stage = readStage(ops[i], stages);
    if (!stage)
      continue;
    if (!isRepeated[i] && *stage != plan.stageOf[i])
      return refuse(kernel, ops[i], stages, plan.stageOf[i], *stage);
    said.pins.push_back({static_cast<int>(i), static_cast<int>(*stage)});
  }
  partition::Result result = partition::solve(said);
  if (!result.plan)
    return userError("the plan cannot be said by stages of nodes: {0}",
                     result.errors.empty() ? "no reason given" : result.errors.front());
  plan = std::move(*result.plan);
  return stages;
}

} // namespace penstock::driver

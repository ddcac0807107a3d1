//===- PipelineStages.cpp - The model's own pipeline stages -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "PipelineStages.h"
#include "NodeFlow.h"
#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Dialect/NN/IR/NodeNumbers.h"

namespace penstock::onnximport {
namespace {

/// The latest stage that a value depends on, and the op that is in it.
struct Reach {
  int64_t stage = -1;
  Operation *op = nullptr;

  void take(Reach other) {
    if (other.stage > stage)
      *this = other;
  }
};

std::optional<int64_t> getStage(Operation *op) {
  auto stage = op->getAttrOfType<IntegerAttr>(nn::kOnnxStageAttr);
  return stage ? std::optional<int64_t>(stage.getInt()) : std::nullopt;
}

std::string nameOf(Operation *op) {
  auto name = dyn_cast<NameLoc>(op->getLoc());
  return name ? name.getName().str() : op->getName().getStringRef().str();
}

/// Walks ops in order, with what each one's operands depend on.
class FlowCheck {
public:
  /// What the ops of the block depend on, all together; nothing and an error if a value flows back.
  FailureOr<Reach> visit(Block &block) {
    Reach all;
    for (Operation &op : block) {
      FailureOr<Reach> reach = visit(op);
      if (failed(reach))
        return failure();
      for (Value result : op.getResults())
        reaches[result] = *reach;
      all.take(*reach);
    }
    return all;
  }

private:
  FailureOr<Reach> visit(Operation &op) {
    Reach reach;
    for (Value operand : op.getOperands())
      reach.take(reaches.lookup(operand));
    std::optional<int64_t> stage = getStage(&op);
    if (stage && reach.stage > *stage)
      return op.emitError() << "node '" << nameOf(&op) << "' is in pipeline stage " << *stage
                            << " but reads what node '" << nameOf(reach.op) << "' makes in stage " << reach.stage
                            << "; expected values that flow to the same or a later stage",
             failure();
    for (Region &region : op.getRegions())
      for (Block &block : region) {
        FailureOr<Reach> inner = visit(block);
        if (failed(inner))
          return failure();
        reach.take(*inner);
      }
    if (stage)
      reach.take({*stage, &op});
    return reach;
  }

  DenseMap<Value, Reach> reaches;
};

} // namespace

LogicalResult PipelineStages::enter(const onnx::NodeProto &node, Location loc) {
  for (const onnx::NodeDeviceConfigurationProto &entry : node.device_configurations()) {
    if (!entry.has_pipeline_stage())
      continue;
    const std::string &name = entry.configuration_id();
    if (llvm::none_of(model.configuration(), [&](const auto &known) { return known.name() == name; }))
      return emitError(loc) << "pipeline stage " << entry.pipeline_stage() << " is of configuration '" << name
                            << "', which the model does not have";
    if (configuration && *configuration != name)
      return emitError(loc) << "pipeline stages are given in configurations '" << *configuration << "' and '" << name
                            << "'; expected them in one";
    if (entry.pipeline_stage() < 0)
      return emitError(loc) << "pipeline stage is " << entry.pipeline_stage() << "; expected 0 or more";
    configuration = name;
    current = entry.pipeline_stage();
    seen.insert(*current);
  }
  return success();
}

void PipelineStages::enterNumbered(const onnx::NodeProto &node) {
  if (int64_t number = getNodeNumber(node); number >= 0)
    numbers.push_back(number);
}

LogicalResult PipelineStages::check(func::FuncOp function) const {
  int64_t next = 0;
  for (int64_t stage : seen) {
    if (stage != next)
      return emitError(function.getLoc()) << "no node is in pipeline stage " << next << " but some are in stage "
                                          << stage << "; expected stages from 0 without a gap";
    ++next;
  }
  return FlowCheck().visit(function.getBody().front());
}

void PipelineStages::notifyOperationInserted(Operation *op, OpBuilder::InsertPoint) {
  // Constants are shared by nodes of all stages, and belong to their readers.
  if (isa<nn::ConstantOp, nn::LoadWeightOp, nn::ExtentTensorOp, nn::IotaOp, nn::WeightOp, nn::SymbolOp,
          nn::ConstraintOp, nn::YieldOp>(op))
    return;
  Builder builder(op->getContext());
  if (current)
    op->setAttr(nn::kOnnxStageAttr, builder.getI64IntegerAttr(*current));
  if (!numbers.empty())
    op->setAttr(nn::kOnnxNodesAttr, builder.getDenseI64ArrayAttr(numbers));
}

} // namespace penstock::onnximport

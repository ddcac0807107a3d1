//===- PipelineStages.h - The model's own pipeline stages ------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ONNX's multi-device annotations (IR version 11): a node's `device_configurations` may name its `pipeline_stage` in
// one of the model's configurations. Every op made for a node gets that number as `nn.onnx_stage`; ops of nodes without
// one get none, and the partitioner places them. The way back, from ops to the nodes that they were made for, goes over
// numbers of nodes, which ops get as `nn.onnx_nodes`.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_PIPELINESTAGES_H
#define PENSTOCK_LIB_IMPORT_ONNX_PIPELINESTAGES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "onnx/onnx_pb.h"
#include <optional>
#include <set>

namespace penstock::onnximport {
using namespace mlir;

class PipelineStages : public OpBuilder::Listener {
public:
  explicit PipelineStages(const onnx::ModelProto &model) : model(model) {}

  /// The stage of the nodes under conversion; ops get it as they are made.
  std::optional<int64_t> current;
  /// The numbers of the nodes under conversion, outermost first; empty unless the model's nodes are numbered.
  SmallVector<int64_t> numbers;

  /// Take over the stage that `node` carries, if any: nodes of subgraphs and function bodies without one keep the
  /// stage of the node around them. An error on a negative stage, an unknown configuration, and stages in two
  /// configurations.
  LogicalResult enter(const onnx::NodeProto &node, Location loc);

  /// Adds the number of `node`, if it has one.
  void enterNumbered(const onnx::NodeProto &node);

  /// Once everything is imported: stages count from 0 without a gap, and no value flows to an earlier stage.
  LogicalResult check(func::FuncOp function) const;

  void notifyOperationInserted(Operation *op, OpBuilder::InsertPoint previous) override;

private:
  const onnx::ModelProto &model;
  std::optional<std::string> configuration; ///< the one whose stages count
  std::set<int64_t> seen;
};

} // namespace penstock::onnximport

#endif

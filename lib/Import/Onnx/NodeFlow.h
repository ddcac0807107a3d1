//===- NodeFlow.h - Stages along the edges of a graph ----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_NODEFLOW_H
#define PENSTOCK_LIB_IMPORT_ONNX_NODEFLOW_H

#include "onnx/onnx_pb.h"
#include "penstock/Import/Onnx/StageWriter.h"

namespace penstock::onnximport {

/// The number that a node carries, see WireReader.h; -1: none.
int64_t getNodeNumber(const onnx::NodeProto &node);

/// Gives nodes of a sorted graph that have no stage that of their first reader, unless they read something of a later
/// one.
void addSilentNodes(const onnx::GraphProto &graph, NodeStages &stages);

} // namespace penstock::onnximport

#endif

//===- TopologicalOrder.h - Order of a graph's nodes -----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Producers before consumers. ONNX asks for nodes in such an order, but not every exporter keeps to it.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_TOPOLOGICALORDER_H
#define PENSTOCK_LIB_IMPORT_ONNX_TOPOLOGICALORDER_H

#include "mlir/Support/LLVM.h"
#include "onnx/onnx_pb.h"
#include <string>
#include <vector>

namespace penstock::onnximport {

/// Names that a node reads, with those its subgraphs take from outside (and, harmlessly, their own).
std::vector<llvm::StringRef> listReads(const onnx::NodeProto &node);

/// Put the nodes of the main graph, of every subgraph and of every function after the producers of what they and their
/// subgraphs read; otherwise they keep their order. Fails with a message on a cycle and on a name that two nodes
/// produce.
mlir::LogicalResult sortNodes(onnx::ModelProto &model, std::string &error);

} // namespace penstock::onnximport

#endif

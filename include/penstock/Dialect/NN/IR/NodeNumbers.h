//===- NodeNumbers.h - The ONNX nodes that an op was made for --*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Only where stages are written back to the model: names do not tell its nodes apart, numbers do.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NODENUMBERS_H
#define PENSTOCK_DIALECT_NN_IR_NODENUMBERS_H

#include "llvm/ADT/StringRef.h"

namespace penstock::nn {

/// Discardable attribute, a list of numbers: a node of the main graph, then one of its branches or of the function that
/// it calls, and so on. A node's number is its place in the model's file, see penstock/Import/Onnx/StageWriter.h.
inline constexpr llvm::StringLiteral kOnnxNodesAttr = "nn.onnx_nodes";

} // namespace penstock::nn

#endif // PENSTOCK_DIALECT_NN_IR_NODENUMBERS_H

//===- StageWriter.h - Pipeline stages into an ONNX file -------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The way back from a plan to the model: ONNX's multi-device annotations (IR version 11) give a node one
// `pipeline_stage`. A node's number is its place among all nodes of the file, in the order of the bytes, each node
// before those inside of it; the importer gives these numbers to ops (ImportOptions::numbersNodes).
//
// Errors: llvm::Error with an exit status, naming file and node. No shared state.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_IMPORT_ONNX_STAGEWRITER_H
#define PENSTOCK_IMPORT_ONNX_STAGEWRITER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace penstock::onnximport {

/// The configuration whose stages are written; another one of this name is replaced.
constexpr llvm::StringLiteral kStageConfiguration("penstock");

/// The nodes that an op was made for: one of the main graph, then one of its branches or of the function that it
/// calls, and so on.
using NodePath = std::vector<int64_t>;

/// Stages of nodes by number.
class NodeStages {
public:
  /// As few annotations as say where these ops are: a node whose ops are all in one stage gets it; otherwise it gets
  /// the first stage of what it does itself, and the nodes inside of it get stages of their own.
  static NodeStages choose(llvm::ArrayRef<std::pair<NodePath, int64_t>> ops);

  /// The stage that the importer would read for an op: that of the innermost node that has one.
  std::optional<int64_t> read(llvm::ArrayRef<int64_t> path) const;

  std::map<int64_t, int64_t> stageOf;
  /// Nodes of which there is code; where they have no stage, they are to have none.
  std::set<int64_t> withCode;
};

/// Writes the model at `path` to `output` with these stages and nothing else changed but the IR version, which is
/// raised to 11. Nodes of the main graph of which no code is left get the stage of their first reader where values then
/// still flow forward. Stages that the model carried before are dropped.
/// Weights are copied from file to file, or stay in their external files, which are not opened: with any of those,
/// `output` must lie in the model's folder. `output` appears as a whole or not at all; it may be the model itself.
llvm::Error writeOnnxStages(llvm::StringRef path, llvm::StringRef output, const NodeStages &stages, int64_t numStages);

} // namespace penstock::onnximport

#endif

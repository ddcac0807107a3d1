//===- PartitionProblem.h - Kernels for the partitioner --------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The bridge between the kernels of `@main` and lib/Partition: what the partitioner asks, and what its plan means for
// the module. `penstock plan` asks for problems of several stage counts without changing the module;
// `pipe-assign-stages` solves one and applies it. Costs are taken at the typical values of the symbols, memory at their
// bounds. Errors and remarks are diagnostics on the module's ops.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_TRANSFORMS_PARTITIONPROBLEM_H
#define PENSTOCK_DIALECT_PIPE_TRANSFORMS_PARTITIONPROBLEM_H

#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Partition/Algorithms.h"
#include "penstock/Partition/CostModel.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace penstock::pipe {

/// What a person asks of the partition.
struct PartitionOptions {
  /// 0: as many as cuts, annotations, the plan file or `devices` imply, else 1.
  int64_t numStages = 0;
  partition::Balance balance = partition::Balance::Time;
  /// ONNX tensors or nodes.
  std::vector<std::string> cuts;
  /// Takes `nn.onnx_stage` of the ops for their kernels' stages.
  bool fromOnnxStages = false;
  /// Kernels of each stage by name, from a plan.json; empty: none.
  std::vector<std::vector<std::string>> plan;
  /// Where `plan` was read, for messages.
  std::string planFile;
  /// Bytes that each stage may need; 0: no limit. Devices given below have limits of their own.
  int64_t memoryLimitBytes = 0;
  /// Most slots of a channel; 0: as many as its messages are on their way for.
  int64_t maxDepth = 0;
  /// One per stage, and one link per boundary; empty: equal CPUs on one host.
  std::vector<partition::Device> devices;
  std::vector<partition::Link> links;
  partition::Link sourceLink, sinkLink;
  /// What the device classes of `devices` are; empty: one CPU core of the kind that is common. Their profiled times are
  /// by the names of the kernels.
  std::vector<partition::DeviceProfile> profiles;
  /// Scratch storage that the target's code of a kernel asks for, over the module's symbols, by the kernel's name; what
  /// is not there is not counted.
  llvm::StringMap<mlir::AffineExpr> workspaceBytes;
  /// What the target's library keeps for a kernel, by the kernel's name, as long as the role lives.
  llvm::StringMap<int64_t> libraryBytes;
  /// Held back of each stage's limit beside what the runtime needs; empty: nothing.
  std::vector<int64_t> heldBackBytes;
  /// Drops the stages that kernels are annotated with.
  bool ignoreAnnotations = false;
};

/// What each kernel of `@main` does at the typical values of the symbols; keys are names. The module has kernels.
std::vector<partition::Work> describeKernels(mlir::ModuleOp module);

/// The stages of a plan.json: names of kernels. An error names the file and what was expected.
mlir::FailureOr<std::vector<std::vector<std::string>>> readPlanFile(llvm::StringRef path, mlir::Location loc);

/// The problem that the kernels of `@main` pose; kernel i is the i-th `nn.kernel`. Gives outputs that no kernel makes a
/// kernel of their own first.
mlir::FailureOr<partition::Problem> buildPartitionProblem(mlir::ModuleOp module, const PartitionOptions &options);

/// The solver's answer; where there is none, its reasons are errors of the module.
mlir::FailureOr<partition::Plan> solvePartition(mlir::ModuleOp module, const partition::Problem &problem);

/// Builds and solves. The plan's kernels are those of buildPartitionProblem().
mlir::FailureOr<partition::Plan> planStages(mlir::ModuleOp module, const PartitionOptions &options);

/// Writes a plan into the module: `pipe.stage_id` on every kernel, clones of cheap producers, and `pipe.plan`.
void applyPlan(mlir::ModuleOp module, const partition::Problem &problem, const partition::Plan &plan);

/// Builds, solves and applies: what `pipe-assign-stages` does, with devices, links and profiles that a pass option
/// cannot say.
mlir::LogicalResult assignStages(mlir::ModuleOp module, const PartitionOptions &options);

/// Writes `pipe.plan` anew if kernels were moved by hand since it was written, or if there is none. Every kernel has a
/// stage.
mlir::LogicalResult refreshPlan(mlir::ModuleOp module);

} // namespace penstock::pipe

#endif // PENSTOCK_DIALECT_PIPE_TRANSFORMS_PARTITIONPROBLEM_H

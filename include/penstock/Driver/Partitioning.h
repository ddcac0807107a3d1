//===- Partitioning.h - From options to the partitioner --------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// What `compile` and `plan` tell the partitioner beside the module: devices, links and limits from the cluster file,
// and what kernels cost on them. Costs come from, in this order:
//   --costs, or `--profile`      kernels timed in a run (profiled), or the profile of a device
//   a profile in the cluster file
//   the calibration of this machine in the user's cache folder, if there is one
//   the target on paper (analytic)
// Times of kernels are kept by content, "k_<hash>" or "k_<hash> <name>", so that those of changed kernels are not
// taken; the partitioner is given them by name. Units: seconds, bytes. Errors: llvm::Error, the user's fault.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DRIVER_PARTITIONING_H
#define PENSTOCK_DRIVER_PARTITIONING_H

#include "penstock/Dialect/Pipe/Transforms/PartitionProblem.h"
#include "penstock/Driver/Options.h"
#include "penstock/Partition/Cluster.h"
#include "penstock/Target/TargetBackend.h"

#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

namespace penstock::driver {

/// The target that the options name; it lives beside nothing.
llvm::Expected<std::unique_ptr<TargetBackend>> openTarget(const CompileOptions &options);
/// Another one, for some stages, "cpu" or "cuda": with what of --arch is for it.
llvm::Expected<std::unique_ptr<TargetBackend>> openTarget(const CompileOptions &options, llvm::StringRef name);

class Partitioning {
public:
  /// Reads the files that the options name.
  static llvm::Expected<Partitioning> create(const CompileOptions &options, const TargetBackend &target);

  /// Takes over times that were measured on this machine, by content. Needs one profile: no cluster file.
  llvm::Error addTimes(const std::map<std::string, double> &seconds);

  /// For `numStages` stages; 0: as many as cuts, a plan or the cluster's devices imply. `module` has kernels; it is not
  /// changed.
  llvm::Expected<pipe::PartitionOptions> makeOptions(mlir::ModuleOp module, int64_t numStages) const;

  /// Devices of the cluster file; nullopt: as many as stages.
  std::optional<int64_t> getNumDevices() const;
  /// Where the stages of the cluster file run, as TargetBackend::getDevice() says it. Needs a cluster file.
  std::vector<std::string> getStageDevices() const;
  /// What takes messages from the device of one stage to that of another: "host" or "nccl". Likewise.
  std::string getTransport(size_t from, size_t to) const;
  /// Names of the profiles that costs are for.
  std::vector<std::string> getProfileNames() const;

private:
  Partitioning(const CompileOptions &options, const TargetBackend &target) : options(options), target(target) {}
  llvm::Error readCluster();
  llvm::Error readCosts();
  llvm::Error applyDevices(int64_t numStages, pipe::PartitionOptions &result) const;

  const CompileOptions &options;
  const TargetBackend &target;
  std::optional<partition::Cluster> cluster;
  std::vector<partition::DeviceProfile> profiles; ///< of the cluster's classes, or one
};

/// A copy of a module with kernels, as one stage: what a kernel becomes does not depend on the cut.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> makeOneStage(mlir::ModuleOp module);

/// The function that each kernel of `@main` becomes on the target, "k_<hash>", by the kernel's name.
llvm::Expected<llvm::StringMap<std::string>> nameFunctions(mlir::ModuleOp module, const TargetBackend &target);

/// Where the calibration of this machine is kept: in $XDG_CACHE_HOME/penstock or ~/.cache/penstock, a file per
/// processor, instruction set and version. Empty: there is no such folder.
std::string getCalibrationPath(const TargetBackend &target, int numThreads);

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_PARTITIONING_H

//===- BundleWriter.h - The output folder -------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The last phase: from a module whose roles are written as calls of the runtime (`rt.role`), the objects of its kernels
// and the model's files to the folder that runs:
//
//   stage-0 .. stage-N-1         one executable per role
//   stage-K.weights              the weights that stage K loads, if any
//   plan.json                    the description (docs/plan-json.md)
//   launch                       feeds inputs and collects outputs
//   all-in-one                   if asked for: launch and all stages in one process, from the same objects
//   lib/                         shared libraries that kernels need, the plug-ins for MPI and devices, and licences
//   starters/                    files for mpirun, Slurm and Kubernetes
//
// Every executable carries a fingerprint of the graph, the cut, the schedule, the weights' contents, the kernels, the
// target and the ABI, so that stages of different folders refuse each other. The folder is the same byte for byte for
// the same inputs, wherever it is written, and appears as a whole (FolderWriter.h).
//
// Errors: an llvm::Error that knows whose fault it is; nothing is left behind. Threads: one call per MLIR context.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LINK_BUNDLEWRITER_H
#define PENSTOCK_LINK_BUNDLEWRITER_H

#include "penstock/Link/Installation.h"
#include "penstock/Link/Weights.h"
#include "penstock/Support/ObjectEmitter.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

#include <functional>

namespace penstock {
namespace link {

struct BundleOptions {
  std::string output;             ///< the folder
  std::string sourceFolder;       ///< relative paths of weights start here; empty: the current folder
  TargetProfile profile;          ///< what kernels are made for
  TargetProfile hostProfile;      ///< for the code of the roles
  std::string version;            ///< of the compiler, for plan.json
  int64_t microbatchRows = 0;     ///< rows of a microbatch where the batch is a symbol; 0: 1
  std::vector<std::string> flags; ///< of the compilation, as far as they decide the bits of results
  bool allInOne = false;          ///< write the executable of all stages too
  /// Hands over the bytes of a weight that is computed (`init`) or packed, by symbol; called once for each place, from
  /// several threads.
  std::function<llvm::Error(llvm::StringRef name, ByteConsumer consume)> makeWeight;
};

struct BundleStage {
  int64_t executableBytes = 0, weightsBytes = 0;
  int64_t sharedWeightBytes = 0; ///< saved because weights were equal
};

struct BundleSummary {
  std::string fingerprint; ///< 64 hexadecimal digits
  std::vector<BundleStage> stages;
};

/// Writes the folder. `kernelObjects` holds the object of each kernel by its hash (`kernel.object`).
llvm::Expected<BundleSummary> writeBundle(mlir::ModuleOp module, const llvm::StringMap<std::string> &kernelObjects,
                                          const Installation &installation, const BundleOptions &options);

} // namespace link
} // namespace penstock

#endif // PENSTOCK_LINK_BUNDLEWRITER_H

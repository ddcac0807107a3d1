//===- PlanJson.h - plan.json -------------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The description of an output folder: what the host needs to run it (inputs, outputs, channels, executables), and what
// people ask of it (memory, kernels, predicted times, the certificate of the plan). docs/plan-json.md has the schema.
// The text is the same for the same module and files: fields in a fixed order, nothing of the machine or the time.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LINK_PLANJSON_H
#define PENSTOCK_LINK_PLANJSON_H

#include "penstock/Dialect/Pipe/IR/PipeOps.h"
#include "penstock/Dialect/Rt/IR/RtOps.h"
#include "penstock/Link/Weights.h"
#include "penstock/Support/ObjectEmitter.h"

namespace penstock {
namespace link {

/// Version of the schema that is written; the runtime reads the same (kPlanSchema).
inline constexpr int64_t kPlanSchemaVersion = 1;

/// File name of the executable that holds all stages.
inline constexpr const char *kAllInOne = "all-in-one";

/// A role whose files are written.
struct LinkedRole {
  rtir::RoleOp role;       ///< with offsets, hashes and fingerprint
  pipe::ProgramOp program; ///< it came from
  std::string executable;  ///< file name
  WeightsFile weights;
  std::vector<std::string> weightNames; ///< one per place of `weights`
};

/// The fields of the same name of `rt::Identity` (runtime/include/penstock/rt/Identity.h).
struct FolderIdentity {
  std::string fingerprint; ///< 64 hexadecimal digits
  std::string model, weights, cut, schedule, build;
};

struct PlanInfo {
  FolderIdentity identity;
  std::string version; ///< of the compiler
  TargetProfile profile;
  std::vector<std::string> libraries; ///< files in lib/
  int64_t microbatchRows = 0;         ///< rows of a microbatch where the batch is a symbol; 0: 1
  std::vector<std::string> flags;     ///< of the compilation, as far as they decide the bits of results
  bool allInOne = false;              ///< the folder has the executable of all stages
};

/// The text of plan.json.
llvm::Expected<std::string> writePlanJson(mlir::ModuleOp module, llvm::ArrayRef<LinkedRole> roles,
                                          const PlanInfo &info);

} // namespace link
} // namespace penstock

#endif // PENSTOCK_LINK_PLANJSON_H

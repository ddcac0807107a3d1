//===- KernelLibraries.h - What library kernels are linked with ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel that a library runs says which (`kernel.library`, a name and a version). Its role is linked with our glue
// for that library and with the library itself; other roles are not.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_LINK_KERNELLIBRARIES_H
#define PENSTOCK_LIB_LINK_KERNELLIBRARIES_H

#include "penstock/Dialect/Rt/IR/RtOps.h"
#include "penstock/Support/Error.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>
#include <vector>

namespace penstock {
namespace link {

/// Files of the installation that one role needs beside the runtime.
struct RoleNeeds {
  std::vector<std::string> archives;  ///< in link order
  std::vector<std::string> libraries; ///< in `shared/`
};

/// What the kernels and the threads of a role need. A library that no glue exists for is an error.
llvm::Expected<RoleNeeds> getRoleNeeds(mlir::ModuleOp module, rtir::RoleOp role);

} // namespace link
} // namespace penstock

#endif // PENSTOCK_LIB_LINK_KERNELLIBRARIES_H

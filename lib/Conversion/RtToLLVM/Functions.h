//===- Functions.h - The code of a role ------------------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The two functions that the table of a role points at. Both are built straight into the role's module.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_CONVERSION_RTTOLLVM_FUNCTIONS_H
#define PENSTOCK_LIB_CONVERSION_RTTOLLVM_FUNCTIONS_H

#include "Tables.h"
#include "penstock/Dialect/Rt/IR/RtOps.h"

namespace penstock {

/// `void extents(const int64_t *symbols, int64_t *extents)`; the name of the function, "" when there are none.
std::string createExtentsFunction(mlir::ModuleOp module, rtir::RoleOp role);

/// `int32_t program(rt_ctx *)`; the name of the function.
std::string createProgramFunction(mlir::ModuleOp module, rtir::RoleOp role, TableBuilder &tables);

} // namespace penstock

#endif // PENSTOCK_LIB_CONVERSION_RTTOLLVM_FUNCTIONS_H

//===- RtToLLVM.h - From calls of the runtime to LLVM ----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_CONVERSION_RTTOLLVM_RTTOLLVM_H
#define PENSTOCK_CONVERSION_RTTOLLVM_RTTOLLVM_H

#include "penstock/Dialect/Rt/IR/RtOps.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/Pass.h"

namespace penstock {

/// The module of one role, named as the role. Errors are diagnostics at the role; then the result is null.
mlir::OwningOpRef<mlir::ModuleOp> convertRoleToLLVM(rtir::RoleOp role);

/// The symbol that the module of a role defines: penstock_role_K.
std::string getRoleSymbol(int64_t role);

/// A module that lists the roles 0 to `numRoles` - 1 for the executable that holds them all, as Abi.h says.
mlir::OwningOpRef<mlir::ModuleOp> createRoleList(mlir::MLIRContext *context, int64_t numRoles);

#define GEN_PASS_DECL
#include "penstock/Conversion/RtToLLVM/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "penstock/Conversion/RtToLLVM/Passes.h.inc"

} // namespace penstock

#endif // PENSTOCK_CONVERSION_RTTOLLVM_RTTOLLVM_H

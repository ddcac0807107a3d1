//===- RtOps.h - The rt dialect and its ops --------------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Everything that TableGen makes from RtOps.td, and the numbers of the runtime's element types.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_RT_IR_RTOPS_H
#define PENSTOCK_DIALECT_RT_IR_RTOPS_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include <optional>
#include <vector>

namespace penstock::rtir {
class ChannelOp;
class StorageOp;
class StepOp;
class ProgramOp;

/// The number of an element type in the runtime (rt_dtype); nothing if it has none.
std::optional<int32_t> getRuntimeType(mlir::Type elementType);
/// Its name in plan.json: "f32", "i64", "bool", ...
llvm::StringRef getRuntimeTypeName(int32_t runtimeType);
} // namespace penstock::rtir

#include "penstock/Dialect/Rt/IR/RtDialect.h.inc"
#include "penstock/Dialect/Rt/IR/RtEnums.h.inc"
#define GET_OP_CLASSES
#include "penstock/Dialect/Rt/IR/RtOps.h.inc"

#endif // PENSTOCK_DIALECT_RT_IR_RTOPS_H

//===- RtDialect.cpp - Calls of the runtime -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The dialect, and the element types that it shares with the runtime by number.
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Rt/IR/RtOps.h"

#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;
using namespace penstock::rtir;

#include "penstock/Dialect/Rt/IR/RtDialect.cpp.inc"
#include "penstock/Dialect/Rt/IR/RtEnums.cpp.inc"

void RtDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "penstock/Dialect/Rt/IR/RtOps.cpp.inc"
      >();
}

namespace {
/// The numbers of rt_dtype, which are those of ONNX.
struct TypeRow {
  int32_t number;
  StringLiteral name;
};
} // namespace

static constexpr TypeRow kTypes[] = {{1, "f32"},  {2, "u8"},   {3, "i8"},   {4, "u16"},  {5, "i16"},
                                     {6, "i32"},  {7, "i64"},  {9, "bool"}, {10, "f16"}, {11, "f64"},
                                     {12, "u32"}, {13, "u64"}, {16, "bf16"}};

static std::string nameOf(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type)) {
    if (integer.getWidth() == 1)
      return "bool";
    return (integer.isUnsigned() ? "u" : "i") + std::to_string(integer.getWidth());
  }
  std::string name;
  llvm::raw_string_ostream(name) << type;
  return name;
}

std::optional<int32_t> penstock::rtir::getRuntimeType(Type elementType) {
  std::string name = nameOf(elementType);
  for (const TypeRow &row : kTypes)
    if (row.name == name)
      return row.number;
  return std::nullopt;
}

StringRef penstock::rtir::getRuntimeTypeName(int32_t runtimeType) {
  for (const TypeRow &row : kTypes)
    if (row.number == runtimeType)
      return row.name;
  return "";
}

//===- Tables.h - Constant tables in the LLVM dialect ----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Builds read-only globals out of numbers, strings and pointers to other globals. The structs of Abi.h are named here,
// field by field in their order; a test compares their layout with what the C compiler makes of the header.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_CONVERSION_RTTOLLVM_TABLES_H
#define PENSTOCK_LIB_CONVERSION_RTTOLLVM_TABLES_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

#include <variant>

namespace penstock {

/// A field of a row: a number (its width is the field's), the name of a global or function ("" is null), or bytes.
using Field = std::variant<int64_t, std::string, std::vector<uint8_t>>;
using Row = std::vector<Field>;

/// Types of the structs of Abi.h.
class AbiTypes {
public:
  explicit AbiTypes(mlir::MLIRContext *context);
  mlir::LLVM::LLVMStructType channel, storage, step, role;
  mlir::Type ptr, i8, i32, i64;
};

class TableBuilder {
public:
  TableBuilder(mlir::ModuleOp module, const AbiTypes &types)
      : types(types), module(module), builder(mlir::OpBuilder::atBlockEnd(module.getBody())), loc(module.getLoc()) {}

  /// Each returns the name of a global; equal strings share one. Empty tables are null: "".
  std::string addString(llvm::StringRef text);
  std::string addNumbers(llvm::ArrayRef<int64_t> numbers, unsigned width);
  std::string addPointers(llvm::ArrayRef<std::string> names);
  std::string addBytes(llvm::StringRef bytes, uint64_t alignment);
  /// An ELF note of the executable.
  std::string addNote(llvm::StringRef text);
  std::string addRows(llvm::StringRef name, mlir::LLVM::LLVMStructType type, llvm::ArrayRef<Row> rows);
  /// One visible struct.
  void addStruct(llvm::StringRef name, mlir::LLVM::LLVMStructType type, const Row &row);
  /// A struct of another module; returns its name.
  std::string declareStruct(llvm::StringRef name, mlir::LLVM::LLVMStructType type);
  /// A visible table of addresses, and a visible i32.
  void addVisiblePointers(llvm::StringRef name, llvm::ArrayRef<std::string> names);
  void addVisibleNumber(llvm::StringRef name, int64_t number);

private:
  std::string freshName(llvm::StringRef stem);
  void addPointerTable(llvm::StringRef name, llvm::ArrayRef<std::string> names, mlir::LLVM::Linkage linkage);
  mlir::Value buildField(mlir::Type type, const Field &field);
  mlir::Value buildStruct(mlir::LLVM::LLVMStructType type, const Row &row);
  mlir::LLVM::GlobalOp addGlobal(llvm::StringRef name, mlir::Type type, mlir::LLVM::Linkage linkage,
                                 llvm::function_ref<mlir::Value()> initialize);

  const AbiTypes &types;
  mlir::ModuleOp module;
  mlir::OpBuilder builder;
  mlir::Location loc;
  llvm::StringMap<std::string> strings;
  unsigned numGlobals = 0;
};

} // namespace penstock

#endif // PENSTOCK_LIB_CONVERSION_RTTOLLVM_TABLES_H

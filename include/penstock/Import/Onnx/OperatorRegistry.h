//===- OperatorRegistry.h - Converters of ONNX operators -------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one table of operators that the importer converts itself, keyed by domain, name and since-version. Each file of
// lib/Import/Onnx/Ops adds one family. To add an operator: write its converter in the family's file and a line in that
// file's `register` function; to change one in a new operator set: add a line with the new since-version.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_IMPORT_ONNX_OPERATORREGISTRY_H
#define PENSTOCK_IMPORT_ONNX_OPERATORREGISTRY_H

#include "mlir/Support/LLVM.h"
#include "penstock/Import/Onnx/OnnxImporter.h"
#include <functional>
#include <map>

namespace penstock::onnximport {

class NodeContext;
/// Converts one node; on failure an error has been emitted.
using Converter = std::function<mlir::LogicalResult(NodeContext &)>;

class OperatorRegistry {
public:
  /// The table with every family in it.
  static OperatorRegistry createDefault();

  /// `converter` serves the operator from `sinceVersion` of its operator set on, until the next line for it.
  void add(llvm::StringRef domain, llvm::StringRef name, int sinceVersion, Converter converter);
  void add(llvm::StringRef name, int sinceVersion, Converter converter) { add("", name, sinceVersion, converter); }

  /// The converter at that version of the operator set, or null.
  const Converter *find(llvm::StringRef domain, llvm::StringRef name, int opset) const;
  std::vector<SupportedOperator> list() const;

private:
  std::map<std::pair<std::string, std::string>, std::map<int, Converter>> table;
};

} // namespace penstock::onnximport

#endif

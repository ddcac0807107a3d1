//===- TestModels.h - Models written as text, imported ---------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tests write a model in ONNX's textual form and look at the module, as text, or at the errors.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_UNIT_IMPORT_TESTMODELS_H
#define PENSTOCK_TEST_UNIT_IMPORT_TESTMODELS_H

#include "mlir/IR/MLIRContext.h"
#include "onnx/onnx_pb.h"
#include "penstock/Import/Onnx/OnnxImporter.h"
#include <functional>
#include <string>
#include <vector>

namespace penstock::onnximport {

struct Imported {
  bool ok = false;
  std::string module; ///< printed, runs of spaces as one
  std::string errors; ///< one a line

  bool has(const std::string &text) const { return module.find(text) != std::string::npos; }
  bool failedWith(const std::string &text) const { return !ok && errors.find(text) != std::string::npos; }
};

/// The model of an ONNX text. A text that does not parse fails the test.
onnx::ModelProto parseModel(const std::string &text);
/// Operator set 18 around a graph's text: `agraph (float[N] x) => (float[N] y) { y = Relu(x) }`.
onnx::ModelProto parseGraph(const std::string &graph, int opset = 18);

Imported importBytes(const std::string &bytes, const ImportOptions &options = {});
Imported importModel(const onnx::ModelProto &model, const ImportOptions &options = {});
Imported importGraph(const std::string &graph, const ImportOptions &options = {}, int opset = 18);
Imported importFile(const std::string &path, const ImportOptions &options = {});

} // namespace penstock::onnximport

#endif

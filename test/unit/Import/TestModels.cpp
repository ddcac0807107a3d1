//===- TestModels.cpp - Models written as text, imported -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "TestModels.h"
#include "onnx/defs/parser.h"
#include "gtest/gtest.h"
#include <algorithm>

namespace penstock::onnximport {

onnx::ModelProto parseModel(const std::string &text) {
  onnx::ModelProto model;
  onnx::OnnxParser parser(text.c_str());
  onnx::Common::Status status = parser.Parse(model);
  EXPECT_TRUE(status.IsOK()) << status.ErrorMessage() << "\n" << text;
  return model;
}

onnx::ModelProto parseGraph(const std::string &graph, int opset) {
  return parseModel("<ir_version: 8, opset_import: [\"\" : " + std::to_string(opset) + "]>\n" + graph);
}

static Imported
runImport(const std::function<mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>(mlir::MLIRContext &)> &import) {
  mlir::MLIRContext context;
  Imported result;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    result.errors += diagnostic.str() + "\n";
    return mlir::success();
  });
  auto module = import(context);
  result.ok = mlir::succeeded(module);
  EXPECT_EQ(result.ok, result.errors.empty()) << result.errors;
  if (result.ok)
    llvm::raw_string_ostream(result.module) << **module;
  // Runs of spaces say nothing.
  auto bothSpaces = [](char a, char b) { return a == ' ' && b == ' '; };
  result.module.erase(std::unique(result.module.begin(), result.module.end(), bothSpaces), result.module.end());
  return result;
}

Imported importBytes(const std::string &bytes, const ImportOptions &options) {
  return runImport([&](mlir::MLIRContext &context) { return importOnnxBuffer(context, bytes, "model.onnx", options); });
}
Imported importModel(const onnx::ModelProto &model, const ImportOptions &options) {
  return importBytes(model.SerializeAsString(), options);
}
Imported importGraph(const std::string &graph, const ImportOptions &options, int opset) {
  return importModel(parseGraph(graph, opset), options);
}
Imported importFile(const std::string &path, const ImportOptions &options) {
  return runImport([&](mlir::MLIRContext &context) { return importOnnxModel(context, path, options); });
}

} // namespace penstock::onnximport

//===- ImportFuzzer.cpp - Any bytes to the importer -------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The importer either gives a module that verifies, or reports an error; it never crashes, throws or hangs. External
// data are looked for in a folder that does not exist.
//===----------------------------------------------------------------------===//
#include "penstock/Import/Onnx/OnnxImporter.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;

/// Exits by abort, which libFuzzer reports together with the input, when a promise of the importer is broken.
static void require(bool condition, const char *what) {
  if (condition)
    return;
  llvm::errs() << "broken promise: " << what << "\n";
  abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t numBytes) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  bool hasError = false;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    hasError |= diagnostic.getSeverity() == DiagnosticSeverity::Error;
    return success();
  });
  StringRef bytes(reinterpret_cast<const char *>(data), numBytes);
  auto module = penstock::onnximport::importOnnxBuffer(context, bytes, "/nonexistent/fuzz.onnx");
  if (failed(module))
    require(hasError, "a failed import reports an error");
  else
    require(succeeded(verify(module->get())), "an imported module verifies");
  return 0;
}

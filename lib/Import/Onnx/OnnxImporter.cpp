//===- OnnxImporter.cpp - From an ONNX file to the nn dialect -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Import/Onnx/OnnxImporter.h"
#include "Checks.h"
#include "GraphImporter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/Path.h"
#include <exception>

namespace penstock::onnximport {
namespace {

using OwnedModule = OwningOpRef<ModuleOp>;

/// Everything after the file is open. Errors have no file name yet.
FailureOr<OwnedModule> importFile(MLIRContext &context, ModelFile &file, const ImportOptions &options) {
  OperatorRegistry registry = OperatorRegistry::createDefault();
  if (failed(checkModel(context, file, registry)))
    return failure();
  OwnedModule module = ModuleOp::create(UnknownLoc::get(&context));
  (*module)->setAttr("nn.model", StringAttr::get(&context, llvm::sys::path::filename(file.getPath())));
  GraphImporter importer(*module, file, options, registry);
  if (failed(importer.importModel()) || failed(verify(*module)))
    return failure();
  return module;
}

/// Runs `body` so that every error begins with the file's name.
template <typename Function> auto withFileName(MLIRContext &context, StringRef path, Function body) {
  struct Message {
    Location loc;
    std::string text;
  };
  std::vector<Message> messages;
  auto result = [&] {
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
        return failure();
      messages.push_back({diagnostic.getLocation(), diagnostic.str()});
      return success();
    });
    return body();
  }();
  for (const Message &message : messages)
    emitError(message.loc) << path << ": " << message.text;
  return result;
}

FailureOr<OwnedModule> importOpened(MLIRContext &context, StringRef path, const ImportOptions &options,
                                    llvm::function_ref<std::unique_ptr<ModelFile>(std::string &)> open) {
  context.loadDialect<nn::NNDialect, func::FuncDialect>();
  return withFileName(context, path, [&]() -> FailureOr<OwnedModule> {
    std::string error;
    std::unique_ptr<ModelFile> file = open(error);
    if (!file)
      return emitError(UnknownLoc::get(&context)) << error, failure();
    try {
      return importFile(context, *file, options);
    } catch (const std::exception &problem) { // ONNX's library says so where it meets what its checker let through
      return emitError(UnknownLoc::get(&context)) << "not a valid ONNX model: " << problem.what(), failure();
    }
  });
}

} // namespace

FailureOr<OwnedModule> importOnnxModel(MLIRContext &context, StringRef path, const ImportOptions &options) {
  return importOpened(context, path, options, [&](std::string &error) {
    return ModelFile::open(path, options.externalDataDirs, error, options.numbersNodes);
  });
}

FailureOr<OwnedModule> importOnnxBuffer(MLIRContext &context, StringRef bytes, StringRef path,
                                        const ImportOptions &options) {
  return importOpened(context, path, options, [&](std::string &error) {
    return ModelFile::parse(bytes, path, options.externalDataDirs, error);
  });
}

FailureOr<std::vector<OperatorUse>> listOperators(MLIRContext &context, StringRef path, const ImportOptions &options) {
  return withFileName(context, path, [&]() -> FailureOr<std::vector<OperatorUse>> {
    std::string error;
    std::unique_ptr<ModelFile> file = ModelFile::open(path, options.externalDataDirs, error);
    if (!file)
      return emitError(UnknownLoc::get(&context)) << error, failure();
    return collectOperators(file->getModel(), OperatorRegistry::createDefault());
  });
}

} // namespace penstock::onnximport

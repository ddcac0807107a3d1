//===- main.cpp - a language server for editors of Penstock's IR -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// MLIR's language server with the dialects that dumps are written in: errors, definitions and hover texts in an editor.
//===----------------------------------------------------------------------===//
#include "penstock/Driver/Compiler.h"

#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  penstock::driver::registerDialects(registry);
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}

//===- ImportFlags.h - Flags about a model's inputs ------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// --dim, --shape, --bind, --state and --external-data-dir, as every command has them that reads a model.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TOOLS_PENSTOCK_IMPORTFLAGS_H
#define PENSTOCK_TOOLS_PENSTOCK_IMPORTFLAGS_H

#include "penstock/Import/Onnx/OnnxImporter.h"

#include <CLI/CLI.hpp>

namespace penstock::tool {

class ImportFlags {
public:
  void addTo(CLI::App &app, onnximport::ImportOptions &options);
  /// Reads the texts into the options. False after a message on stderr.
  bool parse(onnximport::ImportOptions &options) const;

private:
  std::vector<std::string> dims, shapes, binds, states;
};

} // namespace penstock::tool

#endif // PENSTOCK_TOOLS_PENSTOCK_IMPORTFLAGS_H

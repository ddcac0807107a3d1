//===- ImportFlags.cpp - Flags about a model's inputs -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "ImportFlags.h"

#include "llvm/Support/raw_ostream.h"

namespace penstock::tool {

void ImportFlags::addTo(CLI::App &app, onnximport::ImportOptions &options) {
  app.add_option("--dim", dims, "fix a free dimension (NAME=N) or bound it (NAME=LO..HI[:TYPICAL])")
      ->type_name("NAME=RANGE");
  app.add_option("--shape", shapes, "shape of an input, as x=1x3x224x224")->type_name("INPUT=SHAPE");
  app.add_option("--bind", binds, "make an input a constant")->type_name("INPUT=VALUE");
  app.add_option("--state", states, "feed output OUT back as input IN of the next request")->type_name("IN=OUT");
  app.add_option("--external-data-dir", options.externalDataDirs,
                 "folder besides the model's own in which external data may lie")
      ->type_name("DIR");
}

bool ImportFlags::parse(onnximport::ImportOptions &options) const {
  using Parser = mlir::LogicalResult (*)(llvm::StringRef, onnximport::ImportOptions &, std::string &);
  auto parseAll = [&](const char *flag, const std::vector<std::string> &texts, Parser parser) {
    for (const std::string &text : texts) {
      std::string error;
      if (mlir::failed(parser(text, options, error))) {
        llvm::errs() << "error: " << flag << " " << text << ": " << error << "\n";
        return false;
      }
    }
    return true;
  };
  return parseAll("--dim", dims, onnximport::parseDimOption) &&
         parseAll("--shape", shapes, onnximport::parseShapeOption) &&
         parseAll("--bind", binds, onnximport::parseBindOption) &&
         parseAll("--state", states, onnximport::parseStateOption);
}

} // namespace penstock::tool

//===- CaseFlags.cpp - What programs on a GPU are told ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CaseFlags.h"

#include <CLI/CLI.hpp>

using namespace penstock::test;

std::optional<int> penstock::test::parse(int argc, char **argv, const char *about, CaseFlags &flags,
                                         const std::function<void(CLI::App &)> &addMore) {
  CLI::App app(about);
  app.add_option("FOLDER", flags.folder, "what gpu_cases has written")->required();
  app.add_option("--filter", flags.filter, "only cases whose name has this in it");
  app.add_option("--json", flags.jsonFile, "a file for what was found");
  addMore(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

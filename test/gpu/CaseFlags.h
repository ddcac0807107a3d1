//===- CaseFlags.h - What programs on a GPU are told --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_CASEFLAGS_H
#define PENSTOCK_TEST_GPU_CASEFLAGS_H

#include <functional>
#include <optional>
#include <string>

namespace CLI {
class App;
} // namespace CLI

namespace penstock::test {

struct CaseFlags {
  std::string folder, filter, jsonFile;
};

/// `addMore`: flags of one program. The exit status, if the program is to end: what is wrong, or the help, is printed.
std::optional<int> parse(int argc, char **argv, const char *about, CaseFlags &flags,
                         const std::function<void(CLI::App &)> &addMore);

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_CASEFLAGS_H

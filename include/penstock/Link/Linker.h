//===- Linker.h - Objects in, one executable out ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Links the executable of a role inside this process, with lld as a library: no compiler, no linker and no development
// files are needed on the user's machine (see Installation.h). The result is position independent, finds its libraries
// in `lib/` beside it, and is the same byte for byte for the same inputs: no time, no path and no random number goes
// into it.
//
// lld keeps its state in globals. Calls are therefore serialized, and run on one thread of lld. Two limits follow, both
// handled here: lld resets LLVM's command line options (`cl::opt`) to their defaults, so a tool reads its own before it
// links; and after a fatal error of lld (a damaged object; ordinary errors such as undefined symbols are not of this
// kind) its memory cannot be trusted, so further calls in this process are refused with an error that says so.
//
// Errors: one line that names the executable, lld's words and the objects concerned.
// Threads: any; a call waits for the one before.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LINK_LINKER_H
#define PENSTOCK_LINK_LINKER_H

#include "penstock/Link/Installation.h"

namespace penstock {
namespace link {

struct LinkRequest {
  /// Paths of relocatable objects, in link order. One of them, or an archive, defines `main`.
  std::vector<std::string> objects;
  /// Archives of the installation beside the static C++ runtime, in link order.
  std::vector<std::string> archives = {"libPenstockRuntime.a", "libPenstockPlace.a"};
  /// Shared libraries of the installation's `shared/` folder ("libdnnl.so.2"); the executable looks for them in
  /// `$ORIGIN/lib`.
  std::vector<std::string> libraries;
  /// Other names of symbols that the objects define: {"penstock_role", "penstock_role_2"}.
  std::vector<std::pair<std::string, std::string>> aliases;
  /// Path of the executable; replaced if it is there. Its folder must exist.
  std::string output;
};

llvm::Error linkExecutable(const Installation &installation, const LinkRequest &request);

} // namespace link
} // namespace penstock

#endif // PENSTOCK_LINK_LINKER_H

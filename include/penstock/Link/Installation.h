//===- Installation.h - What the linker takes from our own folder -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Executables are linked on machines without a compiler and without system development files. All that the linker
// reads lies in one folder, `lib/penstock` beside the tool's `bin`, filled when Penstock is built:
//
//   libPenstockRuntime.a libPenstockPlace.a      the runtime
//   libPenstockLaunch.a libPenstockHost.a libz.a the parts of launch, for the executable of all stages
//   Scrt1.o crti.o crtbeginS.o crtendS.o crtn.o  start-up code
//   libstdc++.a libgcc.a libgcc_eh.a             static parts of the C++ runtime
//   libc.so.6 libm.so.6 libc_nonshared.a ...     what symbols of the C library are resolved against; the executables
//                                                load the C library of the machine on which they run
//   launch                                       the program copied into every folder
//   shared/                                      libraries copied beside executables that need them
//   notices/                                     their licences, one file per library: `<library>.txt`
//
// Errors: an incomplete installation is the world's fault. Threads: const after locate().
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LINK_INSTALLATION_H
#define PENSTOCK_LINK_INSTALLATION_H

#include "penstock/Support/Error.h"

#include <string>
#include <vector>

namespace penstock {
namespace link {

class Installation {
public:
  /// The folder that belongs to the running program: `../lib/penstock` or `../../lib/penstock` seen from the
  /// executable, or else from the library that holds this code (the Python module).
  static llvm::Expected<Installation> locate();
  /// A folder named by the caller.
  static llvm::Expected<Installation> at(llvm::StringRef folder);

  const std::string &getFolder() const { return folder; }
  /// Full path of one file; it is an error that it is not there.
  llvm::Expected<std::string> find(llvm::StringRef name) const;
  /// File names in `shared/` that must lie beside an executable which needs `libraries`: these, and in turn what they
  /// need, without the C library; sorted.
  llvm::Expected<std::vector<std::string>> closeOver(llvm::ArrayRef<std::string> libraries) const;

private:
  explicit Installation(std::string folder) : folder(std::move(folder)) {}
  std::string folder;
};

} // namespace link
} // namespace penstock

#endif // PENSTOCK_LINK_INSTALLATION_H

//===- Files.h - Files that are whole, folders for a moment ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_SUPPORT_FILES_H
#define PENSTOCK_SUPPORT_FILES_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

#include <string>

namespace penstock {

/// Writes a file that appears as a whole or not at all: under a name beside `path` that nobody can guess, and that was
/// not there before, until it is complete. It gets the permissions `mode`, as far as the umask allows them. What stood
/// at `path`, a symbolic link included, is replaced and not followed; only pipes and devices are written to as they
/// are.
llvm::Error writeWholeFile(llvm::StringRef path, llvm::function_ref<void(llvm::raw_ostream &)> write,
                           unsigned mode = 0666);

/// A folder that did not exist before, with a name that nobody can guess, for its owner alone (mode 0700) whatever the
/// umask; removed with all that is in it when the object goes.
class PrivateFolder {
public:
  /// In the folder for temporary files.
  static llvm::Expected<PrivateFolder> createTemporary();
  /// Beside `path`.
  static llvm::Expected<PrivateFolder> createBeside(llvm::StringRef path);

  PrivateFolder(PrivateFolder &&other) noexcept : path(std::move(other.path)) { other.path.clear(); }
  PrivateFolder &operator=(PrivateFolder &&) = delete;
  ~PrivateFolder();

  const std::string &getPath() const { return path; }

private:
  explicit PrivateFolder(std::string path) : path(std::move(path)) {}
  static llvm::Expected<PrivateFolder> create(std::string pattern, llvm::StringRef wished);

  std::string path;
};

} // namespace penstock

#endif // PENSTOCK_SUPPORT_FILES_H

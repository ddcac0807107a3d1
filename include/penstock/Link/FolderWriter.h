//===- FolderWriter.h - A folder that appears as a whole ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Files are written into a temporary folder beside the wished one, which only its owner may enter, and which then takes
// its place in one step: whoever looks sees the old folder or the new one, never a part. A writer that is destroyed
// before commit() removes what it wrote; what a killed one leaves is removed by the next writer of the same target.
//
// An existing folder is replaced if Penstock wrote it (its plan.json says so) or if it is empty; anything else in the
// way is refused, when the writer is created and again at the exchange.
//
// Errors: a place that cannot be written is the user's fault, a full disk the world's. Threads: one per writer.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LINK_FOLDERWRITER_H
#define PENSTOCK_LINK_FOLDERWRITER_H

#include "penstock/Support/Error.h"

#include <string>

namespace penstock {
namespace link {

class FolderWriter {
public:
  static llvm::Expected<FolderWriter> create(llvm::StringRef target);
  FolderWriter(FolderWriter &&other);
  FolderWriter &operator=(FolderWriter &&) = delete;
  ~FolderWriter();

  /// Path of a file inside the temporary folder, where others may write it.
  std::string path(llvm::StringRef name) const;
  llvm::Error createFolder(llvm::StringRef name);
  llvm::Error writeFile(llvm::StringRef name, llvm::StringRef bytes);
  /// `isExecutable` sets the permission to run it; otherwise it is a plain file, whatever the original is.
  llvm::Error copyFile(llvm::StringRef from, llvm::StringRef name, bool isExecutable);
  void removeFolder(llvm::StringRef name);

  /// The temporary folder becomes the target.
  llvm::Error commit();

private:
  FolderWriter(std::string target, std::string temporary);
  llvm::Error exchange();

  std::string target, temporary; ///< `temporary` is empty once nothing is to be removed
  int lock = -1;                 ///< held on the temporary folder while its writer lives
};

} // namespace link
} // namespace penstock

#endif // PENSTOCK_LINK_FOLDERWRITER_H

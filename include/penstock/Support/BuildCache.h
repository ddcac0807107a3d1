//===- BuildCache.h - What was made before, by what it was made of -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A folder with one file per entry, named by a hash of all that the entry was made of: the caller's text, and the
// program itself (ProgramIdentity.h). What is found has the bytes that making it again would give, so nothing but time
// depends on the cache.
//
// Entries are what code will be run from, so the folder is nobody else's: it is made with mode 0700, and one that
// belongs to another user or that others may enter is refused. An entry is written under another name and renamed, so
// any number of programs may use the folder at once; it carries its key and a checksum, and one that is damaged is
// removed and counts as absent. What has not been used for longest goes when the folder grows above its limit, or above
// half of what its disk has free.
//
// Units: bytes. Threads: find() and add() from any. Errors: only of open(), the user's; what cannot be written later is
// not kept, and that is no failure.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_SUPPORT_BUILDCACHE_H
#define PENSTOCK_SUPPORT_BUILDCACHE_H

#include "penstock/Support/Error.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>

namespace penstock {

class BuildCache {
public:
  static constexpr int64_t kDefaultLimitBytes = int64_t(1) << 30;

  /// Opens `folder`, and makes it and those above it if they are not there.
  static llvm::Expected<std::unique_ptr<BuildCache>> open(llvm::StringRef folder,
                                                          int64_t limitBytes = kDefaultLimitBytes);
  ~BuildCache();
  BuildCache(const BuildCache &) = delete;
  BuildCache &operator=(const BuildCache &) = delete;

  /// The bytes that were kept for `key`, which says all that they are made of, except this program.
  std::optional<std::string> find(llvm::StringRef key);
  void add(llvm::StringRef key, llvm::StringRef bytes);
  /// Removes what is too much. Does nothing when nothing was added.
  void prune();

  const std::string &getFolder() const { return folder; }
  /// Entries that were found damaged, and removed.
  int64_t getNumDamaged() const { return numDamaged; }

private:
  BuildCache(std::string folder, int descriptor, int64_t limitBytes);
  /// Of a file in the folder that `descriptor` stands for.
  std::string getPath(llvm::StringRef name) const;

  std::string folder, identity;
  int descriptor; ///< of the folder: what is meant stays the same whatever becomes of its name
  int64_t limitBytes;
  std::atomic<int64_t> numDamaged{0}, numAdded{0};
};

/// `penstock/kernels` in the user's cache folder (XDG_CACHE_HOME, else ~/.cache); empty when the user has none.
std::string getDefaultCacheFolder();
/// The user's cache folder, or an empty text.
std::string getUserCacheFolder();

} // namespace penstock

#endif // PENSTOCK_SUPPORT_BUILDCACHE_H

//===- BuildCache.cpp - What was made before, by what it was made of -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Support/BuildCache.h"

#include "penstock/Support/Files.h"
#include "penstock/Support/ProgramIdentity.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/CachePruning.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace penstock;

/// The prefix by which llvm::pruneCache knows what it may remove.
static constexpr const char *kPrefix = "llvmcache-";

namespace {
using Hash = std::array<uint8_t, 32>;

/// What a file begins with. The checksum is over the key's hash and the bytes.
struct Head {
  char magic[8] = {'P', 'N', 'S', 'T', 'K', 'C', 'C', '1'};
  uint64_t numBytes = 0;
  Hash checksum = {};
};
static_assert(sizeof(Head) == 48, "the format has no gaps");

class Hasher {
public:
  /// Lengths too, so that no two lists of texts are the same bytes.
  Hasher &add(llvm::StringRef text) {
    uint64_t length = text.size();
    state.update(llvm::ArrayRef<uint8_t>(reinterpret_cast<const uint8_t *>(&length), sizeof(length)));
    state.update(text);
    return *this;
  }
  Hash get() { return state.final<32>(); }

private:
  llvm::BLAKE3 state;
};
} // namespace

static llvm::StringRef textOf(const Hash &hash) { return {reinterpret_cast<const char *>(hash.data()), hash.size()}; }
static Hash getChecksum(const Hash &key, llvm::StringRef bytes) { return Hasher().add(textOf(key)).add(bytes).get(); }
static std::string getName(const Hash &key) { return kPrefix + llvm::toHex(key, /*LowerCase=*/true); }

static bool readAll(int file, char *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t count = ::read(file, bytes + done, length - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    done += count;
  }
  return true;
}

/// Ours, and closed to all others.
static llvm::Error checkFolder(int descriptor, llvm::StringRef folder) {
  struct stat status;
  if (::fstat(descriptor, &status))
    return systemError("open cache folder", folder, errno);
  if (status.st_uid != ::geteuid())
    return userError("cache folder '{0}' belongs to user {1}; expected one of user {2}, or --no-cache", folder,
                     status.st_uid, ::geteuid());
  if (status.st_mode & 077)
    return userError(
        "cache folder '{0}' has mode {1}, and others may enter it; expected mode 700, or --no-cache", folder,
        llvm::utostr((status.st_mode >> 6 & 7) * 100 + (status.st_mode >> 3 & 7) * 10 + (status.st_mode & 7)));
  return llvm::Error::success();
}

BuildCache::BuildCache(std::string folder, int descriptor, int64_t limitBytes)
    : folder(std::move(folder)), descriptor(descriptor), limitBytes(limitBytes) {}

BuildCache::~BuildCache() { ::close(descriptor); }

llvm::Expected<std::unique_ptr<BuildCache>> BuildCache::open(llvm::StringRef folder, int64_t limitBytes) {
  std::string path = folder.str();
  llvm::StringRef parent = llvm::sys::path::parent_path(folder);
  if (std::error_code code = parent.empty() ? std::error_code() : llvm::sys::fs::create_directories(parent))
    return systemError("create cache folder", folder, code.value());
  if (::mkdir(path.c_str(), 0700) && errno != EEXIST)
    return systemError("create cache folder", folder, errno);
  int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return systemError("open cache folder", folder, errno);
  std::unique_ptr<BuildCache> cache(new BuildCache(path, descriptor, limitBytes));
  if (llvm::Error error = checkFolder(descriptor, folder))
    return std::move(error);
  llvm::Expected<std::string> identity = getProgramIdentity();
  if (!identity)
    return identity.takeError();
  cache->identity = std::move(*identity);
  return std::move(cache);
}

/// The bytes of an entry, if they are those that were written for this key.
static std::optional<std::string> readEntry(int file, const Hash &key) {
  Head head;
  struct stat status;
  if (::fstat(file, &status) || status.st_size < static_cast<off_t>(sizeof(head)) ||
      !readAll(file, reinterpret_cast<char *>(&head), sizeof(head)) ||
      std::memcmp(head.magic, Head().magic, sizeof(head.magic)) != 0 ||
      head.numBytes != static_cast<uint64_t>(status.st_size) - sizeof(head))
    return std::nullopt;
  std::string bytes(head.numBytes, 0);
  if (!readAll(file, bytes.data(), bytes.size()) || getChecksum(key, bytes) != head.checksum)
    return std::nullopt;
  return bytes;
}

std::optional<std::string> BuildCache::find(llvm::StringRef text) {
  Hash key = Hasher().add(identity).add(text).get();
  std::string name = getName(key);
  int file = ::openat(descriptor, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0)
    return std::nullopt;
  std::optional<std::string> bytes = readEntry(file, key);
  if (bytes) {
    // What is used is what stays longest; many file systems do not note that by themselves.
    struct timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    (void)::futimens(file, times);
  } else {
    ++numDamaged;
    (void)::unlinkat(descriptor, name.c_str(), 0);
  }
  ::close(file);
  return bytes;
}

std::string BuildCache::getPath(llvm::StringRef name) const {
  return "/proc/self/fd/" + std::to_string(descriptor) + "/" + name.str();
}

void BuildCache::add(llvm::StringRef text, llvm::StringRef bytes) {
  Hash key = Hasher().add(identity).add(text).get();
  Head head;
  head.numBytes = bytes.size();
  head.checksum = getChecksum(key, bytes);
  ++numAdded;
  // The name while it is written has the prefix too, so that what a killed program leaves behind is pruned.
  auto write = [&](llvm::raw_ostream &os) { os.write(reinterpret_cast<const char *>(&head), sizeof(head)) << bytes; };
  llvm::consumeError(writeWholeFile(getPath(getName(key)), write, /*mode=*/0600));
}

void BuildCache::prune() {
  if (numAdded == 0)
    return;
  llvm::CachePruningPolicy policy;
  policy.Interval = std::chrono::seconds(0);
  policy.Expiration = std::chrono::seconds(0);
  policy.MaxSizePercentageOfAvailableSpace = 50;
  policy.MaxSizeBytes = limitBytes;
  policy.MaxSizeFiles = 0;
  llvm::pruneCache(getPath(""), policy);
}

std::string penstock::getUserCacheFolder() {
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return cache;
  const char *home = std::getenv("HOME");
  return home && *home ? std::string(home) + "/.cache" : std::string();
}

std::string penstock::getDefaultCacheFolder() {
  std::string folder = getUserCacheFolder();
  return folder.empty() ? folder : folder + "/penstock/kernels";
}

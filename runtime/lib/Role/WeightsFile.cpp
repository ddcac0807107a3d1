//===- WeightsFile.cpp - The weights file of a role --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "WeightsFile.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>

namespace penstock {
namespace rt {

static constexpr int64_t kNameEveryNs = 100000000;

static std::string hexOf(const uint8_t *bytes) {
  std::string text;
  for (int i = 0; i < 16; ++i)
    text += format("%02x", bytes[i]);
  return text;
}

static bool sameTime(const timespec &a, const timespec &b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

/// A folder under the name that it keeps when the process changes its own.
static std::string absolutePath(const std::string &folder) {
  std::unique_ptr<char, void (*)(void *)> found(realpath(folder.empty() ? "." : folder.c_str(), nullptr), std::free);
  return found ? found.get() : folder;
}

Status WeightsFile::open(const rt_role_desc &role, const std::string &folder, int64_t verifyBytes,
                         const RunControl &control) {
  if (!role.weights_file || role.weights_bytes == 0)
    return Status();
  path = absolutePath(folder) + "/" + role.weights_file;
  fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)); // a pipe is refused, not waited for
  if (!fd.valid())
    return Status(Code::kInvalid, failErrno("cannot open the weights file '%s'", path.c_str()).message());
  if (fstat(fd.get(), &known) != 0)
    return failErrno("cannot tell the length of '%s'", path.c_str());
  if (!S_ISREG(known.st_mode))
    return fail(Code::kInvalid, "the weights file '%s' is not a regular file; the folder is damaged", path.c_str());
  if (known.st_size != role.weights_bytes)
    return fail(Code::kInvalid, "weights file '%s' has %lld bytes, expected %lld; the folder is damaged", path.c_str(),
                (long long)known.st_size, (long long)role.weights_bytes);
  if (Status status = Mapping::file(fd.get(), role.weights_bytes, path.c_str(), mapping); !status.ok())
    return status;
  Status gone =
      fail(Code::kInvalid, "weights file '%s' ended within what %s was reading; it was truncated while in use",
           path.c_str(), role.role_name);
  note = std::make_unique<BusErrorNote>(control, role.role, mapping.data(), mapping.bytes(), gone);
  return role.weights_bytes > verifyBytes ? Status() : verify(role.weights_hash);
}

Status WeightsFile::verify(const uint8_t (&expected)[16]) const {
  XXH128_canonical_t hash;
  XXH128_canonicalFromHash(&hash, XXH3_128bits(mapping.data(), size_t(mapping.bytes())));
  if (std::memcmp(hash.digest, expected, sizeof(hash.digest)) != 0)
    return fail(Code::kInvalid, "weights file '%s' has checksum %s, expected %s; the folder is damaged", path.c_str(),
                hexOf(hash.digest).c_str(), hexOf(expected).c_str());
  return Status();
}

Status WeightsFile::compare(int64_t nowNs) {
  struct stat now;
  if (fstat(fd.get(), &now) != 0)
    return failErrno("cannot look at the weights file '%s'", path.c_str());
  if (now.st_size != known.st_size)
    return fail(Code::kInvalid, "weights file '%s' had %lld bytes and has %lld; it was changed while in use",
                path.c_str(), (long long)known.st_size, (long long)now.st_size);
  if (!sameTime(now.st_mtim, known.st_mtim))
    return fail(Code::kInvalid, "weights file '%s' was written to while in use", path.c_str());
  if (nowNs < nextNameNs)
    return Status();
  nextNameNs = nowNs + kNameEveryNs;
  if (stat(path.c_str(), &now) != 0)
    return Status(Code::kInvalid, failErrno("weights file '%s' was removed while in use", path.c_str()).message());
  if (now.st_ino != known.st_ino || now.st_dev != known.st_dev)
    return fail(Code::kInvalid, "weights file '%s' was replaced by another file while in use", path.c_str());
  return Status();
}

} // namespace rt
} // namespace penstock

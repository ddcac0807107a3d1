//===- Weights.cpp - The weights file of a role ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Context.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

using namespace penstock;
using namespace penstock::rt;

static std::string hexOf(const uint8_t *bytes) {
  std::string text;
  for (int i = 0; i < 16; ++i)
    text += format("%02x", bytes[i]);
  return text;
}

Status rt_ctx::mapWeights(const std::string &where) {
  if (!desc.weights_file || desc.weights_bytes == 0)
    return Status();
  std::string path = where.empty() ? desc.weights_file : where + "/" + desc.weights_file;
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid())
    return Status(Code::kInvalid, failErrno("cannot open the weights file '%s'", path.c_str()).message());
  struct stat info;
  if (fstat(fd.get(), &info) != 0)
    return failErrno("cannot tell the length of '%s'", path.c_str());
  if (!S_ISREG(info.st_mode) || info.st_size != desc.weights_bytes)
    return fail(Code::kInvalid, "weights file '%s' has %lld bytes, expected %lld; the folder is damaged", path.c_str(),
                (long long)info.st_size, (long long)desc.weights_bytes);
  if (Status status = Mapping::file(fd.get(), desc.weights_bytes, path.c_str(), weights); !status.ok())
    return status;
  if (desc.weights_bytes > options.verifyBytes)
    return Status();
  XXH128_canonical_t hash;
  XXH128_canonicalFromHash(&hash, XXH3_128bits(weights.data(), size_t(desc.weights_bytes)));
  if (std::memcmp(hash.digest, desc.weights_hash, sizeof(hash.digest)) != 0)
    return fail(Code::kInvalid, "weights file '%s' has checksum %s, expected %s; the folder is damaged", path.c_str(),
                hexOf(hash.digest).c_str(), hexOf(desc.weights_hash).c_str());
  return Status();
}

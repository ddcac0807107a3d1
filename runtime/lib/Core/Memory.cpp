//===- Memory.cpp - Owned mappings and descriptors ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Memory.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

namespace penstock {
namespace rt {

void Fd::reset(int fd) {
  if (number >= 0)
    close(number);
  number = fd;
}

Mapping &Mapping::operator=(Mapping &&other) noexcept {
  if (this != &other) {
    reset();
    address = other.address, numBytes = other.numBytes;
    other.address = nullptr;
  }
  return *this;
}

void Mapping::reset() {
  if (address)
    munmap(address, static_cast<size_t>(numBytes));
  address = nullptr;
}

Status Mapping::anonymous(int64_t numBytes, const char *what, Mapping &mapping) {
  mapping.reset();
  if (numBytes <= 0)
    return Status();
  void *address = mmap(nullptr, static_cast<size_t>(numBytes), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    return failErrno("cannot reserve %lld bytes for %s", (long long)numBytes, what);
  mapping.address = address, mapping.numBytes = numBytes;
  return Status();
}

Status Mapping::shared(int fd, int64_t offset, int64_t numBytes, bool writable, const char *what, Mapping &mapping) {
  mapping.reset();
  if (numBytes <= 0)
    return Status();
  int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void *address = mmap(nullptr, static_cast<size_t>(numBytes), protection, MAP_SHARED | MAP_NORESERVE, fd, offset);
  if (address == MAP_FAILED)
    return failErrno("cannot map %lld shared bytes for %s", (long long)numBytes, what);
  mapping.address = address, mapping.numBytes = numBytes;
  return Status();
}

Status Mapping::file(int fd, int64_t numBytes, const char *what, Mapping &mapping) {
  mapping.reset();
  if (numBytes <= 0)
    return Status();
  void *address = mmap(nullptr, static_cast<size_t>(numBytes), PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED)
    return failErrno("cannot map '%s'", what);
  mapping.address = address, mapping.numBytes = numBytes;
  return Status();
}

Fd createBeside(const std::string &path, int flags, std::string &temporary) {
  constexpr int kMaxAttempts = 10;
  Fd fd;
  for (int attempt = 0; attempt < kMaxAttempts && !fd.valid(); ++attempt) {
    uint64_t chance = 0;
    if (getrandom(&chance, sizeof(chance), 0) != ssize_t(sizeof(chance)))
      break;
    temporary = path + format(".partial-%016llx", (unsigned long long)chance);
    fd.reset(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | flags, 0666));
    if (!fd.valid() && errno != EEXIST)
      break;
  }
  return fd;
}

Status createMemfd(const char *name, int64_t numBytes, Fd &fd) {
  Fd created(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!created.valid())
    return failErrno("cannot create shared memory for %s", name);
  if (ftruncate(created.get(), numBytes) != 0)
    return failErrno("cannot make shared memory of %lld bytes for %s", (long long)numBytes, name);
  if (fcntl(created.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return failErrno("cannot seal shared memory for %s", name);
  fd = std::move(created);
  return Status();
}

Status reopenReadOnly(int fd, Fd &readOnly) {
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  Fd opened(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // Without /proc (a bare root) the same descriptor must do; who receives it maps it read-only all the same.
  if (!opened.valid())
    opened.reset(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!opened.valid())
    return failErrno("cannot duplicate the descriptor of shared memory");
  readOnly = std::move(opened);
  return Status();
}

} // namespace rt
} // namespace penstock

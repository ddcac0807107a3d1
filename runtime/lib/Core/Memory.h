//===- Memory.h - Owned mappings and descriptors -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A mapping and a file descriptor that free themselves. Move-only; no threads involved.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_MEMORY_H
#define PENSTOCK_RT_LIB_MEMORY_H

#include "penstock/rt/Status.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace penstock {
namespace rt {

class Fd {
public:
  Fd() = default;
  explicit Fd(int fd) : number(fd) {}
  Fd(Fd &&other) noexcept : number(other.take()) {}
  Fd &operator=(Fd &&other) noexcept {
    reset(other.take());
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return number; }
  bool valid() const { return number >= 0; }
  int take() {
    int fd = number;
    number = -1;
    return fd;
  }
  void reset(int fd = -1);

private:
  int number = -1;
};

/// A new file beside `path`, to be filled and then renamed to it. Its name, `temporary`, is drawn by chance, so that
/// nothing that somebody else put there, a link included, is ever written to. `flags`: further ones of open(2). Not
/// valid, and errno says why, if it cannot be made.
Fd createBeside(const std::string &path, int flags, std::string &temporary);

class Mapping {
public:
  Mapping() = default;
  Mapping(Mapping &&other) noexcept : address(other.address), numBytes(other.numBytes) { other.address = nullptr; }
  Mapping &operator=(Mapping &&other) noexcept;
  ~Mapping() { reset(); }
  void reset();
  char *data() const { return static_cast<char *>(address); }
  int64_t bytes() const { return address ? numBytes : 0; }

  /// Zeroed private memory; pages are taken when touched.
  static Status anonymous(int64_t numBytes, const char *what, Mapping &mapping);
  /// Memory shared with whoever maps the same file. With `offset`, the part from there on.
  static Status shared(int fd, int64_t offset, int64_t numBytes, bool writable, const char *what, Mapping &mapping);
  /// A file, read-only and private.
  static Status file(int fd, int64_t numBytes, const char *what, Mapping &mapping);

private:
  void *address = nullptr;
  int64_t numBytes = 0;
};

/// An unnamed file of a fixed size in memory: sealed, so that no holder can make it shrink under another one's feet.
Status createMemfd(const char *name, int64_t numBytes, Fd &fd);
/// The same file again, through a descriptor that allows no writable mapping (where /proc is there to open it anew).
Status reopenReadOnly(int fd, Fd &readOnly);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LIB_MEMORY_H
